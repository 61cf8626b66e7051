"""Errors in files and requests."""

from collections.abc import Iterable
from dataclasses import dataclass


class RulesError(Exception):
    """Everything that is wrong with a file or a request, one line a problem. No line holds a secret."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, order=True)
class Problem:
    """One error in a file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    found: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.found} — {self.hint}"


def wrong(problems: Iterable[Problem]) -> RulesError:
    """One error for all problems of a file, in the order of its lines, each once."""
    return RulesError(map(str, sorted(set(problems))))
