"""How a past day's rows are summed, and compared with what the ledger holds."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.catalog import USD
from exporter.ledger.model import TimeRange
from exporter.scrape.drift import DriftSampler
from tests.support.ledger_driver import START, Exporter, started
from tests.support.model_log import Log

HOUR = 3600
DAY = 24 * HOUR


class Hurried:
    """A session whose time is over after each statement."""

    def __init__(self) -> None:
        self._left = 10.0

    @property
    def left(self) -> float:
        self._left /= 2
        return 2 * self._left


class Patient:
    """A session with all the time in the world."""

    left = 10.0


class Ledger:
    """An exporter's ledger where the sampler expects the books, and the log's own sums in place of a database."""

    def __init__(self, exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = exporter.settings
        self.classification: object = SimpleNamespace()
        self.state = exporter.state
        self.spans: list[TimeRange] = []
        self._log = exporter.log
        monkeypatch.setattr("exporter.scrape.drift.read_spend", self._read_spend)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        yield

    def _read_spend(self, session: Any, table: Any, rules: Any, span: TimeRange) -> int:
        self.spans.append(span)
        return sum(row.cost or 0 for row in self._log.within(span))


@pytest.fixture
def log() -> Log:
    """A dollar an hour for two days."""
    log = Log()
    for hours in range(1, 48):
        log.insert(START - hours * HOUR, cost=USD)
    return log


@pytest.fixture
def ledger(log: Log, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    return Ledger(started(log, backfill_since=START - 2 * DAY), monkeypatch)


def sample(sampler: DriftSampler, ledger: Ledger, session: Any, piece: int = 6 * HOUR) -> int:
    """Read until a day is whole, and compare; returns in how many sessions."""
    for sessions in range(1, 50):
        if sampler.read(session, None, ledger.state, piece):  # type: ignore[arg-type]
            sampler.compare(ledger.state)
            return sessions
        assert sampler.under_way
    raise AssertionError("it never ends")


def test_a_day_is_summed_by_pieces_that_join(log: Log, ledger: Ledger) -> None:
    sampler = DriftSampler(ledger)  # type: ignore[arg-type]
    assert sampler.drift is None
    assert sample(sampler, ledger, Patient()) == 1
    assert sampler.drift == 0
    assert [span.hi - span.lo for span in ledger.spans] == [6 * HOUR] * 4
    assert [span.hi for span in ledger.spans[:-1]] == [span.lo for span in ledger.spans[1:]]
    log.insert(START - DAY, cost=3)
    sample(sampler, ledger, Patient())
    assert sampler.drift == 3


def test_where_the_time_is_short_it_goes_on_in_the_next_session(log: Log, ledger: Ledger) -> None:
    sampler = DriftSampler(ledger)  # type: ignore[arg-type]
    log.insert(START - DAY, cost=3)
    assert sample(sampler, ledger, Hurried(), HOUR) > 3
    assert sampler.drift == 3
    assert len(ledger.spans) == 24


def test_what_was_summed_by_settings_that_changed_is_dropped(ledger: Ledger) -> None:
    sampler = DriftSampler(ledger)  # type: ignore[arg-type]
    assert not sampler.read(Hurried(), None, ledger.state, HOUR)  # type: ignore[arg-type]
    begun = len(ledger.spans)
    ledger.classification = SimpleNamespace()
    sample(sampler, ledger, Patient(), DAY)
    assert sampler.drift == 0
    assert ledger.spans[begun].hi - ledger.spans[begun].lo == DAY


def test_a_day_of_which_rows_may_be_lacking_is_begun_anew(log: Log, ledger: Ledger) -> None:
    sampler = DriftSampler(ledger)  # type: ignore[arg-type]
    unseen = [log.delete(row) for row in list(log.rows.values())]
    assert not sampler.read(Hurried(), None, ledger.state, HOUR)  # type: ignore[arg-type]
    for row in unseen:
        log.put(row)
    sampler.forget()
    begun = len(ledger.spans)
    sample(sampler, ledger, Patient(), DAY)
    assert sampler.drift == 0
    assert ledger.spans[begun].lo == ledger.spans[0].lo


def test_without_a_whole_past_day_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(started(Log()), monkeypatch)
    sampler = DriftSampler(ledger)  # type: ignore[arg-type]
    assert not sampler.read(Patient(), None, ledger.state, HOUR)  # type: ignore[arg-type]
    assert not sampler.under_way
    assert ledger.spans == []
