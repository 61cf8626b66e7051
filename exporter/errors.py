"""The errors that a user can fix."""

from collections.abc import Iterable


class UserError(Exception):
    """What the user can fix: one line for each problem, none of them holding a secret.

    The command line prints it on standard error and exits with 1.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))
