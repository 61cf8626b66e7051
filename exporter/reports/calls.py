"""Calls as a table for people, and as JSON for scripts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from exporter.humanize import money
from exporter.ledger.calendar import DAY
from exporter.reports.table import render_table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # after so many years, or days, the calendar comes again
HEADERS = (
    *("time (UTC)", "operation", "user", "model", "tokens in", "tokens out"),
    *("cost", "latency ms", "outcome", "class", "message"),
)
"""The columns of the table."""

_RIGHT = ("tokens in", "tokens out", "cost", "latency ms")
_MESSAGE_WIDTH = 80


@dataclass(frozen=True)
class Call:
    """A row of the log.

    `at` is in seconds since the epoch, `cost_usd` in USD and `latency_ms` in milliseconds. `outcome` is ok, failed,
    timeout, pending, running, null, unknown or refund; `status` is what the column of that name holds. A failed call
    has an `error_class`. `called` is the user's own name, where one is known. What the row does not say is None.
    """

    at: float
    operation: str
    user: str
    model: str
    input_tokens: Decimal | None
    output_tokens: Decimal | None
    cost_usd: Decimal | None
    latency_ms: Decimal | None
    outcome: str
    status: str | None
    error_class: str | None
    message: str | None
    called: str | None = field(default=None, compare=False)


def fields(call: Call, columns: Mapping[str, str], *, with_user: bool) -> dict[str, Any]:
    """What JSON says of a call: each value by the name of its column, then `outcome` and `error_class`.

    `columns` are the log's own names by role. Names of operations, models and users are as in /metrics. Times are in
    ISO 8601, UTC, with more digits for years beyond 9999.
    """
    values = {
        "time": time_text(call.at, "T", "milliseconds") + "Z",
        "operation": call.operation,
        "user": call.user,
        "model": call.model,
        "input_tokens": _whole(call.input_tokens),
        "output_tokens": _whole(call.output_tokens),
        "cost": None if call.cost_usd is None else float(call.cost_usd),
        "latency": _whole(call.latency_ms),
        # of a call that has not ended, or whose outcome is unknown, it cannot be told
        "success": {"ok": True, "failed": False, "timeout": False}.get(call.outcome),
        "status": call.status,
        "error_message": call.message,
    }
    named = columns if "operation" in columns else {**columns, "operation": columns["operation_type"]}
    shown = {named[role]: value for role, value in values.items() if role in named and (with_user or role != "user")}
    if with_user and call.called is not None:
        shown["user_name"] = call.called
    return {**shown, "outcome": call.outcome, "error_class": call.error_class}


def as_text_json(calls: Sequence[Call], columns: Mapping[str, str], *, with_user: bool) -> str:
    """A JSON array with the `fields` of each call."""
    return json.dumps([fields(call, columns, with_user=with_user) for call in calls], indent=2, ensure_ascii=False)


def as_table(calls: Sequence[Call], *, with_user: bool, widths: Mapping[str, int] | None = None) -> str:
    """A table for people, or a sentence if there are no calls.

    With `widths`, the least width of each column by its header, only its rows: they continue a table.
    """
    if not calls:
        return "no such calls"
    rows = [dict(zip(HEADERS, _cells(call), strict=True)) for call in calls]
    headers = [header for header in HEADERS if with_user or header != "user"]
    if widths is None and not any(call.error_class or call.message for call in calls):
        headers = headers[:-2]
    return render_table(headers, [[row[header] for header in headers] for row in rows], _RIGHT, widths)


def _cells(call: Call) -> list[str]:
    return [
        time_text(call.at, " ", "seconds"),
        call.operation,
        call.called or call.user,
        call.model,
        _number(call.input_tokens),
        _number(call.output_tokens),
        "-" if call.cost_usd is None else money(call.cost_usd),
        _number(call.latency_ms),
        call.outcome,
        call.error_class or "-",
        _shortened(call.message or "-"),
    ]


def _number(number: Decimal | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else round(number)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_WIDTH else line[: _MESSAGE_WIDTH - 1] + "…"


def time_text(at: float, separator: str, precision: str) -> str:
    """A time (seconds since the epoch) in UTC, with its year as PostgreSQL writes it: after 9999, and BC, too.

    `precision` is "seconds" or "milliseconds". Datetime's own years end with 9999, and those of a log do not.
    """
    days, seconds = divmod(at, DAY)
    cycles, days = divmod(int(days), _CYCLE_DAYS)
    moment = _EPOCH + timedelta(days=days, seconds=seconds)
    year = moment.year + cycles * _CYCLE_YEARS
    written, era = (year, "") if year > 0 else (1 - year, " BC")
    return f"{written:04d}-{moment:%m-%d}{separator}{moment.time().isoformat(precision)}{era}"
