"""What a reader of Discord gets: a real Alertmanager, and a receiver that refuses what Discord refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alert_rules.adding.secrets import write_secret
from alert_rules.language.channels import Channel, Channels
from alert_rules.output.alertmanager import RoutedAlert, Timing, alertmanager_config
from tests.support.alertmanager import Alertmanager, alert, alertmanager, write_config
from tests.support.discord_server import DiscordServer
from tests.support.programs import wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deliveries")]

CHANNELS = Channels(
    tuple(Channel(name, f"/etc/alertmanager/secrets/{name}_webhook_url") for name in ("discord", "ops")),
    failures_url_file="/etc/alertmanager/secrets/failures_webhook_url",
)
LADDER = [
    RoutedAlert(name, severity, ("discord",), rung, below)
    for name in ("ladder", "days", "even")
    for rung, severity, below in (
        ("50", "info", ()),
        ("80", "warning", ("50",)),
        ("100", "critical", ("50", "80")),
    )
]
FAST = Timing(group_wait="1s", group_interval="1s", critical_group_interval="1s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alertmanager")


@pytest.fixture(scope="module")
def manager(server: DiscordServer, folder: Path) -> Iterator[Alertmanager]:
    for channel in CHANNELS.names:
        server.write_secret(folder / "secrets", channel)
    (folder / "secrets" / "failures_webhook_url").write_text("http://127.0.0.1:9/")
    write_config(folder, alertmanager_config(CHANNELS, LADDER, FAST))
    with alertmanager(folder) as running:
        yield running


def rung(number: str, user: str, name: str, **more: Any) -> dict[str, Any]:
    severity = {"50": "info", "80": "warning", "100": "critical"}[number]
    return alert(
        name,
        severity,
        rung=number,
        user=user,
        annotations={"value": f"{number} %", "description": f"{user} {number} %"},
        **more,
    )


def inhibited(manager: Alertmanager, name: str) -> set[tuple[str, ...]]:
    """Rung or severity, and user, of an alert's inhibited ones."""
    return {
        (found["labels"].get("rung", found["labels"]["severity"]), found["labels"].get("user", ""))
        for found in manager.alerts()
        if found["labels"]["alertname"] == name and found["status"]["inhibitedBy"]
    }


def flushed(manager: Alertmanager, server: DiscordServer, name: str) -> None:
    """Wait until all that was sent before would have arrived: a later alert's message has."""
    manager.send(alert(name, "info"))
    wait_for(lambda: server.titled(name))


def test_an_alert_fires_and_resolves(manager: Alertmanager, server: DiscordServer) -> None:
    annotations = {
        "summary": "More was spent today than the daily limit.",
        "description": "Spend today is $212.40, over the limit of $200.00.",
        "value": "$212.40",
        "contributors": "email-compose $120.10\nemail-respond $60.00\ncalendar-prep $32.30",
        "runbook_url": "https://example.org/runbooks/over.md",
        "dashboard_url": "https://grafana.example.org/d/ai-cost",
    }
    manager.send(alert("over limit", "critical", annotations=annotations))
    (firing,) = wait_for(lambda: server.titled("over limit"))
    assert firing.title == "🔴 CRITICAL: over limit"
    assert firing.description.split("\n") == [
        "More was spent today than the daily limit.",
        "",
        "**Firing**",
        "• Spend today is $212.40, over the limit of $200.00.",
        "↳ email-compose $120.10 · email-respond $60.00 · calendar-prep $32.30",
        "",
        "[Panel](https://grafana.example.org/d/ai-cost)",
        "[Runbook](https://example.org/runbooks/over.md)",
    ]
    manager.send(alert("over limit", "critical", resolved=True, annotations=annotations))
    _, resolved = wait_for(lambda: len(found := server.titled("over limit")) > 1 and found)
    assert resolved.title == "✅ Resolved (critical): over limit"
    assert "• was $212.40" in resolved.description
    assert "Firing" not in resolved.description


def test_sixty_users_are_one_message(manager: Alertmanager, server: DiscordServer) -> None:
    text = {"summary": "A user has spent more than the daily limit."}
    manager.send(
        *(
            alert("sixty users", "critical", user=f"user-{i:02}", annotations=text | {"description": "x" * 5000})
            for i in range(60)
        )
    )
    wait_for(lambda: server.titled("sixty users"))
    flushed(manager, server, "after sixty")
    (message,) = server.titled("sixty users")
    assert message.title == "🔴 CRITICAL: sixty users (60 firing)"
    listed = message.description.count("• ")
    assert listed >= 3
    assert f"… and {60 - listed} more" in message.description
    assert not server.receiver.refused


def test_two_jobs_are_two_messages(manager: Alertmanager, server: DiscordServer) -> None:
    jobs = ("ai", "other")
    manager.send(
        *(alert("two jobs", "warning", annotations={"job": job}) | {"labels": _labels("two jobs", job)} for job in jobs)
    )
    messages = wait_for(lambda: len(found := server.titled("two jobs")) > 1 and found)
    assert sorted(message.description.split("\n")[-1] for message in messages) == ["job ai", "job other"]


def _labels(name: str, job: str) -> dict[str, str]:
    return {"alertname": name, "severity": "warning", "channel": "discord", "job": job}


def test_each_channel_of_an_alert_gets_it(manager: Alertmanager, server: DiscordServer) -> None:
    manager.send(
        alert("both", "warning", "discord,ops"), alert("only ops", "warning", "ops"), alert("none", "info", "?")
    )
    wait_for(lambda: len(server.titled("both")) == 2 and server.titled("only ops") and server.titled("none"))
    assert {message.webhook for message in server.titled("both")} == {"discord", "ops"}
    assert {message.webhook for message in server.titled("only ops")} == {"ops"}
    assert {message.webhook for message in server.titled("none")} == {"discord"}


def test_a_higher_rung_silences_the_lower_ones_of_the_same_user(manager: Alertmanager, server: DiscordServer) -> None:
    manager.send(
        *(rung(number, "alice", "ladder") for number in ("50", "80", "100")),
        *(rung(number, "bob", "ladder") for number in ("50", "80")),
        rung("50", "carol", "ladder"),
    )
    wait_for(lambda: len(server.titled("ladder")) == 3)
    assert inhibited(manager, "ladder") == {("50", "alice"), ("80", "alice"), ("50", "bob")}
    flushed(manager, server, "after the lad")
    messages = {message.title for message in server.titled("ladder")}
    # One user in each: no "(2 firing)".
    assert messages == {"🔵 Info: ladder", "🟠 Warning: ladder", "🔴 CRITICAL: ladder"}
    manager.send(*(rung(number, "alice", "ladder", resolved=True) for number in ("50", "80", "100")))
    (resolved,) = wait_for(lambda: server.titled("Resolved (critical): ladder"))
    assert "• user alice, step 100: was 100 %" in resolved.description
    # Once the highest is over, so are the lower ones; they were never told as firing.
    flushed(manager, server, "after the resolved lad")
    for message in server.titled("ladder"):
        firing, _, _ = message.description.partition("**Resolved")
        assert "alice" not in firing or message.title == "🔴 CRITICAL: ladder"


def test_a_lower_rung_that_was_told_is_told_again_on_the_next_day(manager: Alertmanager, server: DiscordServer) -> None:
    """Alertmanager forgets to say the resolution of what is inhibited, and then its next firing too."""
    manager.send(rung("80", "dora", "days"))
    wait_for(lambda: server.titled("Warning: days"))
    manager.send(rung("80", "dora", "days"), rung("100", "dora", "days"))
    wait_for(lambda: server.titled("CRITICAL: days"))
    manager.send(*(rung(number, "dora", "days", resolved=True) for number in ("80", "100")))
    wait_for(lambda: server.titled("Resolved (critical): days") and server.titled("Resolved (warning): days"))
    manager.send(rung("80", "dora", "days"))
    wait_for(lambda: len(server.titled("Warning: days")) == 2)


def test_an_exporter_that_is_down_silences_nothing(manager: Alertmanager, server: DiscordServer) -> None:
    """What is held through a gap may end in it, at midnight, and must be told then."""
    manager.send(alert("held", "critical"))
    wait_for(lambda: server.titled("CRITICAL: held"))
    manager.send(*(alert(name, "critical") for name in ("exporter_down", "log_unreadable", "figures_stale")))
    wait_for(lambda: server.titled("figures_stale"))
    manager.send(alert("held", "critical", resolved=True))
    wait_for(lambda: server.titled("Resolved (critical): held"))


def test_a_ladder_of_one_severity_is_still_a_ladder(manager: Alertmanager, server: DiscordServer) -> None:
    manager.send(
        *(
            alert("even", "warning", rung=number, annotations={"description": f"rung {number}"})
            for number in ("50", "80", "100")
        )
    )
    (message,) = wait_for(lambda: server.titled("even"))
    assert inhibited(manager, "even") == {("50", ""), ("80", "")}
    assert "• rung 100" in message.description
    assert "rung 80" not in message.description


def test_critical_silences_only_the_same_thing(manager: Alertmanager, server: DiscordServer) -> None:
    """Every label in turn differs, or is missing on one side: none of those may be silenced."""
    others = [
        alert("same", "warning", user="u", operation="o"),
        alert("same", "warning", user="u", operation="o", model="other"),
        alert("same", "warning", user="u", model="m"),
        alert("same", "warning", operation="o", model="m"),
        alert("same", "warning"),
        alert("same", "warning", user="u", operation="o", model="m", reason="r"),
        alert("same", "warning", user="u", operation="o", model="m", scope="s"),
        alert("same", "warning", "ops", user="u", operation="o", model="m"),
        alert("same", "warning", user="u", operation="o", model="m") | {"labels": _same_but(job="other")},
        alert("same", "warning", user="u", operation="o", model="m") | {"labels": _same_but(alertname="different")},
    ]
    manager.send(
        alert("same", "critical", user="u", operation="o", model="m"),
        alert("same", "warning", user="u", operation="o", model="m"),
        *others,
    )
    wait_for(lambda: len(server.titled("same")) == 4 and server.titled("different"))
    found = [a["labels"] for a in manager.alerts() if a["status"]["inhibitedBy"] and a["labels"]["alertname"] == "same"]
    assert found == [_same_but()]


def _same_but(**more: str) -> dict[str, str]:
    same = {"alertname": "same", "severity": "warning", "channel": "discord", "job": "ai"}
    return same | {"user": "u", "operation": "o", "model": "m"} | more


def test_what_discord_refuses_for_its_rate_arrives_later(manager: Alertmanager, server: DiscordServer) -> None:
    refused = len(server.receiver.refused)
    server.receiver.limit_rate(1, 0.3)
    manager.send(alert("limited", "warning"))
    wait_for(lambda: server.titled("limited"))
    assert [answer.status for answer in server.receiver.refused[refused:]] == [429]
    failed = [
        line for line in manager.metrics().splitlines() if line.startswith("alertmanager_notifications_failed_total{")
    ]
    assert any('integration="discord"' in line and not line.endswith(" 0") for line in failed)
    server.receiver.refused.clear()


def test_a_replaced_webhook_is_used_at_once(manager: Alertmanager, server: DiscordServer, folder: Path) -> None:
    secret = folder / "secrets" / "ops_webhook_url"
    write_secret(secret, server.url("moved"))
    manager.send(alert("after the move", "info", "ops"))
    assert wait_for(lambda: server.titled("after the move"))[0].webhook == "moved"
    write_secret(secret, server.url("ops"))
