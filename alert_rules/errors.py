"""What is said about files and requests that cannot be used."""

from collections.abc import Iterable


class RulesError(Exception):
    """Everything that is wrong with a file or a request: one line a problem, none of them holding a secret."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
