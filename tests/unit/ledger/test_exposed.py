"""A snapshot shows the state as it is, whatever was shown before, and is the same object again while it is the same."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO, with_figure
from exporter.ledger.calendar import DAY, HOUR, MINUTE, day_of
from exporter.ledger.exposed import take_snapshot
from exporter.ledger.model import (
    EXPOSED,
    KEYED,
    Admission,
    Changes,
    LedgerSettings,
    Phase,
    Progress,
    Series,
    SkippedValue,
    Slice,
    State,
    Waiting,
)

NOW = 1_700_000_040 // DAY * DAY + 10 * HOUR
ZONE = ZoneInfo("UTC")
SETTINGS = LedgerSettings(window=180, horizon=2 * DAY, max_series=10, zero_hold=60, zone=ZONE, groups=True)
SERIES = Series("chat", "m")
TODAY = day_of(NOW, ZONE)
BEGUN = Progress(Phase.RUNNING, NOW, NOW, NOW, NOW, NOW, count_from=0, began=NOW - DAY)

ADMITTED = {SERIES: Admission(order=0, first_exposed_at=EXPOSED)}
CHANGES: dict[str, dict[str, Any]] = {
    "a total": {"totals": {SERIES: with_figure(ZERO, Figure.CALLS, 7)}},
    "a series": {"admitted": ADMITTED},
    "a correction": {"corrections": {SERIES: 3}},
    "an unusable value": {"skipped": {SkippedValue("cost", "nan"): 2}},
    "spend": {"days": {(TODAY, SERIES): 5}},
    "a user's spend": {"user_days": {(TODAY, "ann"): 5}},
    "a group's spend": {"group_days": {(TODAY, "team"): 5}},
    "a user who is shown": {"shown_users": {"ann": TODAY}},
    "a group that is shown": {"shown_groups": {"team": TODAY}},
    "an operation": {"seen_operations": {"chat": float(NOW)}},
    "a success": {"succeeded_models": {"m": float(NOW)}},
    "a row in progress": {"slices": {NOW: Slice(NOW, MINUTE, waiting={"running": Waiting(1, float(NOW))})}},
    "a series that ends": {"ended": {"admitted": frozenset({SERIES}), "totals": frozenset({SERIES})}},
    "nothing": {},
}
PASSED = st.sampled_from([0, 1, HOUR, 13 * HOUR, 14 * HOUR, DAY, 31 * DAY])
NEW_PROGRESS = st.fixed_dictionaries(
    {}, optional={"newest": st.sampled_from([0.0, NOW + 0.5]), "began": st.sampled_from([NOW - DAY, NOW - 2 * DAY])}
)


WHAT = st.just("nothing") | st.sampled_from(sorted(CHANGES))


@given(st.lists(st.tuples(WHAT, PASSED, NEW_PROGRESS), max_size=8))
def test_it_is_what_another_state_of_the_same_shows(steps: list[tuple[str, int, dict[str, Any]]]) -> None:
    state = State(BEGUN)
    for what, passed, progress in steps:
        now = state.progress.now + passed
        state.apply(Changes(progress=replace(state.progress, now=now, **progress), **CHANGES[what]))
        shown = take_snapshot(state, state, SETTINGS)
        assert shown.now == now
        fresh = State(state.progress)
        fresh.apply(state_as_changes(state))
        assert shown == take_snapshot(fresh, fresh, SETTINGS)
        assert shown == take_snapshot(state, state, SETTINGS)


def state_as_changes(state: State) -> Changes:
    changes = Changes()
    for name in KEYED:
        getattr(changes, name).update(getattr(state, name))
    return changes


def test_while_time_alone_passes_its_parts_are_the_same_objects() -> None:
    state = State(BEGUN)
    for change in CHANGES.values():
        state.apply(Changes(**change))
    before = take_snapshot(state, state, SETTINGS)
    state.apply(Changes(progress=replace(BEGUN, now=NOW + HOUR, position=NOW + HOUR), found=dict(state.slices)))
    after = take_snapshot(state, state, SETTINGS)
    assert before.gauges is after.gauges
    assert before.counters is not None
    assert after.counters is not None
    assert before.counters.series is after.counters.series
    assert before.counters.skipped is after.counters.skipped
    assert (before.now, after.now) == (NOW, NOW + HOUR)
