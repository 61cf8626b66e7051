"""Sums by day: like a dictionary, and what was handed out of them stays as it was."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.ledger import packed_sums
from exporter.ledger.day_sums import DaySums
from exporter.ledger.packed_sums import PackedSums

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

    @rule(until=DAYS)
    def pack(self, until: int) -> None:
        self.sums.pack(until, least=1)

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


def packed(users: int) -> tuple[DaySums[str], dict[tuple[int, str], int]]:
    model = {(day, f"user {number}"): number * day for day in (1, 2, 3) for number in range(users)}
    sums = DaySums(model)
    sums.pack(3)
    return sums, model


def test_days_with_many_names_are_packed_but_for_the_last() -> None:
    sums, model = packed(2000)
    assert [type(sums.on(day)) for day in (1, 2, 3)] == [PackedSums, PackedSums, dict]
    assert sums == model
    assert [sums[2, "user 7"], sums.get((2, "nobody")), sums.get((4, "user 7"))] == [14, None, None]
    assert repr(PackedSums({"ann": 1})) == "PackedSums({'ann': 1})"
    few, _ = packed(20)
    assert type(few.on(1)) is dict


def test_a_packed_day_changes_without_being_unpacked_until_much_has_changed() -> None:
    sums, model = packed(2000)
    seen = sums.on(1)
    sums[1, "user 3"] = model[1, "user 3"] = 10**30
    sums[1, "new"] = model[1, "new"] = 5
    sums[1, "new"] = model[1, "new"] = 6
    sums.pack(3)
    assert (type(sums.on(1)), sums == model, len(sums.on(1)), len(seen)) == (PackedSums, True, 2001, 2000)
    assert (seen["user 3"], sums.on(1)["user 3"]) == (3, 10**30)
    first = sums.on(1)
    for number in range(250):
        sums[1, f"user {number}"] = model[1, f"user {number}"] = -number
    sums.pack(3)
    again = sums.on(1)
    assert isinstance(again, PackedSums)
    assert (again.changes, sums == model, first["user 8"]) == (0, True, 8)


def test_of_a_packed_day_names_can_be_removed() -> None:
    sums, model = packed(2000)
    seen = sums.on(1)
    for number in range(1999):
        del sums[1, f"user {number}"], model[1, f"user {number}"]
    assert (sums == model, len(seen)) == (True, 2000)
    del sums[1, "user 1999"]
    assert list(sums.all_days) == [2, 3]


def test_what_was_asked_for_of_a_packed_day_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_sums, "_MOST_ASKED", 10)
    sums = PackedSums({f"user {number}": number for number in range(500)})
    for _ in range(2):
        assert [sums[f"user {number}"] for number in range(500)] == list(range(500))
        assert "nobody" not in sums
    assert len(sums._asked) <= 10


def test_a_sum_that_another_thread_forgets_at_that_moment_is_told() -> None:
    class Forgetful(dict[str, int | None]):
        """As where another thread asks for one more than are remembered."""

        def __setitem__(self, name: str, units: int | None) -> None:
            self.clear()

    sums = PackedSums({"ann": 7})
    sums._asked = Forgetful()
    assert sums.get("ann") == 7
    assert sums.get("bob") is None
    sums["ann"] = 8
    assert len(sums) == 1
