"""One fact is one message: which shipped alerts follow from others, and what a real Alertmanager makes of that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alert_rules.compiler.duplicates import team_limits, told_twice
from alert_rules.compiler.implications import Implication, implications
from alert_rules.compiler.thresholds import ALERTS_FILE
from alert_rules.language.channels import Channel, Channels
from alert_rules.language.loading import parse_alerts
from alert_rules.output.alertmanager import Timing, alertmanager_config
from alert_rules.output.building import Compiled, compiled, routed
from exporter.cli import main
from tests.support.alertmanager import Alertmanager, alert, alertmanager, write_config
from tests.support.discord_server import DiscordServer
from tests.support.programs import wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deliveries")]

CHANNELS = Channels((Channel("discord", "/etc/alertmanager/secrets/discord_webhook_url"),))
FAST = Timing(group_wait="1s", group_interval="1s", critical_group_interval="1s")
LIMIT = {"name": "over", "condition": "daily_spend > daily_limit", "channel": "discord", "severity": "critical"}


def built(*alerts: dict[str, Any]) -> Compiled:
    text = yaml.safe_dump({"alerts": list(alerts)}) if alerts else ALERTS_FILE.read_text()
    return compiled(parse_alerts(text.encode(), "alerts.yaml"), CHANNELS)


def found(*alerts: dict[str, Any]) -> set[tuple[str, str, tuple[str, ...]]]:
    """The implied alerts, by name and scope, and their rungs."""
    return {
        (implied.weaker["alertname"], implied.stronger["scope"], implied.rungs)
        for implied in implications(built(*alerts).alerts)
    }


def test_the_shipped_alerts_that_follow_from_the_limit() -> None:
    assert found() == {
        ("budget_used", "user", ("50", "80")),
        ("budget_used", "group", ("50", "80")),
        ("budget_used", "team", ("50", "80")),
        ("budget_will_not_last", "team", ()),
    }


@pytest.mark.parametrize(
    ("written", "rungs"),
    [
        ({"condition": "budget_utilization > rung", "rungs": {"90%": "info", "100%": "critical"}}, {("90", "100")}),
        ({"condition": "budget_utilization >= rung", "rungs": {"80%": "info", "120%": "critical"}}, {("80",)}),
        ({"condition": "budget_utilization >= 100%"}, {()}),
        ({"condition": "budget_utilization > 100.01%"}, set()),
        ({"condition": "budget_utilization < 50%"}, set()),
        # it may be over while the limit is exceeded
        ({"condition": "budget_utilization >= 50% and operations_per_hour > 5"}, set()),
        ({"condition": "daily_spend > $10"}, set()),
        ({"condition": "projected_daily_spend > $10"}, set()),
        ({"condition": "projected_daily_spend > daily_limit"}, {()}),
        ({"condition": "projected_daily_spend > daily_limit", "by": "operation"}, set()),
        ({"condition": "budget_utilization > 50%", "by": "user"}, {()}),
    ],
)
def test_what_follows_from_a_limit(written: dict[str, Any], rungs: set[tuple[str, ...]]) -> None:
    assert {rung for _, _, rung in found(LIMIT, {"name": "weaker", "channel": "discord", **written})} == rungs


def test_what_is_urgent_is_not_hushed_by_what_is_less_so() -> None:
    shares = {"name": "shares", "condition": "budget_utilization >= rung", "channel": "discord"}
    ladder = {**shares, "rungs": {"50%": "info", "80%": "critical"}}
    assert {rungs for _, _, rungs in found({**LIMIT, "severity": "warning"}, ladder)} == {("50",)}


def test_at_its_limit_and_above_it() -> None:
    """At 100% the limit is not exceeded: an alert that fires there is not implied by one that fires at it too."""
    at = {**LIMIT, "condition": "daily_spend >= daily_limit"}
    above = {"name": "above", "condition": "budget_utilization > 100%", "channel": "discord"}
    assert not found(at, above)
    assert found(LIMIT, above)


def test_users_without_a_series_imply_nothing() -> None:
    every: tuple[Implication, ...] = implications(built().alerts)
    assert {implied.stronger["scope"] for implied in every} == {"user", "group", "team"}


@pytest.fixture(scope="module")
def manager(server: DiscordServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("alertmanager")
    server.write_secret(folder / "secrets")
    shipped = built()
    write_config(folder, alertmanager_config(CHANNELS, routed(shipped), FAST, implications(shipped.alerts)))
    with alertmanager(folder) as running:
        yield running


def of(name: str, severity: str, *, resolved: bool = False, **labels: str) -> dict[str, Any]:
    said = f"{name} {' '.join(labels.values())}"
    return alert(name, severity, resolved=resolved, annotations={"description": said, "value": said}, **labels)


def share(rung: str, *, resolved: bool = False, **labels: str) -> dict[str, Any]:
    return of("budget_used", "warning", rung=rung, resolved=resolved, **labels)


def test_above_the_limit_only_the_limit_is_told(manager: Alertmanager, server: DiscordServer) -> None:
    alice: dict[str, Any] = {"scope": "user", "user": "alice"}
    team: dict[str, Any] = {"scope": "team"}
    for who in (alice, team):
        manager.send(*(share(rung, **who) for rung in ("50", "80")), of("budget_exceeded", "critical", **who))
    manager.send(of("budget_will_not_last", "warning"), share("80", scope="user", user="bob"))
    wait_for(lambda: server.titled("budget_exceeded") and server.titled("budget_used"))
    (used,) = server.titled("budget_used")
    assert "bob" in used.description
    assert "alice" not in used.description
    assert used.title == "🟠 Warning: budget_used"
    # whatever else was to be told has been by now
    manager.send(of("later", "warning"))
    wait_for(lambda: server.titled("later"))
    assert not server.titled("budget_will_not_last")


def test_what_was_told_before_the_limit_is_told_again_on_the_next_day(
    manager: Alertmanager, server: DiscordServer
) -> None:
    carol: dict[str, Any] = {"scope": "user", "user": "carol"}
    manager.send(share("80", **carol))
    wait_for(lambda: any("carol" in message.description for message in server.titled("Warning: budget_used")))
    manager.send(share("80", **carol), of("budget_exceeded", "critical", **carol))
    wait_for(lambda: any("carol" in message.description for message in server.titled("CRITICAL: budget_exceeded")))
    midnight = share("80", resolved=True, **carol), of("budget_exceeded", "critical", resolved=True, **carol)
    manager.send(*midnight)
    wait_for(lambda: any("**Resolved" in message.description for message in server.titled("budget_used")))
    told = len(server.titled("budget_used"))
    manager.send(share("80", **carol))
    wait_for(lambda: any("carol" in message.description for message in server.titled("budget_used")[told:]))


SPEND = {"name": "spend", "condition": "daily_spend > $200", "channel": "discord"}
MONTH = [
    {"name": "month", "condition": "monthly_spend >= rung", "channel": "discord", "rungs": {"$1,000": "info"}},
    {"name": "month_over", "condition": "monthly_spend > monthly_limit", "channel": "discord"},
]


@pytest.mark.parametrize(
    ("alerts", "limits", "warned"),
    [
        ([SPEND, LIMIT], "daily_limit_usd: 200", {"spend"}),
        ([SPEND, LIMIT], "daily_limit_usd: '200.00'", {"spend"}),
        ([LIMIT, {**SPEND, "condition": "$200 <= daily_spend"}], "daily_limit_usd: 200.0", {"spend"}),
        ([SPEND, LIMIT, {**SPEND, "name": "too", "by": "none"}], "daily_limit_usd: 200", {"spend", "too"}),
        (MONTH, "monthly_limit_usd: 1000", {"month"}),
        ([SPEND, LIMIT], "daily_limit_usd: 200.01", set()),
        ([SPEND, LIMIT], "monthly_limit_usd: 200", set()),
        ([SPEND, LIMIT], "daily_limit_usd: null", set()),
        ([SPEND, LIMIT], "daily_limit_usd: much", set()),
        ([SPEND, LIMIT], "", set()),
        # of no other alert the same is told
        ([SPEND], "daily_limit_usd: 200", set()),
        ([{**SPEND, "by": "user"}, LIMIT], "daily_limit_usd: 200", set()),
        ([{**SPEND, "condition": "daily_spend < $200"}, LIMIT], "daily_limit_usd: 200", set()),
        ([{**SPEND, "condition": "daily_spend > $200 and queue_depth > 5"}, LIMIT], "daily_limit_usd: 200", set()),
        ([SPEND, {**LIMIT, "by": "user"}], "daily_limit_usd: 200", set()),
    ],
)
def test_an_amount_that_is_the_teams_limit_is_said(
    alerts: list[dict[str, Any]], limits: str, warned: set[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(limits)
    said = list(told_twice(built(*alerts).alerts, team_limits(config)))
    assert {warning.partition(":")[0] for warning in said} == warned


def test_validate_says_it_and_finds_nothing_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("daily_limit_usd: 200\n")
    sources = ["--alerts", str(ALERTS_FILE), "--channels", str(ALERTS_FILE.with_name("channels.yaml"))]
    code = main(["rules", "validate", *sources, "--config", str(config)])
    out, err = capsys.readouterr()
    assert code == 0
    assert "nothing wrong" in out
    assert "high_daily_spend: $200 is the team's daily limit, which budget_exceeded already watches" in err
