"""Messages on files, `file:line:column: …`, compared where the column does not matter."""

import re


def without_column(problem: str) -> str:
    """`file:line: …`; a text without a column is an error."""
    text, count = re.subn(r"^([^\n]+?:[1-9][0-9]*):[1-9][0-9]*: ", r"\1: ", problem)
    assert count == 1, problem
    return text
