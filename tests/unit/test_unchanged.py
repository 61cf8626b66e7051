"""What was made of the same objects is used again, and of others it is made anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.unchanged import kept_while_the_same

OBJECTS = [{"a": 1}, {"a": 1}, {}, [], []]


@given(st.lists(st.lists(st.integers(0, len(OBJECTS) - 1), max_size=3), max_size=12))
def test_it_is_made_again_just_where_another_object_is_given(asked: list[list[int]]) -> None:
    made: list[list[int]] = []

    @kept_while_the_same
    def of(*objects: object) -> list[object]:
        made.append([next(n for n, each in enumerate(OBJECTS) if each is given) for given in objects])
        return list(objects)

    last: list[int] | None = None
    for numbers in asked:
        before = len(made)
        assert of(*(OBJECTS[number] for number in numbers)) == [OBJECTS[number] for number in numbers]
        assert len(made) - before == (numbers != last)
        last = numbers


def test_a_function_that_fails_is_asked_again() -> None:
    @kept_while_the_same
    def inverse(of: list[float]) -> float:
        return 1 / of[0]

    numbers = [0.0]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            inverse(numbers)
    numbers[0] = 2.0
    assert inverse(numbers) == 0.5
