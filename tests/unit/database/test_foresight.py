"""Questions that are asked together: which of them one statement answers, and whose rows are whose."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.database import foresight
from exporter.database.foresight import Batch, Question

ROWS = {1: [(1, "a"), (1, "b")], 2: [], 3: [(3, "c")]}
"""By the value for which they are."""


def question(value: int, other: str = "x", each: str = "values") -> Question:
    """For the rows of a value."""
    return Question("SELECT %(other)s, %(values)s", {"other": other, "values": [value]}, each)


def ask(questions: list[Question]) -> tuple[list[list[Any]], list[list[Any]]]:
    """The answers of a server that has the rows in another order, and what it was sent."""
    sent: list[list[Any]] = []

    def execute(_: Any, statement: bytes, values: list[Any], *, prepare: bool) -> Any:
        assert (statement, prepare) == (b"SELECT $1, $2", False)
        sent.append(values)
        return SimpleNamespace(
            fetchall=lambda: [row for value in (3, 2, 1) if value in values[-1] for row in ROWS[value]]
        )

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(foresight, "execute_numbered", execute)
        no_connection: Any = None
        return [list(answer) for answer in Batch(no_connection, questions, prepare=False).answers()], sent


@given(
    st.lists(st.builds(question, st.sampled_from([1, 2, 3]), st.sampled_from("xy"), st.sampled_from(["values", ""])))
)
def test_each_question_has_the_rows_of_its_value_however_they_are_sent(asked: list[Question]) -> None:
    answers, sent = ask(asked)
    assert answers == [ROWS[each.parameters["values"][0]] for each in asked]
    together = {each.parameters["other"] for each in asked if each.each}
    alone = {(each.parameters["other"], *each.parameters["values"]) for each in asked if not each.each}
    assert len(sent) == len(together) + len(alone)


def test_what_differs_in_more_than_the_value_is_asked_apart() -> None:
    asked = [question(1), question(3), question(1, "y"), question(3, each=""), question(1)]
    assert ask(asked)[1] == [["x", [1, 3]], ["y", [1]], ["x", [3]]]
