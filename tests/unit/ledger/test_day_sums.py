"""Sums by day: like a dictionary, and what was handed out of them stays as it was."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.ledger.day_sums import DaySums

DAYS, NAMES, UNITS = st.integers(1, 3), st.sampled_from(["ann", "bob", "cat"]), st.integers(0, 9)


class Sums(RuleBasedStateMachine):
    """Any order of changes, copies and looks."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: DaySums[str] = DaySums()
        self.model: dict[tuple[int, str], int] = {}
        self.seen: list[tuple[Mapping[Any, int], dict[Any, int]]] = []

    @rule(day=DAYS, name=NAMES, units=UNITS)
    def put(self, day: int, name: str, units: int) -> None:
        self.sums[day, name] = self.model[day, name] = units

    @rule(day=DAYS, name=NAMES)
    def drop(self, day: int, name: str) -> None:
        assert self.sums.pop((day, name), None) == self.model.pop((day, name), None)

    @rule(day=DAYS, name=NAMES)
    def delete(self, day: int, name: str) -> None:
        if (day, name) in self.model:
            del self.sums[day, name], self.model[day, name]
            return
        with pytest.raises(KeyError):
            del self.sums[day, name]

    @rule(day=DAYS)
    def look(self, day: int) -> None:
        found = self.sums.on(day)
        assert found == {name: units for (of, name), units in self.model.items() if of == day}
        self.seen.append((found, dict(found)))

    @rule(days=st.sets(DAYS))
    def look_over(self, days: set[int]) -> None:
        found = self.sums.over(days)
        names = {name for day, name in self.model if day in days}
        assert found == {name: sum(self.model.get((day, name), 0) for day in days) for name in names}
        assert self.sums.over(days) is found
        self.seen.append((found, dict(found)))

    @rule(go_on_with_the_copy=st.booleans())
    def copy(self, go_on_with_the_copy: bool) -> None:
        copy = self.sums.copy()
        left, self.sums = (self.sums, copy) if go_on_with_the_copy else (copy, self.sums)
        self.seen.append((left, dict(left)))

    @invariant()
    def is_what_it_should_be(self) -> None:
        assert self.sums == self.model
        assert len(self.sums) == len(self.model)
        assert set(self.sums.all_days) == {day for day, _ in self.model}
        assert DaySums(self.model) == self.sums
        for found, then in self.seen:
            assert found == then


TestSums = Sums.TestCase


def test_a_day_is_copied_once_for_any_number_of_changes_after_a_look() -> None:
    sums = DaySums({(1, "ann"): 1, (1, "bob"): 2, (2, "ann"): 3})
    seen = sums.on(1)
    assert sums.on(1) is seen
    sums[2, "ann"] = 4
    assert sums.on(1) is seen
    sums[1, "ann"] = 5
    changed = sums._days[1]
    sums[1, "bob"] = 6
    del sums[1, "ann"]
    assert sums._days[1] is changed
    assert (dict(seen), dict(sums.on(1))) == ({"ann": 1, "bob": 2}, {"bob": 6})
    assert repr(sums) == "DaySums({(1, 'bob'): 6, (2, 'ann'): 4})"


def test_what_is_dropped_is_gone_and_what_is_not_there_cannot_be_dropped() -> None:
    sums = DaySums({(1, "ann"): 1, (2, "bob"): 2})
    copy = sums.copy()
    del sums[1, "ann"]
    assert (dict(sums), list(sums.all_days), len(copy)) == ({(2, "bob"): 2}, [2], 2)
    for missing in ((1, "ann"), (2, "ann")):
        with pytest.raises(KeyError):
            del sums[missing]
    # a day that was looked at before it has any sum
    assert sums.on(3) == {}
    sums[3, "cat"] = 3
    assert sums.on(3) == {"cat": 3}


def test_what_days_have_together_is_added_up_again_only_where_it_has_changed() -> None:
    class Walked(dict[str, int]):
        times = 0

        def items(self) -> Any:
            Walked.times += 1
            return super().items()

    sums = DaySums({(1, "ann"): 1, (2, "ann"): 2, (2, "bob"): 3})
    sums._days[1] = Walked(sums._days[1])
    month = sums.over(range(1, 31))
    assert (month, Walked.times) == ({"ann": 3, "bob": 3}, 1)
    assert sums.over(range(1, 31)) is month
    sums[2, "bob"] = 4
    assert (sums.over(range(1, 31)), month, Walked.times) == ({"ann": 3, "bob": 4}, {"ann": 3, "bob": 3}, 1)
    sums[1, "cat"] = 5
    assert sums.over(range(1, 31)) == {"ann": 3, "bob": 4, "cat": 5}
