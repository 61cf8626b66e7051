"""`rules add`, `list`, `remove`, `disable` and `enable` as a user runs them, with real servers and with none."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from alert_rules.model.conventions import alert_id
from exporter.cli import main
from tests.support import ROOT
from tests.support.alertmanager import alertmanager
from tests.support.programs import Prometheus, fetch, free_port, prometheus_with

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rules_commands")]

PACKAGE = ROOT / "alert_rules"
URL = "https://discord.com/api/webhooks/123456/Very-secret_token"
REQUEST = {"name": "Phase 8", "type": "daily_spend", "threshold_usd": 100, "channel": "discord"}
CHANNELS = "channels:\n  discord: {type: discord}\n  ops: {type: discord}\n"


@dataclass
class Rules:
    """A project's folder of alerts, and the commands on it."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    prometheus: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")
    alertmanager: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")

    @property
    def alerts(self) -> Path:
        return self.folder / "alerts.yaml"

    @property
    def built(self) -> Path:
        return self.folder / "generated"

    def run(self, *words: str, given: Any = None) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        text = given if isinstance(given, str) else json.dumps(given)
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        places = {"--alerts": self.alerts, "--channels": self.folder / "channels.yaml"}
        command, *rest = words
        words = ("rules", command, *rest, *(f"{name}={value}" for name, value in places.items()))
        if command not in ("validate", "explain", "list"):
            words += (f"--output={self.built}",)
        if command not in ("build", "validate", "explain"):
            words += (f"--prometheus-url={self.prometheus}", f"--alertmanager-url={self.alertmanager}")
        if command not in ("build", "validate", "explain", "list"):
            words += (f"--secrets={self.folder / 'secrets'}",)
        if command == "add":
            words += (f"--runbooks={self.folder / 'runbooks'}",)
        self.capsys.readouterr()
        code = main(words)
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def verified(self) -> dict[str, str]:
        """The lines of `verify`, by what they are about."""
        nowhere = f"http://127.0.0.1:{free_port()}"
        urls = {"prometheus": self.prometheus, "alertmanager": self.alertmanager, "exporter": nowhere, "grafana": ""}
        self.capsys.readouterr()
        main(["verify", f"--alerts={self.alerts}", *(f"--{name}-url={url}" for name, url in urls.items())])
        lines = self.capsys.readouterr().out.splitlines()
        return {line[6:36].strip(): line for line in lines if line[:1] not in ("", " ")}

    def listed(self) -> dict[str, dict[str, Any]]:
        """`rules list --json`, by name."""
        code, out, _ = self.run("list", "--json")
        assert code == 0
        return {each["name"]: each for each in json.loads(out)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of alerts that is built: once, since every test begins with it."""
    folder = tmp_path_factory.mktemp("built") / "alert_rules"
    folder.mkdir()
    shutil.copy(PACKAGE / "alerts.yaml", folder)
    (folder / "channels.yaml").write_text(CHANNELS)
    files = {"--alerts": "alerts.yaml", "--channels": "channels.yaml", "--output": "generated"}
    assert main(["rules", "build", *(f"{option}={folder / name}" for option, name in files.items())]) == 0
    return folder


@pytest.fixture
def rules(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rules:
    return Rules(shutil.copytree(built, tmp_path / "alert_rules"), monkeypatch, capsys)


@contextlib.contextmanager
def servers(rules: Rules, *arguments: str) -> Iterator[Prometheus]:
    """A Prometheus with further flags, and an Alertmanager, both on the folder that is built."""
    config = {"rule_files": ["/etc/prometheus/rules.yml"], "global": {"evaluation_interval": "1s"}}
    (rules.built / "prometheus.yml").write_text(yaml.safe_dump(config))
    with prometheus_with(rules.built, *arguments) as prometheus, alertmanager(rules.built) as manager:
        rules.prometheus, rules.alertmanager = prometheus.url, manager.url
        yield prometheus


def loaded(prometheus: Prometheus) -> set[str]:
    groups = json.loads(fetch(f"{prometheus.url}/api/v1/rules")[1])["data"]["groups"]
    return {rule["name"] for group in groups for rule in group["rules"]}


def test_where_the_servers_reload_when_asked_it_is_active_when_it_is_loaded(rules: Rules) -> None:
    with servers(rules, "--web.enable-lifecycle") as prometheus:
        code, out, err = rules.run("add", given=REQUEST)
        assert (code, json.loads(out), err) == (0, {"id": alert_id("Phase 8"), "status": "active"}, "")
        assert "Phase 8" in loaded(prometheus)
        ladder: dict[str, Any] = {
            "name": "steps",
            "condition": "budget_utilization >= rung",
            "channel": ["discord", "ops"],
        }
        ladder |= {"rungs": {"70%": "info", "90%": "critical"}, "by": "user"}
        assert json.loads(rules.run("add", given=ladder)[1])["status"] == "active"
        config = json.loads(fetch(f"{rules.alertmanager}/api/v2/status")[1])["config"]["original"]
        assert 'alertname="steps"' in config
        listed = rules.listed()
        assert all(each["loaded"] for each in listed.values())
        assert listed["steps"]["severity"] == "info/critical"

        code, out, err = rules.run("disable", alert_id("steps"))
        assert (code, json.loads(out), err) == (0, {"id": alert_id("steps"), "status": "disabled"}, "")
        assert "steps" not in loaded(prometheus)
        assert (rules.listed()["steps"]["loaded"], rules.listed()["steps"]["disabled"]) == (False, True)
        assert json.loads(rules.run("enable", "steps")[1])["status"] == "active"
        assert "steps" in loaded(prometheus)

        code, out, err = rules.run("remove", alert_id("Phase 8"))
        assert (code, json.loads(out), err) == (0, {"id": alert_id("Phase 8"), "status": "removed"}, "")
        assert "Phase 8" not in loaded(prometheus)
        assert "Phase 8" not in rules.listed()


def test_where_prometheus_reloads_by_a_signal_alone_it_is_pending_until_then(rules: Rules) -> None:
    with servers(rules) as prometheus:
        code, out, err = rules.run("add", given=REQUEST)
        assert (code, json.loads(out)["status"]) == (0, "pending")
        assert "Phase 8: not loaded" in err
        assert "Prometheus does not reload when asked (403): Lifecycle API is not enabled" in err
        assert "docker compose kill --signal SIGHUP prometheus" in err
        assert "Alertmanager" not in err
        assert (rules.listed()["Phase 8"]["loaded"], rules.listed()["high_error_rate"]["loaded"]) == (False, True)
        assert "no: not loaded" in rules.run("list")[1]
        said = rules.verified()
        assert said["rules as built"].startswith("FAIL")
        assert said["rules as built"].endswith("Phase 8: not loaded")
        assert said["routing as built"].startswith("ok")
        reload = f"docker kill --signal HUP {prometheus.container}"
        code, out, err = rules.run("add", f"--reload-command={reload}", given=REQUEST | {"name": "Phase 9"})
        assert (code, json.loads(out)["status"], err) == (0, "active", "")
        assert {"Phase 8", "Phase 9"} <= loaded(prometheus)
        assert rules.verified()["rules as built"].startswith("ok")
        routing = (rules.built / "alertmanager.yml").read_text()
        (rules.built / "alertmanager.yml").write_text(routing.replace("group_wait: 30s", "group_wait: 5s", 1))
        assert fetch(f"{rules.alertmanager}/-/reload", post=True)[0] == 200
        assert rules.verified()["routing as built"].endswith("route: different group_wait")


def test_a_server_that_runs_another_file_is_pending(rules: Rules, tmp_path: Path) -> None:
    with servers(rules, "--web.enable-lifecycle"):
        before = rules.folder
        rules.folder = tmp_path / "moved"
        shutil.copytree(before, rules.folder)
        code, out, err = rules.run("add", "--wait=1", given=REQUEST)
        assert (code, json.loads(out)["status"]) == (0, "pending")
        assert "Prometheus at" in err
        assert "Phase 8: not loaded" in err


def test_where_nobody_can_be_reached_it_is_pending_and_says_what_to_reload(rules: Rules) -> None:
    code, out, err = rules.run("add", given=REQUEST)
    assert (code, json.loads(out)) == (0, {"id": alert_id("Phase 8"), "status": "pending"})
    for name in ("prometheus", "alertmanager"):
        assert f"docker compose kill --signal SIGHUP {name}" in err
    assert err.count("Connection refused") == 2
    assert yaml.safe_load(rules.alerts.read_text())["alerts"][-1]["name"] == "Phase 8"
    assert (rules.listed()["Phase 8"]["loaded"], rules.listed()["Phase 8"]["difference"]) == (None, "")
    for command in ("disable", "enable", "remove"):
        assert json.loads(rules.run(command, "Phase 8")[1])["status"] == "pending"


def test_servers_that_nobody_has_named_are_said(rules: Rules) -> None:
    rules.prometheus = rules.alertmanager = ""
    _, out, err = rules.run("add", given=REQUEST)
    assert json.loads(out)["status"] == "pending"
    assert "Prometheus: no address — name it with --prometheus-url" in err
    assert rules.listed()["Phase 8"]["loaded"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--reload-command=false",), "the reload command failed with exit code 1"),
        (("--reload-command=/no/such/program x",), "the reload command cannot be run: FileNotFoundError"),
        (("--reload-command=true",), "Connection refused"),
    ],
    ids=["fails", "absent", "works"],
)
def test_a_reload_command_that_does_not_help_is_said(rules: Rules, words: tuple[str, ...], said: str) -> None:
    code, out, err = rules.run("add", "--wait=0.1", *words, given=REQUEST)
    assert (code, json.loads(out)["status"]) == (0, "pending")
    assert said in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--reload-command=a 'b",), "--reload-command: a quote is not closed"),
        (("--prometheus-url=nowhere",), "--prometheus-url or $PROMETHEUS_URL: not a URL"),
    ],
    ids=["quote", "address"],
)
def test_what_is_wrong_with_the_options_is_said_before_anything_is_changed(
    rules: Rules, words: tuple[str, ...], said: str
) -> None:
    before = rules.alerts.read_text()
    if words[0].startswith("--prometheus"):
        rules.prometheus = words[0].partition("=")[2]
        words = ()
    code, _, err = rules.run("add", *words, given=REQUEST)
    assert code == 1
    assert said in err
    assert rules.alerts.read_text() == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"min_operations": 0}, "min_operations: 0 — write 1 or more"),
        ({"min_operations": 5}, "min_operations: min_operations for daily_spend — leave it out"),
        ({"window": "3s"}, "window: '3s' — write a window from 1m to 24h"),
        ({"for": "soon"}, "for: 'soon' — write a duration of whole seconds"),
        ({"keep_firing_for": "5m"}, "keep_firing_for: "),
        ({"by": "weekday"}, "by: daily_spend by weekday"),
        ({"summary": "{{ x }}"}, "summary: "),
        (
            {"type": "error_rate", "threshold_usd": None, "threshold_percent": 150},
            "threshold_percent: error_rate > 150%",
        ),
        ({"condition": "error_rate > 2000ms"}, "condition: 2000ms, which is a duration"),
        ({"condition": "spend > $1"}, "condition: 'spend', which is no quantity"),
        ({"condition": "budget_utilization >= rung"}, "condition: rung, and no rungs"),
        ({"condition": "budget_utilization >= rung", "rungs": {"$5": "info"}}, "rungs: $5, which is"),
        ({"condition": "budget_utilization >= rung", "rungs": {"9%": "critical", "10%": "info"}}, "rungs: "),
        ({"rungs": {"9%": "loud"}}, "rungs: 9%: 'loud' — write one of 'critical', 'warning' or 'info'"),
        ({"rungs": ["9%"]}, "rungs: a list — write one 'amount: severity' a line"),
        ({"rungs": {"9%": "info"}, "severity": "info"}, "rungs: rungs that the condition does not use"),
        (
            {"condition": "budget_utilization >= rung", "rungs": {"9%": "info"}, "severity": "info"},
            "severity: severity beside rungs",
        ),
        (
            {"condition": "daily_spend > $1", "type": "daily_spend"},
            "type: type beside a condition — keep one of the two",
        ),
        ({"condition": "daily_spend > $1", "threshold_usd": 1}, "threshold_usd: threshold_usd beside a condition"),
        ({"type": None, "threshold_usd": None}, "name: an alert without a condition"),
        ({"name": "high_daily_spend"}, "an alert of that name is there already"),
    ],
    ids=range(21),
)
def test_an_error_names_the_requests_field_and_no_line_that_was_rolled_back(
    rules: Rules, fields: dict[str, Any], said: str
) -> None:
    before = rules.alerts.read_text()
    request: dict[str, Any] = REQUEST | fields
    if "condition" in fields:
        request = {"name": "Phase 8", "channel": "discord"} | fields
    code, out, err = rules.run("add", given={key: value for key, value in request.items() if value is not None})
    assert (code, out) == (1, "")
    assert f": {said}" in f": {err.removeprefix('ai-operation-exporter: ')}", err
    if "there already" not in said:
        assert "alerts.yaml:" not in err
    assert rules.alerts.read_text() == before


def test_an_error_elsewhere_in_the_file_keeps_its_line(rules: Rules) -> None:
    text = rules.alerts.read_text().replace("> $200", "> 200ms", 1)
    rules.alerts.write_text(text)
    _, _, err = rules.run("add", given=REQUEST)
    assert f"{rules.alerts}:3:" in err
    assert rules.alerts.read_text() == text


def test_the_list_shows_where_each_alert_comes_from(rules: Rules) -> None:
    rules.run("disable", "slow_operations")
    listed = rules.listed()
    line = rules.alerts.read_text().splitlines().index("  - name: slow_operations") + 1
    assert listed["slow_operations"] == {
        "id": alert_id("slow_operations"),
        "name": "slow_operations",
        "condition": "avg_latency > 2000ms",
        "severity": "warning",
        "channel": "discord",
        "source": f"{rules.alerts}:{line}",
        "loaded": None,
        "difference": "",
        "disabled": True,
    }
    assert listed["budget_used"]["severity"] == "warning"
    assert (listed["watchdog"]["source"], listed["exporter_down"]["severity"]) == ("built-in", "critical/warning")
    _, table, _ = rules.run("list")
    assert [line.split()[0] for line in table.splitlines()[1:]] == [each["id"] for each in listed.values()]
    assert table.splitlines()[0].split() == ["ID", "NAME", "CONDITION", "SEVERITY", "CHANNEL", "SOURCE", "LOADED"]
    assert next(line for line in table.splitlines() if "slow_operations" in line).endswith("disabled")


def test_a_disabled_alert_stays_in_the_file_and_out_of_what_is_built(rules: Rules) -> None:
    before = rules.alerts.read_text()
    names = [alert["name"] for alert in yaml.safe_load(before)["alerts"]]
    for name in names:
        assert rules.run("disable", name)[0] == 0
    built = yaml.safe_load((rules.built / "rules.yml").read_text())["groups"]
    assert [group["name"] for group in built] == ["ai-operations", "ai-operations-monitoring"]
    assert not [rule for rule in built[0]["rules"] if "alert" in rule]
    assert {rule["labels"]["channel"] for rule in built[1]["rules"] if "alert" in rule} == {"discord"}
    code, _, err = rules.run("explain", "high_error_rate")
    assert (code, "is disabled — enable it first: rules enable" in err) == (1, True)
    for name in names:
        rules.run("enable", name)
    assert rules.alerts.read_text() == before
    assert rules.run("build", "--check")[0] == 0


@pytest.mark.parametrize("command", ["remove", "disable", "enable"])
@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("watchdog", "watchdog is a built-in alert, which watches the monitoring itself: it cannot be"),
        (alert_id("log_unreadable"), "log_unreadable is a built-in alert"),
        ("nothing", "no alert of"),
    ],
    ids=["name", "id", "none"],
)
def test_what_cannot_be_changed_changes_nothing(rules: Rules, command: str, wanted: str, said: str) -> None:
    before = rules.alerts.read_text()
    code, out, err = rules.run(command, wanted)
    assert (code, out) == (1, "")
    assert said in err
    assert rules.alerts.read_text() == before


def test_a_change_that_cannot_be_built_is_undone(rules: Rules) -> None:
    rules.run("add", given=REQUEST)
    text = rules.alerts.read_text().replace("> $200", "> 200ms", 1)
    rules.alerts.write_text(text)
    for command, done in (("remove", "removed"), ("disable", "disabled")):
        code, _, err = rules.run(command, "Phase 8")
        assert code == 1
        assert rules.alerts.read_text() == text
        assert f"{rules.alerts}:3:" in err or done in err


def test_a_secret_that_no_alert_uses_any_more_is_said_and_kept(rules: Rules) -> None:
    _, out, err = rules.run("add", given=REQUEST | {"channel": "ops", "webhook_url": URL})
    secret = rules.folder / "secrets" / "ops_webhook_url"
    assert secret.read_text() == URL + "\n"
    assert f"the webhook's URL is in {secret}" in err
    rules.run("add", given=REQUEST | {"name": "second", "channel": "ops"})
    assert "no alert uses the channel" not in rules.run("remove", "second")[2]
    assert "no alert uses the channel" not in rules.run("disable", json.loads(out)["id"])[2]
    _, _, err = rules.run("remove", json.loads(out)["id"])
    assert f"no alert uses the channel ops any more. Its webhook's URL stays in {secret}" in err
    assert "Very-secret" not in err
    assert secret.exists()


@pytest.mark.parametrize("name", ["📈" * 100, "費用" * 50, "plain"], ids=["emoji", "kanji", "no_folder"])
def test_a_runbook_that_cannot_be_written_is_said_and_the_alert_is_there(rules: Rules, name: str) -> None:
    runbooks = rules.folder / "runbooks"
    runbooks.mkdir()
    if name == "plain":
        (runbooks / "plain.md").symlink_to(rules.folder / "nowhere" / "plain.md")
    code, out, err = rules.run("add", "--wait=0", given={**REQUEST, "name": name})
    assert (code, json.loads(out)) == (0, {"id": alert_id(name), "status": "pending"})
    assert "no runbook was written: " in err
    assert "write it yourself" in err
    assert name in rules.listed()


def test_the_list_says_who_is_told_of_a_built_in_alert(rules: Rules) -> None:
    channels = {name: each["channel"] for name, each in rules.listed().items()}
    assert channels["watchdog"] == "heartbeat"
    assert channels["notifications_failing"] == "failures,discord"
    assert channels["log_unreadable"] == "discord"
