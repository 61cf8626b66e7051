"""What arrives when Discord refuses for its rate, and what Alertmanager says of its configuration."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alert_rules.language.channels import Channel, Channels
from alert_rules.output.alertmanager import Timing, alertmanager_config
from deploy.discord_receiver import Answer, DiscordReceiver
from tests.support.alertmanager import Alertmanager, alert, alertmanager, write_config
from tests.support.discord_server import DiscordServer
from tests.support.programs import wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deliveries")]

CHANNELS = Channels((Channel("discord", "/etc/alertmanager/secrets/discord_webhook_url"),))
REFUSED = 0.3


class RefusingReceiver(DiscordReceiver):
    """Refuses three of ten requests, always the same ones."""

    def __init__(self) -> None:
        super().__init__()
        self._random = random.Random(11)

    def answer(self, target: str, body: bytes) -> Answer:
        """Refuse before anything else is looked at, as Discord does."""
        if self._random.random() < REFUSED:
            self.limit_rate(1, 0.5)
        return super().answer(target, body)


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    receiver = RefusingReceiver()
    receiver.start()
    try:
        yield DiscordServer(receiver)
    finally:
        receiver.stop()


@pytest.fixture
def manager(server: DiscordServer, tmp_path: Path) -> Iterator[Alertmanager]:
    """One with the shipped intervals, a minute of which is a second; warnings keep their five minutes."""
    server.write_secret(tmp_path / "secrets")
    timing = Timing(group_wait="1s", critical_group_interval="1s")
    write_config(tmp_path, alertmanager_config(CHANNELS, [], timing))
    with alertmanager(tmp_path) as running:
        yield running


def turns(manager: Alertmanager) -> int:
    """How often groups have had their turn: each asks the log of notifications what was told last."""
    (count,) = re.findall(r"^alertmanager_nflog_queries_total (\d+)$", manager.metrics(), re.MULTILINE)
    return int(count)


def test_every_critical_message_arrives_once_when_three_of_ten_are_refused(
    manager: Alertmanager, server: DiscordServer
) -> None:
    names = [f"alert {number:02}." for number in range(20)]
    manager.send(*(alert(name, "critical") for name in names))
    wait_for(lambda: all(server.titled(name) for name in names))
    assert server.receiver.refused
    assert {answer.status for answer in server.receiver.refused} == {429}
    # five more turns of each group, and nothing is told again: nothing has changed
    after = turns(manager) + 5 * len(names)
    wait_for(lambda: turns(manager) >= after)
    assert [len(server.titled(name)) for name in names] == [1] * len(names)
    manager.send(*(alert(name, "critical", resolved=True) for name in names))
    wait_for(lambda: all(len(server.titled(name)) == 2 for name in names))


def test_nothing_is_wrong_with_the_shipped_intervals(tmp_path: Path) -> None:
    """Alertmanager warns at each start of a repetition that is shorter than the interval of its group."""
    write_config(tmp_path, alertmanager_config(CHANNELS, []))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "discord_webhook_url").write_text("http://127.0.0.1:9/api/webhooks/1/none")
    with alertmanager(tmp_path) as running:
        said = running.log()
    assert "level=INFO" in said
    assert "level=WARN" not in said


def test_the_heartbeat_is_sent_every_minute_and_no_beat_is_left_out() -> None:
    timing = Timing()
    interval, repeat = (int(text.removesuffix("s")) for text in (timing.heartbeat_interval, timing.heartbeat_repeat))
    # at its turns, the first at which the last beat is older than the repetition
    assert next(turn for turn in range(interval, 600, interval) if turn > repeat) == 60
    assert interval <= repeat <= 60 - 5
