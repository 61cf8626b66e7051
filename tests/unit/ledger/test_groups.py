"""Groups beside users: one mapping while it is read and kept, sums of days of their own."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.config import clean_label
from exporter.ledger import exposed
from exporter.ledger.advance import restart
from exporter.ledger.calendar import day_of
from exporter.ledger.model import Changes
from exporter.ledger.spenders import group_key, group_label, groups_of, is_group, users_of
from exporter.state.users import forget_users
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Classes, Log

HOUR, DAY = 3600, 86400
GROUPED = replace(SETTINGS, groups=True)

labels = st.text(max_size=20).map(lambda text: clean_label(text, "missing"))
sums = st.dictionaries(labels, st.integers(-9, 9), max_size=5)


@given(sums, sums)
def test_users_and_groups_of_the_same_names_are_told_apart(users: dict[str, int], groups: dict[str, int]) -> None:
    both = {**users, **{group_key(name): units for name, units in groups.items()}}
    assert (users_of(both), groups_of(both)) == (users, groups)
    assert len(both) == len(users) + len(groups)


@given(labels)
def test_no_label_is_taken_for_a_group(label: str) -> None:
    assert not is_group(label)
    assert is_group(group_key(label))
    assert group_label(group_key(label)) == label


def spent(exporter: Exporter) -> tuple[dict[str, int], dict[str, int]]:
    state, settings = exporter.state, exporter.settings
    users, groups = exposed.user_spend_today(state, settings), exposed.group_spend_today(state, settings)
    return ({n: u for n, u in users.items() if u}, {n: u for n, u in groups.items() if u})


def test_spend_by_group_follows_its_rows_while_minutes_and_after_the_merge() -> None:
    log = Log()
    for hours in range(1, 4):
        log.insert(START - hours * HOUR, cost=10, user="ann", group="red")
    exporter = started(log)
    assert spent(exporter) == ({"ann": 30}, {"red": 30})
    row = log.insert(START + 10, cost=5, user="ann", group="ann")
    exporter.wait(60)
    assert spent(exporter) == ({"ann": 35}, {"red": 30, "ann": 5})
    # it moves to another group, and from a user to nobody
    log.update(row, group="blue", user=None)
    exporter.wait(60)
    assert spent(exporter) == ({"ann": 30, "unattributed": 5}, {"red": 30, "blue": 5})
    log.delete(row)
    exporter.run(2 * HOUR)
    assert spent(exporter) == ({"ann": 30}, {"red": 30})
    # what was merged is on the disk alone, and what a late row brings is added to that
    exporter.restart()
    log.insert(START + 20, cost=7, group="red")
    exporter.find_late_rows()
    exporter.run(2 * HOUR)
    assert spent(exporter) == ({"ann": 30, "unattributed": 7}, {"red": 37})


def test_a_new_day_begins_at_nothing_and_sums_of_older_days_go() -> None:
    log = Log()
    exporter = started(log)
    log.insert(START, cost=3, group="red")
    exporter.wait(60)
    exporter.run(DAY, 280)
    assert spent(exporter) == ({}, {})
    first = day_of(START, SETTINGS.zone)
    assert {day for day, _ in exporter.state.group_days} == {first}
    log.insert(exporter.clock, cost=4, group="red")
    exporter.wait(60)
    assert spent(exporter)[1] == {"red": 4}
    exporter.run(2 * DAY, 280)
    assert first not in {day for day, _ in exporter.state.group_days}


def test_a_snapshot_has_groups_where_the_log_tells_them() -> None:
    log = Log()
    log.insert(START - HOUR, cost=3, group="red")
    exporter = started(log)
    exporter.state.shown_groups["red"] = 1
    without, known = (exposed.take_snapshot(None, exporter.state, settings).gauges for settings in (SETTINGS, GROUPED))
    assert without is not None
    assert known is not None
    assert without.group_spend is None
    assert known.group_spend == {"red": 3}
    assert known.shown_groups == {"red"}


def test_changed_settings_make_sums_by_group_anew() -> None:
    log = Log()
    for hours in range(1, 12):
        log.insert(START - hours * HOUR, cost=1, user="ann", group="red")
    exporter = started(log, classes=Classes(groups=None))
    assert spent(exporter) == ({"ann": 11}, {})
    for groups, expected in ({}, {"red": 11}), ({"red": "blue"}, {"blue": 11}), (None, {}):
        exporter.reconfigure(Classes(groups=groups))
        assert spent(exporter) == ({"ann": 11}, expected)
        exporter.restart()
        assert spent(exporter) == ({"ann": 11}, expected)


def test_a_first_reading_that_begins_again_knows_no_group() -> None:
    log = Log()
    log.insert(START - HOUR, cost=3, group="red")
    state = started(log).state
    for changes in (restart(state, START, SETTINGS), forget_users(state, [])):
        assert not state.ahead(changes).group_days
        assert state.group_days
    assert not any(item.users for item in state.ahead(forget_users(state, [])).slices.values())
    assert isinstance(changes, Changes)
