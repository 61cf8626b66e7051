"""What is said about files and requests that cannot be used."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.errors import UserError


class RulesError(UserError):
    """Everything that is wrong with a file or a request."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    found: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.found} — {self.hint}"


def wrong(problems: Iterable[Problem]) -> RulesError:
    """The error for mistakes in a file, in the order of its lines, each once."""
    return RulesError(map(str, sorted(set(problems))))
