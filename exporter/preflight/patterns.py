"""Check that PostgreSQL accepts the patterns of error_classes, as the scrape's query writes them."""

from collections.abc import Iterable

import psycopg

from exporter.config.sections import ErrorClass
from exporter.database.session import Session
from exporter.findings import Finding, fail, ok, warn
from exporter.preflight.context import CheckContext

PATTERNS = "error patterns"
_TRY = "SELECT '' ~* %(pattern)s"
_SYNTAX = "write a POSIX regular expression as in PostgreSQL's documentation; (?i) is not needed"


def check_patterns(context: CheckContext) -> list[Finding]:
    """Check that each pattern compiles, and that none matches every message."""
    classes = context.config.error_classes
    problems = [finding for number, each in enumerate(classes) for finding in _evaluate(context.session, number, each)]
    count = sum(len(each.patterns) for each in classes)
    return problems or [ok(PATTERNS, f"{count} patterns in {len(classes)} classes")]


def _evaluate(session: Session, number: int, error_class: ErrorClass) -> Iterable[Finding]:
    whole = _matches_nothing(session, "|".join(f"({pattern})" for pattern in error_class.patterns))
    if whole is False:
        return
    for place, pattern in enumerate(error_class.patterns):
        where = f"error_classes[{number}].patterns[{place}] (class {error_class.name})"
        matched = _matches_nothing(session, f"({pattern})")
        if matched is None:
            yield fail(PATTERNS, f"{where} is not a valid regular expression in PostgreSQL", _SYNTAX)
        elif matched:
            hint = "remove what can be empty: a message gets the first class that matches"
            yield warn(PATTERNS, f"{where} matches every message, even an empty one", hint)


def _matches_nothing(session: Session, pattern: str) -> bool | None:
    """Whether a pattern matches the empty text; None if it does not compile."""
    try:
        with session.savepoint():
            ((matched,),) = session.run(_TRY, {"pattern": pattern})
    except psycopg.errors.InvalidRegularExpression:
        return None
    return bool(matched)
