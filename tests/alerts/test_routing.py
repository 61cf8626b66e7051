"""Alertmanager's configuration: what amtool says of it, and where each alert goes."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from alert_rules.language.channels import Channel, Channels, load_channels
from alert_rules.output.alertmanager import RoutedAlert, alertmanager_config, config_text, discord_template
from tests.support import ROOT
from tests.support.alertmanager import amtool, write_config

SECRETS = "/etc/alertmanager/secrets"
CHANNELS = Channels(
    tuple(
        Channel(name, f"{SECRETS}/{name}_webhook_url", username)
        for name, username in (("discord", "AI"), ("ops-2", None), ("dis", None))
    ),
    failures_url_file=f"{SECRETS}/failures_url",
    heartbeat_url_file=f"{SECRETS}/heartbeat_url",
)
RUNGS = ("50", "80", "100")
ALERTS = [
    RoutedAlert("budget", "critical", ("discord",), rung, RUNGS[:number])
    for number, rung in ((2, "100"), (0, "50"), (1, "80"), (2, "100"))
]
SHIPPED = ROOT / "alert_rules" / "channels.yaml"


_OF_AMTOOL_025 = {
    "discord_configs": {"webhook_url_file": ("webhook_url", "https://example.com/")},
    "webhook_configs": {"url_file": ("url", "https://example.com/")},
}


def for_old_amtool(config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration as `amtool check-config` of 0.25 accepts it: dummy URLs, no `username`."""

    def old(receiver: dict[str, Any]) -> dict[str, Any]:
        kinds: dict[str, Any] = {
            kind: [
                dict(renamed.get(key, (key, value)) for key, value in one.items() if key != "username")
                for one in receiver[kind]
            ]
            for kind, renamed in _OF_AMTOOL_025.items()
            if kind in receiver
        }
        return {"name": receiver["name"], **kinds}

    return {**config, "receivers": list(map(old, config["receivers"]))}


@pytest.fixture(scope="module", params=["all", "shipped"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("config")
    channels = CHANNELS if request.param == "all" else load_channels(SHIPPED)
    config = alertmanager_config(channels, ALERTS)
    write_config(made, config)
    (made / "old.yml").write_text(config_text(for_old_amtool(config)))
    return made


@pytest.mark.parametrize("name", ["alertmanager.yml", "old.yml"])
def test_amtool_accepts_it(folder: Path, name: str) -> None:
    code, said = amtool(folder, "check-config", f"/etc/alertmanager/{name}")
    assert code == 0, said
    assert "1 templates" in said


def test_the_old_twin_has_only_what_amtool_025_knows(folder: Path) -> None:
    """discord_configs of 0.25 know four fields, webhook_configs no url_file; the rest is the same."""
    new, old = (yaml.safe_load((folder / name).read_text()) for name in ("alertmanager.yml", "old.yml"))
    discord = [config for receiver in old["receivers"] for config in receiver.get("discord_configs", [])]
    other = [config for receiver in old["receivers"] for config in receiver.get("webhook_configs", [])]
    assert discord
    for config in discord:
        assert set(config) <= {"webhook_url", "title", "message", "send_resolved"}
    for config in other:
        assert set(config) == {"url", "send_resolved"}
    assert {key: value for key, value in new.items() if key != "receivers"} == {
        key: value for key, value in old.items() if key != "receivers"
    }
    assert [receiver["name"] for receiver in new["receivers"]] == [receiver["name"] for receiver in old["receivers"]]


def test_every_severity_and_channel_goes_where_it_says(tmp_path: Path) -> None:
    write_config(tmp_path, alertmanager_config(CHANNELS, ALERTS))
    expected = {
        ("budget", severity, channel): receivers
        for severity, (channel, receivers) in product(
            ("critical", "warning", "info", "odd"),
            {
                "discord": "discord",
                "ops-2": "ops-2",
                "dis": "dis",
                "discord,ops-2": "discord,ops-2",
                "dis,discord": "discord,dis",
                "dis,discord,ops-2": "discord,ops-2,dis",
                "disc": "discord",
                "": "discord",
            }.items(),
        )
    }
    expected |= {
        ("notifications_failing", "critical", "discord"): "failures,discord",
        ("notifications_failing", "critical", "ops-2"): "failures,ops-2",
        ("watchdog", "none", "discord"): "heartbeat",
        ("watchdog", "critical", "ops-2"): "ops-2",
    }
    script = [
        f"amtool config routes test --config.file=/etc/alertmanager/alertmanager.yml --verify.receivers={receivers}"
        f" alertname={name} severity={severity} 'channel=\"{channel}\"' || echo WRONG: {name} {severity} {channel}"
        for (name, severity, channel), receivers in expected.items()
    ]
    code, said = amtool(tmp_path, script=" ; ".join(script))
    assert code == 0
    assert "WRONG" not in said, said
    assert [line for line in said.splitlines() if line in expected.values()] == list(expected.values())


def test_the_first_channel_takes_what_names_no_channel() -> None:
    assert alertmanager_config(CHANNELS, [])["route"]["receiver"] == "discord"


def test_a_severer_rung_inhibits_the_milder_ones_of_its_own_alert() -> None:
    falling = [
        RoutedAlert("quiet", "critical", ("dis",), "9.5", ("50", "100")),
        RoutedAlert("quiet", "warning", ("dis",), "50", ("100",)),
        RoutedAlert("quiet", "info", ("dis",), "100"),
    ]
    rules = alertmanager_config(CHANNELS, [*ALERTS, *falling])["inhibit_rules"]
    by_rung = {tuple(r["source_matchers"]): r["target_matchers"][0] for r in rules if len(r["source_matchers"]) == 2}
    assert by_rung == {
        ('alertname="budget"', 'rung="80"'): 'rung=~"50"',
        ('alertname="budget"', 'rung="100"'): 'rung=~"50|80"',
        ('alertname="quiet"', 'rung="9.5"'): 'rung=~"50|100"',
        ('alertname="quiet"', 'rung="50"'): 'rung=~"100"',
    }


def test_no_secret_and_the_same_bytes_each_time() -> None:
    texts = {config_text(alertmanager_config(CHANNELS, alerts)) for alerts in (ALERTS, ALERTS[::-1])}
    assert len(texts) == 1
    text = texts.pop() + discord_template()
    assert "://" not in text.replace("https?://", "").replace('"://"', "").replace("\\\\://", "")
    assert text.startswith("# Generated by")


@pytest.mark.parametrize(
    "alert",
    [RoutedAlert("a", "critical", ("nowhere",)), RoutedAlert("a", "fatal", ("discord",))],
    ids=["channel", "severity"],
)
def test_an_alert_that_cannot_be_routed_is_an_error(alert: RoutedAlert) -> None:
    with pytest.raises(ValueError, match=r"a: no such"):
        alertmanager_config(CHANNELS, [alert])


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def routes(route: dict[str, Any], above: dict[str, Any]) -> list[dict[str, Any]]:
    """A route and those below it, each with what it inherits."""
    whole = above | route
    return [whole, *(found for below in route.get("routes", []) for found in routes(below, whole))]


def test_alertmanager_has_nothing_to_warn_of_at_its_start() -> None:
    channels = load_channels(ROOT / "alert_rules" / "channels.yaml")
    built = alertmanager_config(channels, [])
    found = routes(built["route"], {})
    assert len(found) > 5
    for route in found:
        assert seconds(route["repeat_interval"]) >= seconds(route["group_interval"]), route
        # what Alertmanager remembers of a message, unless it is told otherwise
        assert seconds(route["repeat_interval"]) <= seconds("120h"), route
