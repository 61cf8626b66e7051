"""Calls as rows of the demo's logs, and its tables filled."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from exporter.database.names import identifier
from exporter.demo import litellm
from exporter.demo.history import Call
from exporter.demo.locked import locked
from exporter.demo.profiles import DAILY_LIMITS, FORMER_USERS, MODELS, OPERATIONS, USERS
from exporter.demo.schema import DemoLog, Layout

Row = tuple[Any, ...]

COLUMNS: dict[DemoLog, tuple[str, ...]] = {
    "litellm": litellm.COLUMNS,
    "success": tuple(
        """
        id operation_type operation_id model_used user_id input_tokens output_tokens cost_usd latency_ms quality_score
        success error_message created_at
        """.split()
    ),
    "status": tuple(
        """
        id user_id operation_id model_used input_tokens output_tokens total_tokens cost_usd latency_ms status
        error_message result request_metadata executed_at completed_at
        """.split()
    ),
}
TIME_COLUMN: dict[DemoLog, str] = {"success": "created_at", "status": "executed_at", "litellm": "startTime"}


def log_name(log: DemoLog) -> str:
    """The table that is the log."""
    return "LiteLLM_SpendLogs" if log == "litellm" else "ai_operation_log"


def to_row(layout: DemoLog, call: Call) -> Row:
    """The call's row, in the order of `COLUMNS`; only layout "status" takes calls that have not ended."""
    if layout == "litellm":
        return litellm.to_row(call)
    if layout == "success":
        if call.outcome in {"pending", "running"}:
            raise ValueError('layout "success" has no rows of calls in progress')
        return (
            call.id,
            call.operation,
            call.operation if call.names_operation else None,
            call.model,
            call.user,
            call.input_tokens,
            call.output_tokens,
            call.cost_usd,
            call.latency_ms,
            call.quality,
            call.outcome == "success",
            call.error_message,
            call.at,
        )
    ended = call.outcome not in {"pending", "running"}
    both = call.input_tokens is not None and call.output_tokens is not None
    return (
        call.id,
        call.user,
        call.operation,
        call.model,
        call.input_tokens,
        call.output_tokens,
        (call.input_tokens or 0) + (call.output_tokens or 0) if both else None,
        call.cost_usd,
        call.latency_ms,
        call.outcome,
        call.error_message,
        json.dumps({"text": "what the model answered"}) if call.outcome == "success" else None,
        json.dumps({"prompt": "what the user asked"}),
        call.at,
        call.ended_at if ended else None,
    )


def fill(connection: psycopg.Connection[Any], layout: DemoLog, calls: Iterable[Call], schema: str = "public") -> int:
    """Write the calls, and all that stands beside them, into the empty tables of a schema; returns how many calls.

    The caller commits.
    """
    written = 0
    with locked(connection):
        if layout == "status":
            users = [(user, f"user-{number}@demo.example") for number, user in enumerate((*USERS, *FORMER_USERS), 1)]
            _insert(connection, identifier(schema, "users"), ("id", "email"), users)
        log = sql.Identifier(schema, log_name(layout))
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(log, names(COLUMNS[layout]))
        with connection.cursor() as cursor, cursor.copy(copy) as rows:
            for call in calls:
                rows.write_row(to_row(layout, call))
                written += 1
        if layout != "litellm":
            _routes(connection, layout, schema)
            _budgets(connection, layout, schema)
        if layout == "success":
            _recommendations(connection, schema)
        elif layout == "status":
            states = ("pending", "pending", "pending", "approved", "approved", "rejected")
            _insert(connection, identifier(schema, "approval_gates"), ("status",), [(state,) for state in states])
        connection.execute("ANALYZE")
    return written


def _routes(connection: psycopg.Connection[Any], layout: Layout, schema: str) -> None:
    columns = "operation_id operation_name primary_model fallback_model enabled cost_criticality".split()
    rows: list[Row] = [
        (
            each.name,
            each.title,
            MODELS[each.primary].route_name,
            MODELS[each.fallback].route_name if each.fallback else None,
            True,
            each.criticality,
        )
        for each in OPERATIONS
    ]
    if layout == "status":
        columns += ["avg_input_tokens", "avg_output_tokens"]
        rows = [(*row, each.input_tokens, each.output_tokens) for row, each in zip(rows, OPERATIONS, strict=True)]
    _insert(connection, identifier(schema, "ai_model_routes"), columns, rows)


def _budgets(connection: psycopg.Connection[Any], layout: Layout, schema: str) -> None:
    """Budgets whose own idea of today's spend lags a little behind the log, as a job's would."""
    time = sql.Identifier(TIME_COLUMN[layout])
    log, budgets = (sql.Identifier(schema, table) for table in ("ai_operation_log", "cost_budgets"))
    spent = sql.SQL(
        "UPDATE {budgets} b SET {column} ="
        " round(0.97 * coalesce((SELECT sum(cost_usd) FROM {log} l WHERE l.user_id = b.user_id"
        " AND l.{time} >= date_trunc({period}, (SELECT max({time}) FROM {log}))), 0), 6)"
    )
    columns: tuple[str, ...] = ("user_id", "daily_limit_usd", "warning_threshold_usd")
    rows: list[Row] = [(user, limit, limit and limit * 8 / 10) for user, limit in DAILY_LIMITS.items()]
    periods = {"current_spend_today": "day"}
    if layout == "status":
        columns = ("user_id", "daily_limit_usd", "monthly_limit_usd", "warning_threshold_percentage")
        rows = [(user, limit, limit and limit * 20, 80) for user, limit in DAILY_LIMITS.items()]
        periods |= {"current_spend_month": "month"}
    _insert(connection, identifier(schema, "cost_budgets"), columns, rows)
    for column, period in periods.items():
        which = {"column": sql.Identifier(column), "period": sql.Literal(period)}
        connection.execute(spent.format(budgets=budgets, log=log, time=time, **which))


def _recommendations(connection: psycopg.Connection[Any], schema: str) -> None:
    columns = """
        operation_id recommendation_type current_config proposed_config estimated_savings_usd confidence reasoning
        approval_status
        """.split()
    claude, deepseek = json.dumps({"model": "claude_opus"}), json.dumps({"model": "deepseek"})
    short, shorter = json.dumps({"max_tokens": 2000}), json.dumps({"max_tokens": 900})
    rows: list[Row] = [
        ("analytics-summary", "model_switch", claude, deepseek, 41, 0.82, "Same ratings at a tenth", "PENDING"),
        ("analytics-anomaly", "model_switch", claude, deepseek, 28, 0.55, "Ratings differ little", "REJECTED"),
        ("email-compose", "token_limit", short, shorter, 6, 0.91, "Longest answer was 812", "APPROVED"),
        ("task-breakdown", "token_limit", short, shorter, 3, 0.74, "Longest answer was 840", "PENDING"),
    ]
    _insert(connection, identifier(schema, "helix_recommendations"), columns, rows)


def _insert(
    connection: psycopg.Connection[Any], table: sql.Identifier, columns: Sequence[str], rows: Iterable[Row]
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(insert_into(table, columns), rows)


def insert_into(table: sql.Identifier, columns: Sequence[str]) -> sql.Composed:
    """The statement that inserts a row, whose values are its parameters."""
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, names(columns), placeholders(columns))


def names(columns: Iterable[str]) -> sql.Composed:
    """The columns, with commas between them."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def placeholders(columns: Sequence[str]) -> sql.Composed:
    """A parameter for each column, with commas between them."""
    return sql.SQL(", ").join([sql.Placeholder()] * len(columns))
