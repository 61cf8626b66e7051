"""`rules add`: one more alert, every byte before it kept, the URL in a file of its own, whatever happens on the way."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_rules.adding.adding import Added, add_alert
from alert_rules.adding.changing import Places
from alert_rules.language.channels import Channel, Channels
from alert_rules.language.loading import load_alerts
from alert_rules.language.spec import AlertSpec
from alert_rules.model.conventions import alert_id
from alert_rules.model.errors import RulesError
from alert_rules.output.building import compiled, outputs
from alert_rules.quantities.definitions import QUANTITIES

URL = "https://discord.com/api/webhooks/123456/Very-secret_token"
OTHER_URL = "https://discord.com/api/webhooks/654321/Another-secret_token"
CHANNELS = Channels(
    (
        Channel("discord", "/etc/alertmanager/secrets/discord_webhook_url"),
        Channel("ops", "/etc/alertmanager/secrets/ops_webhook_url"),
        Channel("far", "/run/secrets/far"),
    )
)
BEFORE = """# Thresholds: ask Ann before you change one.
alerts:
  - name: high_daily_spend   # the first
    condition: daily_spend > $200
    channel: discord
    severity: warning

  # slow ones
  - name: slow_operations
    condition: avg_latency > 2000ms
    channel: discord
    severity: warning
# the end
"""
REQUEST = {"name": "Phase 8 Daily Cost Alert", "type": "daily_spend", "threshold_usd": 100, "channel": "discord"}
ADDED = """  - name: Phase 8 Daily Cost Alert
    condition: daily_spend > $100
    channel: discord
    severity: warning
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folder = tmp_path / "alert_rules"
    folder.mkdir()
    (folder / "alerts.yaml").write_text(BEFORE)
    (folder / "alerts.yaml").chmod(0o640)
    return Places(folder / "alerts.yaml", tmp_path / "secrets")


def add(places: Places, build: Callable[[], None] = lambda: None, *, replace: bool = False, **fields: Any) -> Added:
    text = json.dumps(REQUEST | fields)
    return add_alert(text, places, CHANNELS, build, replace_webhook=replace)


def files(places: Places) -> dict[str, bytes]:
    root = places.secrets.parent
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_admin_apis_request(places: Places) -> None:
    seen: list[str] = []
    added = add(places, lambda: seen.append(places.alerts.read_text()), webhook_url=URL)
    assert added == Added(alert_id("Phase 8 Daily Cost Alert"), "Phase 8 Daily Cost Alert", "active")
    assert places.alerts.read_text() == BEFORE + ADDED
    assert seen == [BEFORE + ADDED]
    secret = places.secrets / "discord_webhook_url"
    assert secret.read_text() == URL + "\n"
    # readable for Alertmanager's own user, to whom the file is mounted, and for nobody who must enter the folder
    assert stat.S_IMODE(secret.stat().st_mode) == 0o644
    assert stat.S_IMODE(places.secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE(places.alerts.stat().st_mode) == 0o640
    assert set(files(places)) == {"alert_rules/alerts.yaml", "secrets/discord_webhook_url", "secrets/.gitignore"}
    assert (places.secrets / ".gitignore").read_text() == "*\n"


def test_the_id_depends_on_the_name_alone(places: Places) -> None:
    one = add(places, name="a", threshold_usd=1)
    places.alerts.write_text(BEFORE)
    assert add(places, name="a", threshold_usd=2, severity="critical").id == one.id
    assert add(places, name="b").id != one.id


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ({"threshold_usd": 99.95}, "daily_spend > $99.95"),
        ({"threshold_usd": 1e-6}, "daily_spend > $0.000001"),
        ({"threshold_usd": 100.0}, "daily_spend > $100"),
        ({"threshold_usd": 1e3}, "daily_spend > $1000"),
        ({"type": "error_rate", "threshold_usd": None, "threshold_percent": 5}, "error_rate > 5%"),
        ({"type": "avg_latency", "threshold_usd": None, "threshold_ms": 2000}, "avg_latency > 2000ms"),
        ({"type": "avg_latency", "threshold_usd": None, "threshold_seconds": 2.5}, "avg_latency > 2.5s"),
        ({"type": "queue_depth", "threshold_usd": None, "threshold": 50}, "queue_depth > 50"),
    ],
)
def test_each_kind_of_threshold(places: Places, fields: dict[str, Any], condition: str) -> None:
    add(places, **fields)
    assert yaml.safe_load(places.alerts.read_text())["alerts"][-1]["condition"] == condition


def test_an_alerts_optional_settings(places: Places) -> None:
    add(
        places,
        name="odd: name # '1'",
        type="error_rate",
        threshold_usd=None,
        threshold_percent=5,
        channel=["discord", "ops"],
        severity="critical",
        by=["operation"],
        min_operations=20,
        window="5m",
        summary="More than usual, and: “so”.",
        keep_firing_for="5m",
        **{"for": "10m"},  # type: ignore[arg-type]  # a word of Python's
    )
    assert yaml.safe_load(places.alerts.read_text())["alerts"][-1] == {
        "name": "odd: name # '1'",
        "condition": "error_rate > 5%",
        "channel": ["discord", "ops"],
        "severity": "critical",
        "for": "10m",
        "keep_firing_for": "5m",
        "window": "5m",
        "summary": "More than usual, and: “so”.",
        "by": ["operation"],
        "min_operations": 20,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the request is not JSON"),
        ("{", "the request is not JSON"),
        ("[]", "the request is no JSON object"),
        ('{"name": "a", "name": "b"}', "a field stands twice"),
        ('{"threshold_usd": NaN}', "NaN or Infinity"),
        ("[" * 100_000, "the request is not JSON"),
        (json.dumps(REQUEST | {"treshold_usd": 1}), "treshold_usd: no such setting — did you mean threshold_usd?"),
        (json.dumps(REQUEST | {"owner": "x"}), "owner: no such setting — known here: name, condition, type,"),
        (json.dumps(REQUEST | {URL: "x"}), "(…): no such setting"),
        (json.dumps({}), "name: not set"),
        (json.dumps(REQUEST | {"name": "a/b"}), "name: 'a/b' — write up to 100 characters without slashes"),
        (json.dumps(REQUEST | {"name": "a\nb"}), r"name: 'a\nb' — write up to 100 characters"),
        (json.dumps(REQUEST | {"name": URL}), "name: a text (not shown) — take the webhook's URL out"),
        (json.dumps(REQUEST | {"name": URL.removeprefix("https://")}), "name: a text (not shown) — take the webhook's"),
        (json.dumps(REQUEST | {"type": URL, "name": ""}), "type: a text (not shown) — take the webhook's"),
        (json.dumps(REQUEST | {"by": [URL]}), "by: a text (not shown) — take the webhook's URL out"),
        (json.dumps(REQUEST | {"severity": URL}), "severity: a text (not shown) — write one of"),
        (json.dumps(REQUEST | {"window": URL}), "window: a text (not shown) — write a duration"),
        (json.dumps(REQUEST | {"rungs": {URL: "info"}}), "(…): a text (not shown) — take the webhook's URL out"),
        (json.dumps(REQUEST | {"rungs": {URL: "fatal"}}), "(…): 'fatal' — write one of"),
        (json.dumps(REQUEST | {"summary": f"see {URL}"}), "summary: a text (not shown) — take the webhook's URL out"),
        (json.dumps(REQUEST | {"type": "spend"}), "type: 'spend', which is no quantity — did you mean"),
        (
            json.dumps(REQUEST | {"type": "error_rate"}),
            "threshold_usd: threshold_usd for error_rate — write threshold_percent",
        ),
        (
            json.dumps(REQUEST | {"type": "avg_latency", "threshold_usd": None}),
            "type: no threshold beside type — write one, threshold_ms or",
        ),
        (
            json.dumps(REQUEST | {"threshold_percent": 1}),
            "threshold_usd and threshold_percent beside type — write one, threshold_usd",
        ),
        (json.dumps(REQUEST | {"threshold_usd": "100"}), "threshold_usd: '100' — write a number"),
        (json.dumps(REQUEST | {"threshold_usd": True}), "threshold_usd: true — write a number"),
        (json.dumps(REQUEST | {"threshold_usd": -1}), "threshold_usd: -1 — write 0 or more"),
        (
            '{"name": "a", "type": "daily_spend", "threshold_usd": 1e999999999, "channel": "discord"}',
            "threshold_usd: inf — write a number",
        ),
        (json.dumps(REQUEST | {"channel": "Ops!"}), "channel: 'Ops!' — write a channel's name"),
        (json.dumps(REQUEST | {"channel": []}), "channel: an empty list — write at least one"),
        (
            json.dumps(REQUEST | {"channel": "nowhere"}),
            "channel: the channel 'nowhere', which is not known — write one of discord, ops, far",
        ),
        (json.dumps(REQUEST | {"severity": "fatal"}), "severity: 'fatal' — write one of 'critical', 'warning'"),
        (json.dumps(REQUEST | {"by": [1]}), "by: 1 — write a text"),
        (json.dumps(REQUEST | {"min_operations": 1.5}), "min_operations: 1.5 — write a whole number"),
        (json.dumps(REQUEST | {"webhook_url": 5}), "webhook_url: not a text"),
        (json.dumps(REQUEST | {"channel": ["discord", "ops"], "webhook_url": URL}), "webhook_url: several channels"),
        (
            json.dumps(REQUEST | {"channel": "far", "webhook_url": URL}),
            "the channel far reads its URL from /run/secrets/far",
        ),
    ],
)
def test_a_request_that_cannot_be_met_changes_nothing(places: Places, text: str, said: str) -> None:
    with pytest.raises(RulesError) as raised:
        add_alert(text, places, CHANNELS, lambda: pytest.fail("built"))
    assert said in str(raised.value)
    assert "ecret" not in str(raised.value).replace("/run/secrets/", "").replace("a secret", "").replace("/secrets", "")
    assert files(places) == {"alert_rules/alerts.yaml": BEFORE.encode()}


def test_everything_wrong_is_said_at_once(places: Places) -> None:
    with pytest.raises(RulesError) as raised:
        add(places, name="", type="x", channel=7, severity=[], webhook_url=False, other=1)
    assert [line.split(":")[0] for line in raised.value.problems] == [
        "other",
        "name",
        "type",
        "channel",
        "severity",
        "webhook_url",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://discord.com/api/webhooks/1/Secret",
        "https://discord.com.evil.example/api/webhooks/1/Secret",
        "https://discord.com@evil.example/api/webhooks/1/Secret",
        "https://discord.com:8443/api/webhooks/1/Secret",
        "https://discord.com/api/channels/1/Secret",
        "https://discord.com/api/webhooks/1/Secret/../x",
        "https://discord.com/api/webhooks/1/Secret?wait=true",
        "https://discord.com/api/webhooks/1/Secret#x",
        "https://discord.com/api/webhooks/1/Secret\nhttps://x",
        "https://[discord.com/api/webhooks/1/Secret",
        "https://discord.com:port/api/webhooks/1/Secret",
        "http://10.0.0.1/api/webhooks/1/Secret",
        "discord.com/api/webhooks/1/Secret",
        "",
    ],
)
def test_a_url_that_is_no_webhook_is_refused_and_not_repeated(places: Places, url: str) -> None:
    with pytest.raises(RulesError) as raised:
        add(places, webhook_url=url)
    assert "https://discord.com/api/webhooks/…" in str(raised.value)
    assert "Secret" not in str(raised.value)
    assert files(places) == {"alert_rules/alerts.yaml": BEFORE.encode()}


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://canary.discord.com/api/v10/webhooks/1/x?thread_id=5",
        "http://127.0.0.1:9094/api/webhooks/1/x",
        "http://[::1]:9094/api/webhooks/1/x",
        "http://localhost/api/webhooks/1/x",
    ],
)
def test_urls_of_webhooks_are_taken(places: Places, url: str) -> None:
    add(places, webhook_url=url)
    assert (places.secrets / "discord_webhook_url").read_text() == url + "\n"


def test_another_url_is_not_replaced_unasked(places: Places) -> None:
    add(places, webhook_url=URL)
    add(places, name="same url again", webhook_url=URL)
    before = files(places)
    with pytest.raises(RulesError, match="holds another URL, which all alerts of the channel discord use") as raised:
        add(places, name="third", webhook_url=OTHER_URL)
    assert "--replace-webhook" in str(raised.value)
    assert "ecret_" not in str(raised.value)
    assert files(places) == before
    (places.secrets / "discord_webhook_url").chmod(0o640)
    add(places, name="third", webhook_url=OTHER_URL, replace=True)
    assert stat.S_IMODE((places.secrets / "discord_webhook_url").stat().st_mode) == 0o640
    assert (places.secrets / "discord_webhook_url").read_text() == OTHER_URL + "\n"


SETTINGS = st.sampled_from([known.alias or name for name, known in AlertSpec.model_fields.items()])
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["0s", "5m", "24h", "operation", "user", "discord", "critical", "70%", "$5", "500ms", "high"])
    | st.sampled_from([["user"], ["operation", "model"], {"70%": "info", "90%": "critical"}, {"$0": "info"}, []])
)
CONDITIONS = st.builds(
    "{} {} {}".format,
    st.sampled_from(sorted(QUANTITIES)),
    st.sampled_from([">", ">=", "<", "<=", "=="]),
    st.sampled_from(["0", "0%", "5%", "101%", "$0", "$5", "100ms", "0s", "1h", "rung", "daily_limit", "model_timeout"]),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=CONDITIONS, more=st.dictionaries(SETTINGS, VALUES, max_size=3))
def test_what_is_wrong_is_said_of_the_request_and_of_no_line_that_is_gone_again(
    places: Places, condition: str, more: dict[str, Any]
) -> None:
    places.alerts.write_text(BEFORE)
    request = {"name": "trial", "channel": "discord", "condition": condition} | more

    def build() -> None:
        outputs(compiled(load_alerts(places.alerts), CHANNELS))

    try:
        add_alert(json.dumps(request), places, CHANNELS, build)
    except RulesError as error:
        assert places.alerts.read_text() == BEFORE
        for problem in error.problems:
            assert re.match(r"[\w%$.,-]+: .* — ", problem), problem
            assert "alerts.yaml" not in problem or "an alert of that name is there already" in problem


@pytest.mark.parametrize("mark", ["\x7f", "\x85", "\x9f", "\u2028", "\ufeff", "\uffff"])
@pytest.mark.parametrize("setting", ["name", "summary", "condition"])
def test_a_character_that_yaml_does_not_hold_is_refused_by_the_settings_name(
    places: Places, setting: str, mark: str
) -> None:
    fields: dict[str, Any] = {"type": None, "threshold_usd": None}
    with pytest.raises(RulesError) as raised:
        add(places, **(fields | {setting: f"daily{mark}spend > $1"}))
    assert any(problem.startswith(f"{setting}: ") for problem in raised.value.problems)
    assert all("alerts.yaml" not in problem for problem in raised.value.problems)


def test_a_name_that_is_taken(places: Places) -> None:
    with pytest.raises(RulesError, match=r"alerts\.yaml:3:5: an alert of that name is there already — choose another"):
        add(places, name="high_daily_spend", webhook_url=URL)
    assert files(places) == {"alert_rules/alerts.yaml": BEFORE.encode()}


@pytest.mark.parametrize("earlier", [None, OTHER_URL])
def test_a_failed_build_puts_all_back(places: Places, earlier: str | None) -> None:
    if earlier:
        add(places, name="earlier", webhook_url=earlier)
    before = files(places)

    def fail() -> None:
        raise RulesError(["alerts.yaml:16:5: daily_spend: cannot be split by that"])

    with pytest.raises(RulesError) as raised:
        add(places, fail, webhook_url=URL, replace=True)
    assert raised.value.problems == (
        "alerts.yaml:16:5: daily_spend: cannot be split by that",
        "the alert was not added: all files are as they were",
    )
    after = files(places)
    after.pop("secrets/.gitignore")
    before.pop("secrets/.gitignore", None)
    assert after == before

    def defect() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        add(places, defect, webhook_url=URL, replace=True)
    assert places.alerts.read_bytes() == before["alert_rules/alerts.yaml"]


def test_what_somebody_saves_during_the_build_is_kept(places: Places) -> None:
    def edit_and_fail() -> None:
        places.alerts.write_text("alerts: []\n")
        raise RulesError(["no"])

    with pytest.raises(RulesError):
        add(places, edit_and_fail)
    assert places.alerts.read_text() == "alerts: []\n"


def test_a_link_stays_a_link(places: Places, tmp_path: Path) -> None:
    link = tmp_path / "linked.yaml"
    link.symlink_to(places.alerts)
    add(Places(link, places.secrets))
    assert link.is_symlink()
    assert places.alerts.read_text() == BEFORE + ADDED


def _add_many(places: Places, start: Any, names: list[str], told: Any) -> None:
    start.wait()
    for name in names:
        try:
            told.put((name, add(places, lambda: _count_build(places), name=name, webhook_url=URL).status))
        except RulesError as error:
            told.put((name, str(error)))


def _count_build(places: Places) -> None:
    # Two builds at a time would lose one of the lines.
    built = places.alerts.parent / "built"
    built.write_text((built.read_text() if built.exists() else "") + "built\n")


def test_two_at_once(places: Places) -> None:
    """Two processes add alerts, some of the same name: all are there once, and each name is answered active once."""
    context = multiprocessing.get_context("fork")
    start, told = context.Barrier(2), context.Queue()
    names = [[f"own {n} {i}" for i in range(10)] + [f"shared {i}" for i in range(10)] for n in range(2)]
    processes = [context.Process(target=_add_many, args=(places, start, mine, told), daemon=True) for mine in names]
    for process in processes:
        process.start()
    answers = [told.get(timeout=60) for _ in range(40)]
    for process in processes:
        process.join()
    active = [name for name, answer in answers if answer == "active"]
    assert sorted(active) == sorted({*names[0], *names[1]})
    assert all("there already" in answer for _, answer in answers if answer != "active")
    text = places.alerts.read_text()
    assert text.startswith(BEFORE)
    assert sorted(alert["name"] for alert in yaml.safe_load(text)["alerts"][2:]) == sorted(active)
    assert (places.alerts.parent / "built").read_text() == "built\n" * 30


STEPS = ("open", "close", "fsync", "replace", "unlink", "mkdir", "fchmod", "write")


def _killed_at(step: int, places: Places, action: Callable[[], object]) -> bool:
    """Do it in a process of its own that is killed before its n-th call of the system; whether it was."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    left = step

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    try:
        action()
        os._exit(0)
    except BaseException:
        os._exit(1)


@pytest.mark.parametrize("secret_before", [None, OTHER_URL])
def test_killed_at_any_step(places: Places, secret_before: str | None) -> None:
    secret = places.secrets / "discord_webhook_url"
    if secret_before:
        add(places, webhook_url=secret_before, name="earlier")
    before = places.alerts.read_text()
    seen = set()
    for step in range(1, 100):
        places.alerts.write_text(before)
        if secret_before:
            secret.write_text(secret_before + "\n")
            secret.chmod(0o600)
        elif places.secrets.exists():
            shutil.rmtree(places.secrets)

        def action() -> None:
            add(places, webhook_url=URL, replace=True)

        killed = _killed_at(step, places, action)
        text = places.alerts.read_text()
        url = secret.read_text() if secret.exists() else None
        assert text in (before, before + ADDED)
        assert url in (None if secret_before is None else secret_before + "\n", URL + "\n")
        if text != before:
            assert url == URL + "\n", "an alert without its webhook"
        for held in places.secrets.glob("*webhook_url*") if places.secrets.exists() else ():
            assert stat.S_IMODE(held.stat().st_mode) in (0o600, 0o644)
            assert stat.S_IMODE(places.secrets.stat().st_mode) == 0o700
        seen.add((text != before, url))
        # Whatever was left: the next one works, and takes no notice.
        add(places, name="next", webhook_url=URL, replace=True)
        assert places.alerts.read_text() == text + ADDED.replace(REQUEST["name"], "next")  # type: ignore[arg-type]
        assert not list(places.alerts.parent.glob(".*"))
        if not killed:
            break
    else:
        pytest.fail("never came to an end")
    assert step > 10
    # Both files old, only the URL new, both new.
    assert len(seen) == 3


@pytest.mark.parametrize(
    "name", ["exporter_down", "watchdog", "Log_Unreadable", "ai_monitoring_test", "AI_monitoring_Test"]
)
def test_the_name_of_a_built_in_alert_is_refused(places: Places, name: str) -> None:
    before = files(places)
    with pytest.raises(RulesError, match=r"^name: the name '\w+', which is a built-in alert's — choose another one$"):
        add(places, name=name)
    assert files(places) == before


def test_certainty_is_one_of_the_settings(places: Places) -> None:
    add(places, name="any failures", type="error_rate", threshold_usd=None, threshold_percent=5, certainty="none")
    assert yaml.safe_load(places.alerts.read_text())["alerts"][-1] == {
        "name": "any failures",
        "condition": "error_rate > 5%",
        "channel": "discord",
        "severity": "warning",
        "certainty": "none",
    }
