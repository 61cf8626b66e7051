"""`channels.yaml`: what it means, and what is said about one that cannot be used."""

from pathlib import Path

import pytest

from alert_rules.language.channels import Channel, Channels, load_channels
from alert_rules.model.errors import RulesError
from tests.support import ROOT

SHIPPED = ROOT / "alert_rules" / "channels.yaml"
URL = "https://discord.com/api/webhooks/1/very-secret"


def load(folder: Path, text: str) -> Channels:
    file = folder / "channels.yaml"
    file.write_text(text)
    return load_channels(file)


def test_the_shipped_file_has_one_channel() -> None:
    assert load_channels(SHIPPED) == Channels((Channel("discord", "/etc/alertmanager/secrets/discord_webhook_url"),))


def test_all_settings(tmp_path: Path) -> None:
    channels = load(
        tmp_path,
        "channels:\n"
        "  ops: {type: discord, webhook_url_file: /run/secrets/ops, username: AI operations}\n"
        "  discord: {type: discord}\n"
        "failures: {type: webhook, url_file: /run/secrets/failures}\n"
        "heartbeat: {url_file: /run/secrets/heartbeat}\n",
    )
    assert channels.names == ("ops", "discord")
    assert channels.default == "ops"
    assert channels.channels[0] == Channel("ops", "/run/secrets/ops", "AI operations")
    assert (channels.failures_url_file, channels.heartbeat_url_file) == (
        "/run/secrets/failures",
        "/run/secrets/heartbeat",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file: nothing — write a mapping"),
        ("channels: {}\n", "1:1: channels: an empty mapping — write at least one channel"),
        ("channels:\n  - discord\n", "1:1: channels: a list — write a mapping, one 'name: value' a line"),
        (
            "chanels:\n  a: {type: discord}\n",
            "1:1: chanels: no such setting — did you mean channels?",
        ),
        ("channels:\n  Ops: {type: discord}\n", "2:3: channels.Ops: a text (not shown) — write small letters"),
        ("channels:\n  ops:\n", "2:3: channels.ops: nothing — write a mapping"),
        ("channels:\n  ops: {}\n", "2:3: channels.ops.type: not set — set it"),
        ("channels:\n  ops:\n    type: slack\n", "3:5: channels.ops.type: 'slack' — write 'discord'"),
        (
            "channels:\n  ops: {type: discord, url: x}\n",
            "channels.ops.url: no such setting — known here: type, webhook",
        ),
        ("channels:\n  failures: {type: discord}\n", "2:3: channels.failures: taken by the receiver of that name"),
        (
            "channels:\n  ops: {type: discord, webhook_url_file: secrets/x}\n",
            "a text (not shown) — write the absolute path",
        ),
        (f"channels:\n  ops: {{type: discord, webhook_url_file: '{URL}'}}\n", "(not shown) — write the absolute path"),
        ("channels:\n  ops: {type: discord, username: My Discord}\n", "write a name without “discord” or “clyde”"),
        (
            f"channels:\n  ops: {{type: discord, username: {'x' * 81}}}\n",
            "username: a text (not shown) — write at most 80",
        ),
        ("channels:\n  ops: {type: discord, username: 7}\n", "2:24: channels.ops.username: 7 — write a text"),
        (
            "channels: {ops: {type: discord}}\nfailures: {url: x}\n",
            "2:12: failures.url: no such setting — known here: type,",
        ),
        ("channels: [\n", "2:1: not YAML"),
        ("channels: {a: {type: discord}, a: {type: discord}}\n", "1:32: a: the setting a second time — keep one"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesError) as raised:
        load(tmp_path, text)
    assert f"{tmp_path}/channels.yaml:" in str(raised.value)
    assert said in str(raised.value)
    assert "very-secret" not in str(raised.value)


def test_all_problems_at_once(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as raised:
        load(tmp_path, "channels:\n  a: {type: mail}\n  b: {}\nheartbeat: 1\n")
    assert [problem.split(": ")[1] for problem in raised.value.problems] == [
        "channels.a.type",
        "channels.b.type",
        "heartbeat",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="No such file or directory — name a file"):
        load_channels(tmp_path / "no.yaml")
