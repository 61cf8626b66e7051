"""The service sends one digest a day: at its time, late, after failures, and never twice."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from deploy.discord_receiver import Answer
from exporter.config import Config
from exporter.digest import service as module
from exporter.digest.run import Made, Wanted
from exporter.digest.sent import SentFile
from exporter.digest.service import DailyService
from exporter.errors import UserError
from tests.support.digests import full_digest
from tests.support.discord_server import DiscordServer, discord_server

PNG = b"\x89PNG\r\n\x1a\n"
ZONE = "Europe/Berlin"
NO_DATABASE = "the database does not answer"


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with discord_server() as running:
        yield running


@dataclass
class World:
    """A clock that jumps as far as is waited, what is read of the log, and requests by their moment."""

    server: DiscordServer
    folder: Path
    now: float = 0.0
    database_until: float = 0.0
    requests: list[tuple[float, Literal["stop", "reload"]]] = field(default_factory=list)
    made: list[tuple[Wanted, tuple[str, ...]]] = field(default_factory=list)
    zone: str = ZONE

    def make(self, _: Config, __: Any, wanted: Wanted, notes: Any = ()) -> Made:
        """Stands for reading and drawing: fails while there is no database."""
        if self.now < self.database_until:
            raise UserError(NO_DATABASE)
        self.made.append((wanted, tuple(notes)))
        return Made(full_digest(notes=tuple(notes)), PNG)

    def wait(self, seconds: float | None = None) -> Literal["stop", "reload", "timeout"]:
        """Let time pass until the next request, or until the wait is over."""
        assert seconds is not None
        until = self.now + seconds
        if self.requests and self.requests[0][0] <= until:
            self.now, asked = self.requests[0]
            if asked == "reload":
                self.requests.pop(0)
            return asked
        self.now = until
        return "timeout"

    def load(self) -> Config:
        """The configuration."""
        return Config.model_validate(
            {"database": {"url": "postgresql://u:pw@127.0.0.1:1/d"}, "budget_time_zone": self.zone}
        )

    def moment(self, text: str) -> float:
        """A local time."""
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()

    def serve(self, begin: str, end: str, at: time = time(6)) -> None:
        """A service that is started and stopped at these local times."""
        self.now = self.moment(begin)
        self.requests = [*self.requests, (self.moment(end), "stop")]
        environ = {"DISCORD_WEBHOOK_URL": self.server.url()}
        sent = SentFile(self.folder / "digest.json")

        def tell() -> float:
            return self.now

        DailyService(self.load, environ, Wanted(), None, at, sent, self, clock=tell, stopwatch=tell).run()
        self.requests = []

    @property
    def footers(self) -> list[str]:
        """The last line of each message that arrived."""
        return [body["embeds"][0]["footer"]["text"] for _, body in self.server.receiver.accepted]

    @property
    def days(self) -> list[str]:
        """The day that each one that was made is about."""
        return [datetime.fromordinal(wanted.day or 0).date().isoformat() for wanted, _ in self.made]


@pytest.fixture
def world(server: DiscordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(server, tmp_path)
    monkeypatch.setattr(module, "make_digest", made.make)
    monkeypatch.setattr(module, "install_logging", lambda *_: None)
    return made


def test_three_days_three_messages_about_the_days_before(world: World) -> None:
    world.serve("2026-06-10T04:00", "2026-06-12T23:00")
    assert world.days == ["2026-06-09", "2026-06-10", "2026-06-11"]
    assert len(world.server.receiver.accepted) == 3
    assert world.server.receiver.files == [{"digest.png": PNG}] * 3
    assert not any("late" in footer for footer in world.footers)


def test_restarts_send_nothing_twice(world: World) -> None:
    for begin, end in (("05:59", "06:01"), ("06:01", "06:30"), ("06:00", "09:00"), ("11:59", "23:00")):
        world.serve(f"2026-06-10T{begin}", f"2026-06-10T{end}")
    assert world.days == ["2026-06-09"]


@pytest.mark.parametrize(
    ("started", "messages"), [("06:04", 1), ("07:00", 1), ("11:55", 1), ("12:00", 0), ("23:00", 0), ("05:00", 0)]
)
def test_what_was_missed_is_sent_late_within_hours_and_says_so(world: World, started: str, messages: int) -> None:
    world.serve(f"2026-06-10T{started}", "2026-06-10T23:59" if started > "06:00" else "2026-06-10T05:59")
    assert len(world.footers) == messages
    if messages:
        assert ("Sent late: it was due at 06:00" in world.footers[0]) == (started > "06:05")


@pytest.mark.parametrize(
    ("begin", "end", "at", "days"),
    [
        # 02:30 is skipped on March 29, and comes twice on October 25
        ("2026-03-28T12:00", "2026-03-30T12:00", time(2, 30), ["2026-03-28", "2026-03-29"]),
        ("2026-10-24T12:00", "2026-10-26T12:00", time(2, 30), ["2026-10-24", "2026-10-25"]),
        ("2026-03-28T12:00", "2026-03-30T12:00", time(0, 0), ["2026-03-28", "2026-03-29"]),
        ("2026-10-24T12:00", "2026-10-26T12:00", time(23, 59), ["2026-10-23", "2026-10-24"]),
    ],
)
def test_a_day_with_a_moved_clock_has_one_message(
    world: World, begin: str, end: str, at: time, days: list[str]
) -> None:
    world.serve(begin, end, at)
    assert world.days == days
    assert len(world.footers) == len(days)


def test_a_restart_between_the_two_half_past_two_sends_once(world: World) -> None:
    world.serve("2026-10-25T01:00", "2026-10-25T02:40", time(2, 30))
    world.now = world.moment("2026-10-25T02:40") + 1800
    world.serve("2026-10-25T03:00", "2026-10-25T12:00", time(2, 30))
    assert world.days == ["2026-10-24"]


def test_a_database_that_comes_back_is_asked_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.database_until = world.moment("2026-06-10T08:10")
    world.serve("2026-06-10T05:00", "2026-06-10T23:00")
    assert world.days == ["2026-06-09"]
    assert "Sent late" in world.footers[0]
    said = [each.message for each in caplog.records if NO_DATABASE in each.message]
    # 1, 2, 4, 8 and then 15 minutes apart
    assert 5 <= len(said) <= 15
    assert "trying again in 60 s" in said[0]


def test_what_cannot_be_sent_in_time_is_given_up_and_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.database_until = world.moment("2026-06-11T00:00")
    world.serve("2026-06-10T05:00", "2026-06-11T07:00")
    assert world.days == ["2026-06-10"]
    assert "the digest for 2026-06-09 is given up: it is more than 6.0 h late" in caplog.text


def test_a_refusal_for_hours_is_obeyed(world: World) -> None:
    world.server.receiver.limit_rate(1, 3600)
    world.serve("2026-06-10T05:00", "2026-06-10T23:00")
    assert len(world.footers) == 1
    assert len(world.server.receiver.refused) == 1
    assert len(world.made) == 2


def test_a_refusal_for_seconds_is_waited_out(world: World) -> None:
    world.server.receiver.fail(Answer(429, {"retry_after": 2.5}), Answer(502))
    world.serve("2026-06-10T05:00", "2026-06-10T23:00")
    assert (len(world.made), len(world.footers)) == (1, 1)


def test_a_webhook_that_is_gone_is_said_and_no_other_day_is_lost(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.receiver.fail(*[Answer(404, {"message": "Unknown Webhook", "code": 10015})] * 28)
    world.serve("2026-06-10T05:00", "2026-06-11T23:00")
    assert "Unknown Webhook" in caplog.text
    assert world.server.url().rpartition("/")[2] == "discord"
    assert "/api/webhooks" not in caplog.text
    assert world.days[-1] == "2026-06-10"
    assert len(world.footers) == 1


def test_a_stop_while_discord_refuses_ends_the_service_and_leaves_the_message_owed(world: World) -> None:
    world.server.receiver.fail(*[Answer(503)] * 100)
    world.serve("2026-06-10T05:59", "2026-06-10T06:01")
    world.server.receiver.fail()
    world.serve("2026-06-10T06:02", "2026-06-10T06:30")
    assert len(world.footers) == 1


def test_a_record_that_cannot_be_written_is_said_and_sends_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original: Callable[[SentFile, int | None], None] = SentFile._write

    def full(self: SentFile, day: int | None) -> None:
        if day is not None:
            raise OSError(28, "No space left on device")
        original(self, day)

    monkeypatch.setattr(SentFile, "_write", full)
    world.serve("2026-06-10T05:00", "2026-06-10T23:00")
    assert len(world.footers) == 1
    assert "No space left on device" in caplog.text


def test_an_internal_error_does_not_end_the_service(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [ZeroDivisionError("x")]

    def make(*arguments: Any) -> Made:
        if failures:
            raise failures.pop()
        return world.make(*arguments)

    monkeypatch.setattr(module, "make_digest", make)
    world.serve("2026-06-10T05:00", "2026-06-10T23:00")
    assert len(world.footers) == 1
    assert "internal error" in caplog.text


def test_a_reload_brings_a_new_zone_into_force(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def load() -> Config:
        world.zone = "UTC"
        return original()

    original = world.load
    world.requests = [(world.moment("2026-06-10T05:30"), "reload")]
    first = world.load()
    loads = [first]
    world.load = lambda: loads.pop() if loads else load()  # type: ignore[method-assign]
    world.serve("2026-06-10T05:00", "2026-06-10T07:59")
    assert "reloaded" in caplog.text
    assert world.footers == []
    world.serve("2026-06-10T07:59", "2026-06-10T09:00")
    assert len(world.footers) == 1


def test_a_bad_configuration_leaves_the_one_before_in_force(world: World, caplog: pytest.LogCaptureFixture) -> None:
    loads = [world.load()]

    def load() -> Config:
        if loads:
            return loads.pop()
        raise UserError("config.yaml:1: nonsense")

    world.load = load  # type: ignore[method-assign]
    world.requests = [(world.moment("2026-06-10T05:30"), "reload")]
    world.serve("2026-06-10T05:00", "2026-06-10T07:00")
    assert "not reloaded" in caplog.text
    assert len(world.footers) == 1


def test_it_does_not_begin_without_a_webhook_or_a_picture(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent = SentFile(tmp_path / "digest.json")
    with pytest.raises(UserError, match="no webhook is given"):
        DailyService(world.load, {}, Wanted(), None, time(6), sent, world).run()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    environ = {"DISCORD_WEBHOOK_URL": world.server.url()}
    with pytest.raises(UserError, match="--no-picture"):
        DailyService(world.load, environ, Wanted(), None, time(6), sent, world).run()
