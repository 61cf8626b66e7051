"""How a call ended: by the column `success` or the words of `status`, and the class of its error."""

from collections.abc import Collection
from enum import StrEnum

from psycopg import sql

from exporter.config import Classification
from exporter.database.layout import FAILED, FINAL
from exporter.database.log_table import LogTable
from exporter.database.names import literal, texts


class Outcome(StrEnum):
    """How a call ended, or that it has not: `ended` in the result, which has the class of error for `FAILED`.

    `REFUND` is a row that is no call, but money that comes back.
    """

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    PENDING = "pending"
    RUNNING = "running"
    NULL = "null"
    UNKNOWN = "unknown"
    REFUND = "refund"


_FAILED = sql.Literal("failed")
_BY_SUCCESS = sql.SQL("CASE WHEN {0} THEN 'ok' WHEN {0} IS NULL THEN 'null' ELSE {1} END")
_BY_STATUS = sql.SQL("CASE {0} {1} ELSE CASE WHEN {0} IS NULL THEN {2} ELSE 'unknown' END END")


def outcome(log: LogTable, failed: sql.Composable = _FAILED) -> sql.Composed:
    """How the row's call ended, as `Outcome` has it; `failed` stands for calls that have failed."""
    if log.has_status:
        shown = {
            word: failed if outcome == Outcome.FAILED else sql.Literal(outcome)
            for word, outcome in log.outcomes.items()
        }
        without_word = shown.get(None, sql.Literal(Outcome.NULL))
        cases = [
            sql.SQL("WHEN {} THEN {}").format(literal(word), ended) for word, ended in shown.items() if word is not None
        ] or [sql.Composed([sql.SQL("WHEN NULL THEN NULL")])]  # a CASE has one at least
        return _BY_STATUS.format(log.text("status"), sql.SQL(" ").join(cases), without_word)
    return _BY_SUCCESS.format(log.column("success"), failed)


def final_and_failed(log: LogTable) -> tuple[sql.Composed, sql.Composed]:
    """Conditions for what `outcome` calls final (ok, failed or timeout), and for failed or timeout."""
    if log.has_status:
        return _has_word(log, FINAL), _has_word(log, FAILED)
    success = log.column("success")
    return sql.SQL("{} IS NOT NULL").format(success), sql.SQL("NOT {}").format(success)


def is_refund(log: LogTable) -> sql.Composed:
    """A condition for what `outcome` calls a refund."""
    return _has_word(log, (Outcome.REFUND,)) if log.has_status else sql.Composed([sql.SQL("false")])


def _has_word(log: LogTable, outcomes: Collection[str]) -> sql.Composed:
    words = [word for word, outcome in log.outcomes.items() if outcome in outcomes]
    text, named = log.text("status"), [word for word in words if word is not None]
    among = sql.SQL("{} IN ({})").format(text, texts(named)) if named else sql.Composed([sql.SQL("false")])
    return sql.SQL("({} OR {} IS NULL)").format(among, text) if None in words else among


def error_class(log: LogTable, classification: Classification) -> sql.Composed:
    """The class that a failed row's message belongs to; its parameters are the `error_patterns`."""
    message = log.message()
    cases = [
        sql.SQL("WHEN {} ~* {} THEN {}").format(message, sql.Placeholder(f"pattern_{number}"), sql.Literal(each.name))
        for number, each in enumerate(classification.error_classes)
    ]
    return (
        sql.SQL("CASE {} ELSE 'other' END").format(sql.SQL(" ").join(cases))
        if cases
        else sql.Composed([sql.SQL("'other'")])
    )


def error_patterns(classification: Classification) -> dict[str, str]:
    """The parameters of `error_class`."""
    classes = enumerate(classification.error_classes)
    return {f"pattern_{number}": "|".join(f"({each})" for each in known.patterns) for number, known in classes}
