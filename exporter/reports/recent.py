"""The newest rows of the log."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TextIO

from psycopg import sql

from exporter.config import Classification, Config, clean_label
from exporter.database.conninfo import resolve_conninfo
from exporter.database.labels import Names, user_name
from exporter.database.layout import FAILED
from exporter.database.log_table import LogTable, name_column, operation_columns
from exporter.database.log_time import bounds, ends_of_time, instant
from exporter.database.names import texts
from exporter.database.one_session import one_session
from exporter.database.outcomes import error_class, error_patterns, outcome
from exporter.database.session import Session
from exporter.errors import UserError
from exporter.ledger.calendar import DAY
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN, TimeRange
from exporter.reports.calls import Call, as_table, as_text_json
from exporter.reports.shown_users import names_if_read, pseudonyms

_SECONDS = 30.0
_VISIBLE = re.compile("[!-~]+")

# Python removes blanks and control characters. Here a row only needs the visible part of each name.
_RECENT = sql.SQL("""
SELECT at::float8, operation, operation_type, username, model, input_tokens, output_tokens, cost, latency, outcome,
       status, CASE WHEN outcome = 'failed' THEN error_class WHEN outcome = 'timeout' THEN outcome END, message
FROM (
  SELECT {time} AS moment, {instant} AS at, {operation} AS operation, {operation_type} AS operation_type,
         {user} AS username, {model} AS model, {input_tokens} AS input_tokens, {output_tokens} AS output_tokens,
         {cost} AS cost, {latency} AS latency, {outcome} AS outcome, {status} AS status, {error_class} AS error_class,
         {message} AS message
  FROM {table} WHERE {time} >= %(from)s AND {time} < {end}
) AS calls
WHERE (NOT %(failed)s OR outcome IN ({failed_outcomes}))
  AND (%(operation)s::text IS NULL OR strpos(concat(operation, operation_type), %(operation)s) > 0)
  AND (%(user)s::text IS NULL OR strpos(username, %(user)s) > 0)
  AND (%(models)s::text[] IS NULL
       OR EXISTS (SELECT FROM unnest(%(models)s::text[]) AS wanted WHERE strpos(model, wanted) > 0))
ORDER BY moment DESC LIMIT %(limit)s
""")


@dataclass(frozen=True)
class Wanted:
    """Which rows: at most `limit` of the last `days`, or seconds if `since` is set; None means any.

    Names are labels; users are as in the log. With `start`, in seconds since the epoch, all rows from then on.
    """

    limit: int = 20
    days: int = 7
    since: float | None = None
    operation: str | None = None
    model: str | None = None
    user: str | None = None
    failed: bool = False
    start: int | None = None

    def is_met(self, call: Call) -> bool:
        """Whether the call has the wanted names."""
        named = ((self.operation, call.operation), (self.model, call.model))
        if self.user is not None and call.user not in (self.user, clean_label(self.user, "") and user_name(self.user)):
            return False
        return all(name is None or clean_label(name, "") == found for name, found in named)


@dataclass(frozen=True)
class Look:
    """The wanted rows, newest first, and the log's own names of its columns by role; of an expression, the role.

    `start` is from when on rows were looked for, and `clock` the database's clock; both in seconds since the epoch.
    """

    calls: list[Call]
    columns: Mapping[str, str]
    start: int
    clock: int


def run_operations(config: Config, environ: Mapping[str, str], wanted: Wanted, out: TextIO, *, as_json: bool) -> int:
    """Print the newest rows, newest first; returns 0. Raises `UserError`."""
    look = read_calls(config, environ, wanted)
    with_user = config.users.mode != "off"
    print(
        as_text_json(look.calls, look.columns, with_user=with_user)
        if as_json
        else as_table(look.calls, with_user=with_user),
        file=out,
    )
    return 0


def read_calls(config: Config, environ: Mapping[str, str], wanted: Wanted) -> Look:
    """The wanted rows. Raises `UserError`."""
    if config.users.mode == "off" and wanted.user is not None:
        raise UserError("--user: users.mode is off in the configuration — set it to id or hmac to show users")
    label = pseudonyms(config).of
    info = resolve_conninfo(config, environ)
    with one_session(config, info, "operations", _SECONDS) as session:
        rules = config.classification()
        log = session.log(rules)
        columns = {role: role if column.expression else column.name for role, column in log.columns.items()}
        clock = int(session.clock)
        seconds = wanted.days * DAY if wanted.since is None else math.ceil(wanted.since)
        start = clock - seconds if wanted.start is None else wanted.start
        calls = _read_recent(session, log, rules, wanted, start)
        # users who are called by a name are shown by their ids
        names = names_if_read(session, config, {call.user for call in calls})
        calls = [replace(call, user=label(call.user), called=names.get(call.user)) for call in calls]
        return Look(calls, columns, start, clock)


def _read_recent(session: Session, log: LogTable, rules: Classification, wanted: Wanted, start: int) -> list[Call]:
    """The wanted rows from `start` on, newest first, with users as in the log."""
    operation, operation_type = operation_columns(log)
    statement = _RECENT.format(
        time=log.column("time"),
        instant=instant(log, rules),
        operation=operation,
        operation_type=operation_type,
        user=name_column(log, "user"),
        model=name_column(log, "model"),
        status=log.text("status"),
        message=log.message(),
        end=ends_of_time(log)[1],
        error_class=error_class(log, rules),
        **{role: log.number(role) for role in ("input_tokens", "output_tokens", "cost", "latency")},
        outcome=outcome(log),
        failed_outcomes=texts(FAILED),
        table=log.source(),
    )
    names = Names(rules)
    lower, _ = bounds(log, rules, TimeRange(start, start))
    words: dict[str, Any] = {
        **error_patterns(rules),
        "from": lower,
        "operation": _visible_part(wanted.operation),
        "models": _spellings(wanted.model, names),
        "user": _visible_part(wanted.user),
        "failed": wanted.failed,
    }
    most = wanted.limit
    while True:
        rows = session.run(statement, words | {"limit": most})
        calls = [call for call in (_call(row, names) for row in rows) if wanted.is_met(call)]
        if len(calls) >= wanted.limit or len(rows) < most:
            return calls[: wanted.limit]
        most *= 4


def _visible_part(name: str | None) -> str | None:
    """The part that every spelling of a name contains, whatever its blanks, or None."""
    if name is None or name in (UNKNOWN, UNATTRIBUTED):
        return None
    return max(_VISIBLE.findall(name), key=len, default=None)


def _spellings(model: str | None, names: Names) -> list[str] | None:
    parts = [_visible_part(model), *(_visible_part(loose) for loose, name in names.aliases.items() if name == model)]
    known = [part for part in parts if part is not None]
    return known if len(known) == len(parts) else None


def _call(row: tuple[Any, ...], names: Names) -> Call:
    at, operation_id, operation_type, user, model, *numbers, ended, status, error_class, message = row
    input_tokens, output_tokens, cost, latency = map(_finite, numbers)
    return Call(
        at=at,
        operation=names.operation(operation_id, operation_type),
        user=names.user(user),
        model=names.model(model),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=cost,
        latency_ms=latency,
        outcome=ended,
        status=status,
        error_class=error_class,
        message=message,
    )


def _finite(number: Decimal | None) -> Decimal | None:
    return number if number is not None and number.is_finite() else None
