"""What is wrong with a file of alerts: where, what was found, and what fits."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    found: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.found} — {self.mend}"


class AlertsError(Exception):
    """Everything that is wrong with the alerts, one line a problem, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
