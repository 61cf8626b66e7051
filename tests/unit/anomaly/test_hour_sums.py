"""Sums of an hour's slices are those of the slices that are there, whatever has changed since the last look."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly import hour_sums
from exporter.anomaly.hour_sums import HourSums
from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO, Aggregate, with_figure
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR
from exporter.ledger.hourly import figures_of
from exporter.ledger.model import Cell, HourFigures, Series, Slice

ZONE = ZoneInfo("UTC")
SERIES = [Series("chat", "m1"), Series("chat", "m2"), Series("email", "m1")]

Change = tuple[int, Slice | None]


def cell(calls: int) -> Cell:
    aggregate: Aggregate = with_figure(ZERO, Figure.CALLS, calls)
    return Cell(aggregate, aggregate)


def a_slice(start: int, width: int, calls: Mapping[Series, int]) -> Slice:
    return Slice(start, width, {series: cell(number) for series, number in calls.items()})


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A slice in its place, a minute or a quarter of one of three hours, or none."""
    width = draw(st.sampled_from([MINUTE, QUARTER_HOUR]))
    start = draw(st.integers(0, 3 * HOUR // width - 1)) * width
    calls = draw(st.none() | st.dictionaries(st.sampled_from(SERIES), st.integers(1, 9)))
    return start, None if calls is None else a_slice(start, width, calls)


def summed(slices: Mapping[int, Slice], start: int) -> dict[Series, int]:
    """The calls of an hour by series, one slice after the other."""
    calls: dict[Series, int] = {}
    for at, each in slices.items():
        for series, found in each.cells.items() if start <= at < start + HOUR else ():
            calls[series] = calls.get(series, 0) + found.current[Figure.CALLS]
    return calls


def calls_of(sums: Mapping[Series, HourFigures]) -> dict[Series, int]:
    return {series: figures.calls for series, figures in sums.items()}


@given(st.lists(st.tuples(st.lists(changes(), max_size=4), st.sampled_from([0, HOUR, 2 * HOUR])), max_size=20))
def test_sums_are_those_of_the_slices_whatever_has_changed(looks: list[tuple[list[Change], int]]) -> None:
    sums, slices = HourSums(), dict[int, Slice]()
    for changed, hour in looks:
        for start, each in changed:
            if each is None:
                slices.pop(start, None)
            else:
                slices[start] = each
        assert calls_of(sums.of_hour(slices, hour, ZONE)) == summed(slices, hour)


def test_what_has_not_changed_is_not_added_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Aggregate] = []

    def counted(aggregate: Aggregate) -> HourFigures:
        added.append(aggregate)
        return figures_of(aggregate)

    monkeypatch.setattr(hour_sums, "figures_of", counted)
    sums, slices = HourSums(), dict[int, Slice]()
    for minute in range(0, HOUR, MINUTE):
        slices[minute] = a_slice(minute, MINUTE, {SERIES[0]: 1})
        sums.of_hour(slices, 0, ZONE)
    # each minute when it is new, and once more when it turns out to stay
    assert len(added) <= 2 * HOUR // MINUTE
