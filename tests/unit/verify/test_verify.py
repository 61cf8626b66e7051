"""What `verify` makes of the parts' answers, and of none."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.language.channels import Channel, Channels
from alert_rules.model.conventions import JOB
from alert_rules.output.alertmanager import alertmanager_config
from exporter.alerting import TRY_SECONDS
from exporter.commands.verify import built as built_by_command
from exporter.config import ConfigError
from exporter.findings import Finding, Level
from exporter.preflight.operations import evaluate_operations
from exporter.preflight.recent_activity import RecentActivity
from exporter.verify import alertmanager, built, delivery, exporter, grafana, prometheus
from exporter.verify.endpoints import DEFAULTS, endpoints_from
from exporter.verify.web import Page, Part, UnansweredError, first_line
from tests.support import ROOT
from tests.support.programs import free_port

Pages = dict[str, tuple[int, str]]
MONEY = st.decimals(min_value=0, max_value=10**6, places=6)


def test_places_come_from_flags_then_the_environment_then_compose() -> None:
    places = endpoints_from(
        {"exporter": "https://here:1", "prometheus": None, "grafana": ""}, {"PROMETHEUS_URL": "http://there:2"}
    )
    assert (places.exporter, places.prometheus, places.alertmanager, places.grafana) == (
        "https://here:1",
        "http://there:2",
        DEFAULTS["alertmanager"],
        "",
    )


@pytest.mark.parametrize("url", ["prometheus:9090", "http://[::1", "http://", "file:///etc/passwd"])
def test_a_place_that_is_no_web_address_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=r"--prometheus-url or \$PROMETHEUS_URL: not a URL"):
        endpoints_from({}, {"PROMETHEUS_URL": url})


def test_grafanas_password_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    places = endpoints_from({}, {"GRAFANA_PASSWORD_FILE": str(file)})
    assert places.grafana_password == "s3cret"
    assert "s3cret" not in repr(places)
    with pytest.raises(ConfigError, match="cannot be read"):
        endpoints_from({}, {"GRAFANA_PASSWORD_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("before", "truth", "after", "level"),
    [
        ("10", "10", "10", Level.OK),
        ("10", "10.05", "10.1", Level.OK),
        ("9.91", "10", "9.91", Level.OK),
        ("9.89", "10", "9.89", Level.FAIL),
        ("10.11", "10", "10.2", Level.FAIL),
        ("0", "0", "0", Level.OK),
        ("0", "0.000001", "0", Level.FAIL),
        ("0.000001", "0", "0.000001", Level.FAIL),
    ],
)
def test_cost_may_differ_by_one_percent_of_the_nearer_reading(
    before: str, truth: str, after: str, level: Level
) -> None:
    assert exporter.evaluate_cost(Decimal(before), Decimal(truth), Decimal(after)).level is level


@given(MONEY, MONEY, MONEY)
def test_what_lies_between_two_readings_is_exact(one: Decimal, two: Decimal, three: Decimal) -> None:
    low, middle, high = sorted((one, two, three))
    finding = exporter.evaluate_cost(low, middle, high)
    assert finding.level is Level.OK
    assert "off by 0.0000%" in finding.detail
    assert exporter.evaluate_cost(high, middle, low) == finding


def test_samples_of_another_program_are_told_apart() -> None:
    finding = exporter.evaluate_log(Page(200, ""), exporter.parse("go_goroutines 7\n"))
    assert finding.level is Level.FAIL
    assert "another program" in finding.detail


def test_a_table_that_is_not_read_is_named() -> None:
    samples = exporter.parse(
        'ai_exporter_collector_success{collector="log"} 0\n'
        'ai_exporter_collector_success{collector="budgets"} 0\n'
        'ai_exporter_collector_success{collector="routes"} 1\n'
    )
    assert exporter.evaluate_tables(samples).detail == "not read: budgets"


def target(job: str, health: str = "up", error: str = "") -> dict[str, Any]:
    return {"labels": {"job": job, "instance": f"{job}:1"}, "health": health, "lastError": error}


def named(findings: list[Finding], level: Level) -> set[str]:
    return {finding.name for finding in findings if finding.level is level}


def test_each_job_has_a_finding_of_its_own() -> None:
    jobs = [job for job in prometheus.JOBS if job != "grafana"]
    assert named(prometheus.evaluate_targets([target(job) for job in jobs]), Level.OK) == {
        f"target {job}" for job in jobs
    }
    lost = prometheus.evaluate_targets(
        [target(job, "down" if job == "postgres" else "up", "refused\nx") for job in jobs]
    )
    assert named(lost, Level.FAIL) == {"target postgres"}
    assert "1 of 1 not up: postgres:1: refused" in next(f.detail for f in lost if f.level is Level.FAIL)


def test_one_replica_down_of_two_is_a_failure() -> None:
    both = [target(prometheus.EXPORTER_JOB), target(prometheus.EXPORTER_JOB, "unknown")]
    (finding,) = [f for f in prometheus.evaluate_targets(both) if f.name == "target ai-operation-exporter"]
    assert (finding.level, finding.detail) == (
        Level.FAIL,
        "1 of 2 not up: ai-operation-exporter:1: not scraped yet",
    )


def test_targets_of_other_teams_are_not_judged() -> None:
    findings = prometheus.evaluate_targets([target(job) for job in prometheus.EXPECTED] + [target("web", "down")])
    assert named(findings, Level.FAIL) == set()


def test_a_prometheus_that_does_not_scrape_the_exporter_fails_and_the_rest_is_a_warning() -> None:
    findings = prometheus.evaluate_targets([])
    assert named(findings, Level.FAIL) == {"target ai-operation-exporter"}
    assert named(findings, Level.WARN) == {f"target {job}" for job in prometheus.EXPECTED[1:]}


def rule(name: str, kind: str = "alerting", **more: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "health": "ok", "state": "inactive", **more}


def test_rules_are_healthy_or_named() -> None:
    groups = [{"rules": [rule("a"), rule("b", state="firing"), rule("c", "recording")]}]
    finding = prometheus.evaluate_rules(groups)
    assert finding.level is Level.OK
    assert finding.detail == "2 alerts and 1 recordings, all healthy; firing: b"
    sick = prometheus.evaluate_rules([{"rules": [rule("a"), rule("b", health="err", lastError="many-to-many")]}])
    assert sick.level is Level.FAIL
    assert "b: many-to-many" in sick.detail
    new = prometheus.evaluate_rules([{"rules": [rule("a", health="unknown")]}])
    assert "not evaluated yet" in new.detail
    assert prometheus.evaluate_rules([{"rules": [rule("c", "recording")]}]).level is Level.FAIL


def test_only_what_has_not_had_its_first_turn_is_waited_for() -> None:
    groups = [{"rules": [rule("a"), rule("b", health="err")]}]
    assert not prometheus.is_settling([target("postgres", "down")], groups)
    assert not prometheus.is_settling([target("web", "unknown")], groups)
    assert prometheus.is_settling([target("postgres", "unknown")], groups)
    assert prometheus.is_settling([], [{"rules": [rule("a", health="unknown")]}])


def test_a_prometheus_that_has_just_started_is_waited_for(pages: tuple[str, Pages]) -> None:
    url, known = pages
    known["/api/v1/rules"] = (200, json.dumps({"data": {"groups": []}}))
    asked = 0

    class Starting(Part):
        def json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
            nonlocal asked
            asked += 1
            health = "unknown" if asked < 3 else "up"
            known["/api/v1/targets"] = (200, json.dumps({"data": {"activeTargets": [target("postgres", health)]}}))
            return super().json(path, query)

    prometheus.settle(Starting(url), 30)
    assert asked >= 3
    asked = 0
    prometheus.settle(Starting(url), 0)
    assert asked == 2


def test_an_operation_that_never_reported_is_named() -> None:
    assert prometheus.evaluate_operations({"a": 5.0, "b": 7200.0}, ["a", "b"], ["a", "b"]).detail == (
        "all 2 report; the quietest, b, 2.0 h ago"
    )
    finding = prometheus.evaluate_operations({"a": 5.0}, ["a", "b", "c"], ["a"])
    assert (finding.level, finding.detail) == (Level.WARN, "2 of 3 were not called: b, c")
    assert prometheus.evaluate_operations({"a": 5.0}, [], []).level is Level.OK


def test_silence_has_the_same_verdict_in_check_and_in_verify() -> None:
    recent = RecentActivity({"a": 1}, {"m": 1}, 3600)
    (in_check, *_) = evaluate_operations(recent, ["a", "b"])
    in_verify = prometheus.evaluate_operations({"a": 5.0}, ["a", "b"], ["a"])
    assert in_check.level is in_verify.level is Level.WARN
    assert in_verify.hint == in_check.hint


def test_an_operation_that_was_called_and_is_not_in_prometheus_is_no_silent_one() -> None:
    finding = prometheus.evaluate_operations({"a": 5.0}, ["a", "b", "c"], ["a", "b"])
    assert (finding.level, finding.detail) == (
        Level.FAIL,
        "1 of 3 that the exporter reports are not in Prometheus: b",
    )
    assert "call each once" not in finding.hint


def test_operations_that_were_read_a_moment_ago_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_POLL_SECONDS", 0.0)
    answers = [[("a", 1.0)], [("a", 1.0)], [("a", 2.0), ("b", 3.0)]]
    said: list[str] = []

    def query(*_: object) -> list[tuple[dict[str, str], float]]:
        return [({"operation": name}, age) for name, age in answers.pop(0)]

    monkeypatch.setattr(prometheus, "query", query)
    finding = prometheus.check_operations(Part("http://x"), ["a", "b"], ["a", "b"], 60.0, said.append)
    assert finding.level is Level.OK
    assert said == ["Prometheus has 1 operations still to scrape"] * 2


def test_a_configuration_without_discord_fails() -> None:
    good = "receivers: [{name: team, discord_configs: [{webhook_url: <secret>}]}, {name: none}]"
    assert alertmanager.evaluate_receivers(good).detail == "to Discord: team"
    for bad in ("", "receivers: [{name: none}]", "receivers: [{name: x, slack_configs: [{}]}]"):
        assert alertmanager.evaluate_receivers(bad).level is Level.FAIL


TEST = delivery.Receiver("discord", "/etc/alertmanager/secrets/discord_webhook_url")


def look(
    taken: float = 1,
    asked: int = 0,
    refused: int = 0,
    given_up: int = 0,
    *,
    by: bool = True,
    process: int = 7,
    alerts: Sequence[Mapping[str, Any]] = (),
) -> delivery.Look:
    """Alertmanager that counts by receiver, unless `by` says otherwise."""
    receiver = ',receiver_name="test:discord"' if by else ""
    lines = [
        f"process_start_time_seconds {process}",
        f'alertmanager_notification_requests_total{{integration="discord"{receiver}}} {asked}',
        f'alertmanager_notification_requests_failed_total{{integration="discord"{receiver}}} {refused}',
        f'alertmanager_notifications_failed_total{{integration="discord",reason="other"{receiver}}} {given_up}',
        # another channel's, and another service's
        'alertmanager_notification_requests_total{integration="discord",receiver_name="discord"} 1000',
        'alertmanager_notification_requests_total{integration="webhook"} 1000',
    ]
    return delivery.Look(taken, exporter.parse("\n".join(lines[: 6 if receiver else 4]) + "\n"), alerts)


def running(before: delivery.Look, wait: float = 0) -> delivery.Run:
    return delivery.Run("mine", (TEST,), wait, before)


def held(**status: Any) -> dict[str, Any]:
    labels = delivery.alert("discord", "mine", datetime.now(UTC), timedelta())["labels"]
    return {"labels": labels, "receivers": [{"name": "test:discord"}], "status": status}


def test_the_test_alert_ends_when_it_is_told_to() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    alert = delivery.alert("discord", "run", now, timedelta(seconds=60))
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-04-30T23:59:59+00:00", "2026-05-01T00:01:00+00:00")
    at_once = delivery.alert("discord", "run", now, timedelta())
    assert at_once["startsAt"] < at_once["endsAt"]


@pytest.mark.parametrize(
    ("now", "others", "said"),
    [
        (look(), 0, None),
        (look(asked=1), 0, "accepted by the webhook of discord"),
        (look(asked=1, refused=1), 0, None),
        (look(asked=1, refused=1, given_up=1), 0, "not accepted by the webhook of discord: refused"),
        (look(asked=3, refused=2), 0, "accepted by the webhook of discord"),
        (look(asked=1), 1, None),
        (look(asked=2), 1, "accepted by the webhook of discord"),
        (
            look(asked=2, refused=1, given_up=1),
            1,
            "1 of 2 simultaneous tests were refused: try again without another test",
        ),
        (
            look(asked=1, process=8),
            0,
            "several Alertmanagers answer at this address in turn, or it was restarted",
        ),
        (look(alerts=[held(silencedBy=["s"])]), 0, "silenced by s"),
        (look(alerts=[held(inhibitedBy=["s"])]), 0, "inhibited"),
        (look(alerts=[held(mutedBy=["nights"])]), 0, "muted by the time interval nights"),
        (look(alerts=[{**held(), "receivers": [{"name": "team"}]}]), 0, "routed to team, not to test:discord"),
    ],
    ids=range(13),
)
def test_a_test_alert_is_judged_by_its_own_message(now: delivery.Look, others: int, said: str | None) -> None:
    finding = delivery.judge(running(look()), TEST, now, others)
    assert (finding is None) == (said is None)
    if finding and said:
        assert finding.detail.startswith(said)
        assert (finding.level is Level.OK) == said.startswith("accepted")
        assert finding.level is Level.OK or finding.hint


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.sampled_from([5.0, 40.0]), st.booleans())
def test_it_is_not_accepted_where_it_may_be_the_one_that_was_not(
    accepted: int, given_up: int, others: int, taken: float, by: bool
) -> None:
    """Whatever became of messages: with one given up, or one that has not ended, nothing is claimed."""
    now = look(taken, accepted + given_up, given_up, given_up, by=by)
    finding = delivery.judge(running(look(by=by)), TEST, now, others)
    if finding and finding.level is Level.OK:
        assert not given_up
        assert accepted >= (1 + others if by else 1)
        assert by or taken > TRY_SECONDS


def test_without_counts_by_receiver_what_is_open_is_said_with_the_flag_to_set() -> None:
    run = running(look(by=False), wait=15)
    assert delivery.judge(run, TEST, look(40, by=False, asked=1), 0) is None
    finding = delivery.judge(run, TEST, look(50, by=False, asked=3, refused=1, given_up=1), 0)
    assert finding is not None
    assert finding.detail == "not proven: 1 of 3 messages were refused, and it is not known which"
    assert "receiver-name-in-metrics" in finding.hint
    none = delivery.judge(run, TEST, look(50, by=False, asked=1, refused=1, given_up=1), 0)
    assert none is not None
    assert none.detail == "not accepted: refused"


def test_when_time_is_up_it_says_what_was_seen() -> None:
    run = running(look())
    assert "refused 2 times" in delivery.evaluate_late(run, TEST, look(60, asked=2, refused=2)).detail
    assert "It may arrive late" in delivery.evaluate_late(run, TEST, look(60)).detail


def test_the_generated_configuration_has_the_receivers_that_are_looked_for() -> None:
    written = alertmanager_config(Channels((Channel("ops", "/x/ops"), Channel("discord", "/x/d"))), [])
    assert delivery.channels(written) == [
        delivery.Receiver("ops", "/x/ops"),
        delivery.Receiver("discord", "/x/d"),
    ]
    assert written["route"]["routes"][0]["group_interval"] == f"{TRY_SECONDS}s"
    assert alertmanager.evaluate_receivers(json.dumps(written)).detail == "to Discord: discord, ops"


def test_dashboards_and_sources_are_judged_by_what_grafana_answers() -> None:
    listed = json.dumps([{"uid": uid} for uid in grafana.UIDS])
    assert grafana.evaluate_dashboards(Page(200, listed)).level is Level.OK
    missing = grafana.evaluate_dashboards(Page(200, json.dumps([{"uid": "ai-cost"}])))
    assert missing.detail == "missing: ai-health, ai-performance"
    assert grafana.evaluate_dashboards(Page(200, "<html>")).level is Level.FAIL
    assert "GRAFANA_PASSWORD_FILE" in grafana.evaluate_dashboards(Page(401, "")).hint
    assert grafana.evaluate_source("postgres", Page(200, "{}")).level is Level.OK
    assert "secrets/grafana_database_password" in grafana.evaluate_source("postgres", Page(400, "pq: no")).hint
    assert "GRAFANA_PASSWORD_FILE" in grafana.evaluate_source("prometheus", Page(403, "")).hint
    old = Page(500, '{"message":"Unable to find datasource plugin"}')
    assert grafana.evaluate_source("postgres", old).hint == "use Grafana 10.4 or newer"


@pytest.fixture
def pages() -> Iterator[tuple[str, Pages]]:
    """A web server's address, and the pages that it has."""
    known: Pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = known.get(self.path.partition("?")[0], (404, "nothing here"))
            if text == "who?":
                text = self.headers.get("Authorization", "nobody")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", known
        server.shutdown()


def test_a_part_says_how_it_failed(pages: tuple[str, Pages]) -> None:
    url, known = pages
    known["/html"] = (200, "<html>")
    known["/broken"] = (500, "\n  internal trouble\nmore")
    part = Part(url)
    with pytest.raises(UnansweredError, match="/broken answers 500: internal trouble"):
        part.text("/broken")
    with pytest.raises(UnansweredError, match="does not answer with JSON"):
        part.json("/html")
    with pytest.raises(UnansweredError, match="does not answer: Connection refused"):
        Part(f"http://127.0.0.1:{free_port()}").text("/")


class Reading(Part):
    """An exporter whose readiness changes with each question."""

    def __init__(self, *pages: tuple[int, str]) -> None:
        super().__init__("http://x")
        self._pages = list(pages)

    def page(self, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Page:
        return Page(*(self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]))


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "_POLL_SECONDS", 0.0)


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize(
    "text",
    [
        "first reading: 0 % done",
        "the log has not been read yet",
        "catching up a gap: 40 % done",
        "the log is being read by changed settings: 7 % done",
    ],
)
def test_an_exporter_that_reads_is_waited_for(text: str) -> None:
    said: list[str] = []
    part = Reading((503, text), (503, text), (503, "first reading: 90 % done\n"), (200, "ready"))
    assert exporter.settled(part, said.append).status == 200
    assert said == [text, "first reading: 90 % done"]


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize(
    "text", ["the database refuses the login: wrong password", "the state cannot be written: counters are frozen"]
)
def test_an_exporter_that_needs_help_is_not_waited_for(text: str) -> None:
    said: list[str] = []
    assert exporter.settled(Reading((503, text)), said.append).text == text
    assert said == []


@pytest.mark.usefixtures("_hurried")
def test_an_exporter_that_gets_no_further_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "STALLED_SECONDS", 0.05)
    said: list[str] = []
    assert exporter.settled(Reading((503, "first reading: 10 % done")), said.append).status == 503
    assert len(said) == 1


def test_a_login_in_the_address_is_used_and_never_shown(pages: tuple[str, Pages]) -> None:
    url, known = pages
    known["/"] = (200, "who?")
    part = Part(url.replace("://", "://me:p%40ss@"))
    assert part.text("/") == "Basic bWU6cEBzcw=="
    with pytest.raises(UnansweredError) as refused:
        part.text("/absent")
    assert "ss@" not in str(refused.value)
    assert part.url == url


def test_grafana_is_looked_at_as_a_whole(pages: tuple[str, Pages]) -> None:
    url, known = pages
    assert [finding.level for finding in grafana.check_grafana(Part(url))] == [Level.FAIL]
    known["/api/health"] = (200, '{"version": "12.2.0"}')
    known["/api/search"] = (200, json.dumps([{"uid": uid} for uid in grafana.UIDS]))
    known.update({path.partition("?")[0]: (200, "{}") for path in grafana.SOURCES.values()})
    panel = {"title": "t", "targets": [{"refId": "A", "datasource": {"uid": "prometheus"}, "expr": "up"}]}
    dashboard = {"time": {"from": "now-1h", "to": "now"}, "templating": {"list": []}, "panels": [panel]}
    for uid in grafana.UIDS:
        known[f"/api/dashboards/uid/{uid}"] = (200, json.dumps({"dashboard": dashboard}))
    known["/api/ds/query"] = (200, '{"results": {"A": {"status": 200, "frames": []}}}')
    findings = list(grafana.check_grafana(Part(url, "admin", "pw")))
    assert {finding.level for finding in findings} == {Level.OK}
    assert {finding.name for finding in findings} > {f"queries {uid}" for uid in grafana.UIDS}
    known.pop("/api/datasources/uid/postgres/health")
    assert named([*grafana.check_grafana(Part(url))], Level.FAIL) == {"source postgres"}


STATUS = json.dumps(
    {
        "config": {"original": "receivers: [{name: 'test:discord', discord_configs: [{}]}]"},
        "cluster": {"peers": []},
        "versionInfo": {"version": "0.28.1"},
    }
)


def test_an_alertmanager_that_takes_no_alert_is_said(pages: tuple[str, Pages]) -> None:
    url, known = pages
    known |= {"/metrics": (200, ""), "/api/v2/status": (200, STATUS), "/api/v2/alerts/groups": (200, "[]")}
    known["/api/v2/alerts"] = (400, "bad labels")
    (finding,) = alertmanager.send_test_alert(Part(url), 5)
    assert finding.detail == "Alertmanager does not accept the alert (400): bad labels"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ((503, "starting"), "answers 503: starting"),
        ((200, "[]"), "does not answer like Alertmanager"),
        ((200, '{"config": {"original": "receivers: [{name: x}]"}}'), "has no receiver for test alerts"),
        ((200, '{"config": {"original": "{"}}'), "does not answer like Alertmanager"),
        ((200, '{"config": {}}'), "does not answer like Alertmanager"),
    ],
    ids=["starting", "list", "old configuration", "no YAML", "no configuration"],
)
def test_what_is_no_alertmanager_is_told_nothing(pages: tuple[str, Pages], status: tuple[int, str], said: str) -> None:
    url, known = pages
    known["/api/v2/status"] = status
    (finding,) = alertmanager.send_test_alert(Part(url), 5)
    assert finding.level is Level.FAIL
    assert said in finding.detail


GENERATED = "receivers: [{name: discord}, {name: failures}, {name: heartbeat}]"


class Stub:
    """What is built, with differences that are known."""

    def __init__(self, *differences: str) -> None:
        self.differences = differences

    def rule_differences(self, groups: Sequence[Mapping[str, Any]]) -> Sequence[object]:
        assert groups == [{"rules": []}]
        return self.differences

    def config_differences(self, text: str) -> Sequence[object]:
        assert text == GENERATED
        return self.differences


def test_what_is_loaded_and_not_built_is_named_with_what_to_reload() -> None:
    groups: list[dict[str, Any]] = [{"rules": []}]
    assert built.evaluate_rules(Stub(), groups).level is Level.OK
    assert built.evaluate_routing(Stub(), GENERATED).level is Level.OK
    rules, routing = (
        built.evaluate_rules(Stub("a: not loaded"), groups),
        built.evaluate_routing(Stub("route: another x"), GENERATED),
    )
    assert (rules.level, rules.detail) == (Level.FAIL, "a: not loaded")
    assert "SIGHUP prometheus" in rules.hint
    assert (routing.level, routing.detail) == (Level.FAIL, "route: another x")
    assert "SIGHUP alertmanager" in routing.hint
    for text in ("", "[]", "{", "receivers: 7"):
        assert "cannot be parsed" in built.evaluate_routing(Stub(), text).detail
    own = built.evaluate_routing(Stub(), "receivers: [{name: team}]")
    assert (own.level, own.detail) == (Level.WARN, "Alertmanager has a configuration of your own: not compared")


def test_without_alerts_yaml_nothing_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert built_by_command(None, None) == built.NO_FILES
    (tmp_path / "alerts.yaml").write_text("alerts: [{name: x, colour: red}]")
    shutil.copy(ROOT / "alert_rules" / "channels.yaml", tmp_path)
    finding = built_by_command(tmp_path / "alerts.yaml", None)
    assert isinstance(finding, Finding)
    assert (finding.name, finding.level) == ("rules as built", Level.FAIL)
    assert "alerts.yaml:1:" in finding.detail
    assert finding.detail.endswith("and 1 more")


def test_the_first_line_with_anything_in_it_is_shown() -> None:
    assert first_line("\n \n a \nb") == "a"
    assert first_line("") == "nothing more"


def test_it_asks_for_what_the_rules_and_the_dashboards_are_called() -> None:
    pages = ROOT / "dashboards" / "generated"
    assert JOB in prometheus.JOBS
    assert set(grafana.UIDS) == {json.loads(file.read_text())["uid"] for file in pages.glob("*.json")}
