"""Check that the outcome of each call in the log is known."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from exporter.database.log_table import LogTable
from exporter.database.outcomes import outcome
from exporter.findings import Finding, fail, ok, warn
from exporter.humanize import span_text
from exporter.ledger.calendar import HOUR
from exporter.preflight.context import CheckContext
from exporter.preflight.recent_activity import read_ages, unread

OUTCOMES = "outcomes"

AGES = (HOUR, 6 * HOUR, 24 * HOUR)
"""How far back to look, in seconds, step by step as long as there is time."""

SECONDS = 10.0
"""After this many seconds, no further step starts."""

MOST_UNKNOWN = 0.01
"""The largest share of calls with an unknown outcome that is only a warning."""

MOST_WORDS = 8
_WORD_LENGTH = 40

_WORDS = sql.SQL("""
SELECT word, calls, sum(calls) OVER ()::bigint, known FROM (
  SELECT CASE WHEN known THEN '' ELSE word END AS word, known, count(*) AS calls
  FROM (SELECT left({word}, {length}) AS word, {outcome} NOT IN ('null', 'unknown') AS known
        FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s) AS rows
  GROUP BY 1, 2
) AS words
ORDER BY known DESC, calls DESC, word LIMIT {most}
""")


def check_outcomes(context: CheckContext) -> list[Finding]:
    """Check that each recent call has a known outcome, or is still running."""
    context.session.prove_visible(context.relation)
    log = context.log
    statement = _WORDS.format(
        word=log.text(log.outcome_role),
        length=sql.Literal(_WORD_LENGTH),
        outcome=outcome(log),
        table=log.source(),
        time=log.column("time"),
        most=sql.Literal(MOST_WORDS + 1),
    )
    found = list(
        read_ages(context.session, AGES, SECONDS, lambda age: (age, context.session.run(statement, context.last(age))))
    )
    return [_evaluate(log, *found[-1]) if found else unread(OUTCOMES)]


def _evaluate(log: LogTable, reach: int, rows: Sequence[tuple[Any, ...]]) -> Finding:
    """Evaluate calls with an unknown outcome: no counter of calls and no error rate includes them.

    `rows` have the most frequent unknown words (None: NULL) of the last `reach` seconds, and all known ones in one.
    """
    within = f"of the last {span_text(reach)}"
    column = log.columns[log.outcome_role].shown
    calls = int(rows[0][2]) if rows else 0
    unknown = calls - sum(count for _, count, _, known in rows if known)
    if not unknown:
        return ok(OUTCOMES, f"{calls} calls {within}, each with a known {column}")
    counts = [(word, count) for word, count, _, known in rows if not known][:MOST_WORDS]
    words = ", ".join(f"{'NULL' if word is None else repr(word)} ({count})" for word, count in counts)
    more = "" if sum(count for _, count in counts) == unknown else ", and others"
    share = unknown / calls
    detail = (
        f"{unknown} of {calls} calls {within} ({share:.1%}) have an unknown {column}: {words}{more}; "
        "their cost is counted, but the calls are not"
    )
    hint = f"set {column} to true or false in every row, or set tables.log to a view that translates it"
    if log.has_status:
        *others, last = ("NULL" if word is None else word for word in log.outcomes)
        named = f"{', '.join(others)} or {last}" if others else last
        hint = (
            f"set {column} to {named} in every row, or write into columns.log.outcomes what all words mean, as in "
            "{ok: [success], failed: [failed, failure]}"
        )
    return (fail if share > MOST_UNKNOWN else warn)(OUTCOMES, detail, hint)
