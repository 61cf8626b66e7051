"""The newest rows of the log."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TextIO

from psycopg import sql

from exporter.config import Classification, Config, clean_label
from exporter.database.conninfo import resolve_conninfo
from exporter.database.labels import Names, user_name
from exporter.database.layout import FAILED
from exporter.database.log_query import LogTable, bounds, instant, name_column, operation_columns, outcome, texts
from exporter.database.names import identifier
from exporter.database.one_session import one_session
from exporter.database.session import Session
from exporter.errors import UserError
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN, TimeRange
from exporter.reports.shown_users import pseudonyms
from exporter.reports.table import dollars, render_table

_DAY = 86_400
_SECONDS = 30.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # after so many years, or days, the calendar comes again
_VISIBLE = re.compile("[!-~]+")
_SUCCESS = {"ok": True, "failed": False, "timeout": False}

# Python removes blanks and control characters. Here a row only needs the visible part of each name.
_RECENT = sql.SQL("""
SELECT at::float8, operation, operation_type, username, model, cost, latency, outcome FROM (
  SELECT {time} AS moment, {instant} AS at, {operation} AS operation, {operation_type} AS operation_type,
         {user} AS username, {model} AS model, {cost} AS cost, {latency} AS latency,
         {outcome} AS outcome
  FROM {table} WHERE {time} >= %(from)s AND {time} < 'infinity'
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
    """Which rows: at most `limit` of the last `days`; None means any. Names are labels; users are as in the log."""

    limit: int = 20
    days: int = 7
    operation: str | None = None
    model: str | None = None
    user: str | None = None
    failed: bool = False

    def is_met(self, call: "Call") -> bool:
        """Whether the call has the wanted names."""
        named = ((self.operation, call.operation), (self.model, call.model))
        if self.user is not None and call.user not in (self.user, clean_label(self.user, "") and user_name(self.user)):
            return False
        return all(name is None or clean_label(name, "") == found for name, found in named)


@dataclass(frozen=True)
class Call:
    """A row: when (seconds since the epoch), cost in USD and latency in milliseconds as far as known, and how it ended.

    `outcome` is ok, failed, timeout, pending, running, null or unknown.
    """

    at: float
    operation: str
    user: str
    model: str
    cost_usd: Decimal | None
    latency_ms: Decimal | None
    outcome: str

    @property
    def success(self) -> bool | None:
        """Whether it succeeded; None if it has not ended, or its outcome is unknown."""
        return _SUCCESS.get(self.outcome)


def run_operations(config: Config, environ: Mapping[str, str], wanted: Wanted, out: TextIO, *, as_json: bool) -> int:
    """Print the newest rows, newest first; returns 0. Raises `UserError`."""
    if config.users.mode == "off" and wanted.user is not None:
        raise UserError("--user: users.mode is off in the configuration — set it to id or hmac to show users")
    label = pseudonyms(config).of
    info = resolve_conninfo(config, environ)
    with one_session(config, info, "operations", _SECONDS) as session:
        rules = config.classification()
        calls = read_recent(session, session.log(rules), rules, wanted, label)
    with_user = config.users.mode != "off"
    print(as_text_json(calls, with_user=with_user) if as_json else as_table(calls, with_user=with_user), file=out)
    return 0


def read_recent(
    session: Session, log: LogTable, rules: Classification, wanted: Wanted, label: Callable[[str], str]
) -> list[Call]:
    """The wanted rows, newest first; `label` returns what is shown of a user's name."""
    operation, operation_type = operation_columns(log)
    statement = _RECENT.format(
        time=log.column("time"),
        instant=instant(log, rules),
        operation=operation,
        operation_type=operation_type,
        user=name_column(log, "user"),
        model=name_column(log, "model"),
        cost=log.number("cost"),
        latency=log.number("latency"),
        outcome=outcome(log),
        failed_outcomes=texts(FAILED),
        table=identifier(*log.relation.name.parts),
    )
    names = Names(rules)
    clock = int(session.clock)
    lower, _ = bounds(log, rules, TimeRange(clock - wanted.days * _DAY, clock))
    words: dict[str, Any] = {
        "from": lower,
        "operation": _visible_part(wanted.operation),
        "models": _spellings(wanted.model, names),
        "user": _visible_part(wanted.user),
        "failed": wanted.failed,
    }
    most = wanted.limit
    while True:
        rows = session.run(statement, words | {"limit": most})
        calls = [
            replace(call, user=label(call.user)) for call in (_call(row, names) for row in rows) if wanted.is_met(call)
        ]
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
    at, operation_id, operation_type, user, model, cost, latency, ended = row
    return Call(
        at,
        names.operation(operation_id, operation_type),
        names.user(user),
        names.model(model),
        _finite(cost),
        _finite(latency),
        ended,
    )


def _finite(number: Decimal | None) -> Decimal | None:
    return number if number is not None and number.is_finite() else None


def as_text_json(calls: list[Call], *, with_user: bool) -> str:
    """A JSON array, one object a row; times in ISO 8601, UTC, with more digits for years beyond 9999."""
    rows = []
    for call in calls:
        row: dict[str, Any] = {"time": time_text(call.at, "T", "milliseconds") + "Z", "operation": call.operation}
        if with_user:
            row["user"] = call.user
        row["model"] = call.model
        row["cost_usd"] = None if call.cost_usd is None else float(call.cost_usd)
        row["latency_ms"] = None if call.latency_ms is None else round(call.latency_ms)
        row["success"] = call.success
        row["outcome"] = call.outcome
        rows.append(row)
    return json.dumps(rows, indent=2, ensure_ascii=False)


def as_table(calls: list[Call], *, with_user: bool) -> str:
    """A table for people, or a sentence if there are no calls."""
    if not calls:
        return "no such calls"
    headers = ["time (UTC)", "operation", "user", "model", "cost $", "latency ms", "outcome"]
    rows = [
        [
            time_text(call.at, " ", "seconds"),
            call.operation,
            call.user,
            call.model,
            dollars(call.cost_usd),
            "-" if call.latency_ms is None else f"{call.latency_ms:,.0f}",
            call.outcome,
        ]
        for call in calls
    ]
    if not with_user:
        headers.pop(2)
        rows = [[*row[:2], *row[3:]] for row in rows]
    return render_table(headers, rows, right=("cost $", "latency ms"))


def time_text(at: float, separator: str, precision: str) -> str:
    """A time (seconds since the epoch) in UTC, with its year as PostgreSQL writes it: after 9999, and BC, too.

    `precision` is "seconds" or "milliseconds". Datetime's own years end with 9999, and those of a log do not.
    """
    days, seconds = divmod(at, _DAY)
    cycles, days = divmod(int(days), _CYCLE_DAYS)
    moment = _EPOCH + timedelta(days=days, seconds=seconds)
    year = moment.year + cycles * _CYCLE_YEARS
    written, era = (year, "") if year > 0 else (1 - year, " BC")
    return f"{written:04d}-{moment:%m-%d}{separator}{moment.time().isoformat(precision)}{era}"
