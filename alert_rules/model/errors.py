"""What is said about files and requests that cannot be used."""

from collections.abc import Iterable

from exporter.diagnostics import Problem
from exporter.errors import UserError


class RulesError(UserError):
    """Everything that is wrong with a file or a request."""


def wrong(problems: Iterable[Problem]) -> RulesError:
    """The error for mistakes in a file, in the order of its lines, each once."""
    return RulesError(map(str, sorted(set(problems))))
