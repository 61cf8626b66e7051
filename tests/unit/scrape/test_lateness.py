"""The rounds of probes: how often, how much at once, and what they may cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.database.errors import QueryTimeout
from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO, Aggregate, with_figure
from exporter.ledger.calendar import HOUR, QUARTER_HOUR
from exporter.ledger.model import Cell, Series, Slice, TimeRange
from exporter.ledger.probing import Round, Sums
from exporter.scrape import lateness
from exporter.scrape.lateness import BURST, INTERVAL, OLDER_SHARE, READ_SHARE, SHARE, LateRows

QUARTERS = [TimeRange(number * QUARTER_HOUR, (number + 1) * QUARTER_HOUR) for number in range(192)]
RECENT, OLDER = QUARTERS[:5:-1][:6], QUARTERS[:186]
ASKED = Round(RECENT, OLDER)


@dataclass
class Server:
    """A database that needs so many seconds for each quarter, and ends a statement after `longest`."""

    seconds: float
    longest: float = 10.0
    left: float = 1e9
    now: float = 1000.0
    statements: list[Sequence[TimeRange]] = field(default_factory=list)

    def read_sums(
        self, session: object, log: object, rules: object, spans: Sequence[TimeRange]
    ) -> dict[TimeRange, Sums]:
        takes = self.seconds * len(spans)
        if self.left <= 0:
            raise QueryTimeout("no time was left", "")
        self.now += min(takes, self.longest)
        self.left -= min(takes, self.longest)
        self.statements.append(spans)
        if takes > self.longest:
            raise psycopg.errors.QueryCanceled
        return {span: Sums() for span in spans}

    def look(self, late_rows: LateRows) -> tuple[dict[TimeRange, Sums], float]:
        """A round, once it is due, and the seconds that it took."""
        while not late_rows.due:
            self.now += 1
        begun = self.now
        session: Any = self
        log: Any = None
        rules: Any = None
        return late_rows.look(session, log, rules, ASKED), self.now - begun


def serve(server: Server, monkeypatch: pytest.MonkeyPatch) -> LateRows:
    """The rounds on that server."""
    monkeypatch.setattr(lateness, "read_sums", server.read_sums)
    return LateRows(lambda: server.now)


def test_a_quick_log_is_gone_over_in_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.001)
    late_rows = serve(server, monkeypatch)
    found, _ = server.look(late_rows)
    assert set(found) == {*RECENT, *OLDER}
    assert len(server.statements) < 12
    assert not late_rows.due


@given(st.floats(0.0001, 60))
def test_rounds_take_no_more_than_their_share_of_the_time(seconds: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        server = Server(seconds)
        late_rows = serve(server, patch)
        begun, busy = server.now, 0.0
        for _ in range(5):
            busy += server.look(late_rows)[1]
        while not late_rows.due:
            server.now += 1
        assert busy <= SHARE * (server.now - begun) + 1e-6


@pytest.mark.parametrize("seconds", [0.01, 0.3, 0.9, 3.0])
def test_the_last_hour_comes_first_and_the_rest_gets_its_turn(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    server = Server(seconds)
    late_rows = serve(server, monkeypatch)
    server.look(late_rows)
    for _ in range(3):
        found, took = server.look(late_rows)
        assert set(RECENT) <= set(found)
        older = len(set(found) - set(RECENT)) * seconds
        assert 0 < older <= max(SHARE * INTERVAL, took * OLDER_SHARE) + 5
        if took <= SHARE * INTERVAL:
            assert not late_rows.due
            server.now += INTERVAL
            assert late_rows.due


def test_a_statement_that_is_too_slow_is_asked_in_parts_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(4.0)
    late_rows = serve(server, monkeypatch)
    found, _ = server.look(late_rows)
    assert set(RECENT) <= set(found)
    server.statements.clear()
    server.look(late_rows)
    assert {len(spans) for spans in server.statements} == {1}


def test_a_slice_that_cannot_be_summed_up_in_time_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.01)
    late_rows = serve(server, monkeypatch)
    real = server.read_sums

    def read_sums(session: object, log: object, rules: object, spans: Sequence[TimeRange]) -> dict[TimeRange, Sums]:
        server.seconds = 99.0 if RECENT[1] in spans else 0.01
        return real(session, log, rules, spans)

    monkeypatch.setattr(lateness, "read_sums", read_sums)
    found, _ = server.look(late_rows)
    assert {*RECENT} - {*found} == {RECENT[1]}
    assert set(found) > set(RECENT) - {RECENT[1]}


def test_a_transaction_without_time_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.01, left=0.03)
    late_rows = serve(server, monkeypatch)
    found, _ = server.look(late_rows)
    assert set(found) < {*RECENT, *OLDER}
    assert not late_rows.due


def test_a_round_that_fails_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.01)
    late_rows = serve(server, monkeypatch)

    def fail(*arguments: object) -> dict[TimeRange, Sums]:
        raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(lateness, "read_sums", fail)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        server.look(late_rows)
    assert not late_rows.due
    server.now += INTERVAL
    assert late_rows.due


def test_reading_again_takes_its_share_of_the_time_and_rounds_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.001)
    late_rows = serve(server, monkeypatch)
    slices = {span.lo: Slice(span.lo, QUARTER_HOUR) for span in QUARTERS}
    begun, spent, rounds = server.now, 0.0, 0
    while server.now < begun + 3600:
        if late_rows.due:
            server.look(late_rows)
            # all of it differs, and something else each time
            found = {span: Sums(rows=1 + rounds) for span in QUARTERS}
            late_rows.judge(ASKED, slices, found, 1)
            slices = {
                span.lo: Slice(span.lo, QUARTER_HOUR, {ANY: Cell(current=figures(1000 + rounds))}) for span in QUARTERS
            }
            rounds += 1
        elif (span := late_rows.next_span(slices, QUARTER_HOUR)) is not None:
            server.now += 2
            spent += 2
            late_rows.was_read(slices, span, 2)
        else:
            assert not late_rows.busy
            server.now += 1
    assert rounds > 50
    assert 0.9 * READ_SHARE * 3600 < spent <= READ_SHARE * (3600 + BURST) + 2


def test_a_few_slices_are_read_again_without_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.001)
    late_rows = serve(server, monkeypatch)
    server.look(late_rows)
    slices = {span.lo: Slice(span.lo, QUARTER_HOUR) for span in QUARTERS}
    late_rows.judge(ASKED, slices, {span: Sums(rows=1) for span in QUARTERS[::10]}, 1)
    read = []
    while late_rows.busy:
        span = late_rows.next_span(slices, HOUR)
        assert span is not None
        late_rows.was_read(slices, span, 0.5)
        read.append(span)
    assert read == QUARTERS[::10][::-1]
    assert late_rows.next_span(slices, HOUR) is None


def test_a_read_for_another_reason_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0.001)
    late_rows = serve(server, monkeypatch)
    server.look(late_rows)
    slices = {span.lo: Slice(span.lo, QUARTER_HOUR) for span in QUARTERS}
    late_rows.was_read(slices, RECENT[0], 1000.0)
    late_rows.judge(ASKED, slices, {RECENT[0]: Sums(rows=1)}, 1)
    assert late_rows.next_span(slices, HOUR) == RECENT[0]


ANY = Series("any", "any")


def figures(rows: int) -> Aggregate:
    """The aggregate of so many rows that hold nothing."""
    return with_figure(ZERO, Figure.ROWS, rows)


def test_what_a_round_has_found_is_read_before_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the time between rounds is: a slow transaction must not give the next one precedence for ever."""
    monkeypatch.setattr(lateness, "INTERVAL", 0.001)
    server = Server(0.001)
    late_rows = serve(server, monkeypatch)
    held = {span.lo: Slice(span.lo, QUARTER_HOUR) for span in QUARTERS}
    server.look(late_rows)
    late_rows.judge(ASKED, held, {span: Sums(rows=1) for span in RECENT}, 1)
    server.now += 1000.0
    assert late_rows.busy
    assert not late_rows.due
    assert late_rows.next_span(held, QUARTER_HOUR) is not None
    assert late_rows.due
