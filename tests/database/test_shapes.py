"""However a window is read, as rows or as sums, the same is made of it."""

from dataclasses import replace

import pytest
from psycopg.rows import namedtuple_row

import exporter.database.window
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import Shape, span_query
from exporter.database.measures import invalid_values
from exporter.database.reader import read_span
from exporter.database.rows import BucketReader
from exporter.database.transactions import Database
from exporter.database.window import WindowReader
from exporter.ledger.calendar import floor_to
from exporter.ledger.model import TimeRange
from tests.support.harness import Log

ODD = (
    "NULL, NULL, NULL, NULL",
    "0, 5, 5, 0",
    "'0.000001', 0, 0, 50",
    "-1, -1, -1, -1",
    "'NaN', 1000000001, 7, 51",
    "1000001, 3, NULL, 120001",
    "'0.0000000000004', 1, 1, 2147483647",
    "'1e-13', 1, 1, 100",
    "12.5, 2147483647, 1, 60000",
    "12.5, 1, -2147483648, 59999",
)
"""Cost, input tokens, output tokens and latency."""

NAMES = ("'chat'", "' '", "'~x'", "'\u5206\u985e'", "E'\\x01'", "'other'", "repeat('x', 2000)")


def fill(log: Log) -> None:
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric")
    outcomes = (
        ("true", "false")
        if log.layout == "success"
        else tuple(f"'{status}'" for status in ("success", "failed", "timeout", "pending", "running"))
    )
    success = log.layout == "success"
    column, kind, kind_value = ("success", "operation_type, ", "'kind', ") if success else ("status", "", "")
    for number, (values, name) in enumerate((values, name) for values in ODD for name in NAMES):
        outcome, again = outcomes[number % len(outcomes)], number % 3
        log.execute(
            f"INSERT INTO ai_operation_log ({kind}operation_id, model_used, cost_usd, input_tokens, output_tokens,"
            f" latency_ms, {column}, error_message, {{time}})"
            f" SELECT {kind_value}{name}, 'm{number % 2}', {values}, {outcome},"
            f" '429 rate limit', now() AT TIME ZONE 'UTC' - interval '{number} seconds'"
            f" FROM generate_series(0, {again})"
        )


def test_rows_and_sums_make_the_same_buckets(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(log)
    config = Config.model_validate({"database": {"url": log.url}})
    rules, database = config.classification(), Database(resolve_conninfo(config, {}), 5, "tests")
    with database.session(60) as session:
        table = session.log(rules)
        now = int(session.clock)
        span = TimeRange(floor_to(now - 300, 60), now + 1)
        window = WindowReader()
        each, sums = window.read(session, table, rules, span), read_span(session, table, rules, span)
        assert each == sums
        assert {skip.reason for bucket in each.values() for skip in bucket.skipped} >= {"nan", "negative", "too_large"}
        # too many rows to be read as they are
        with monkeypatch.context() as patched:
            patched.setattr(exporter.database.window, "FEW", 3)
            assert window.read(session, table, rules, span) == sums
            assert window.read(session, table, rules, span) == sums
        # once they are few again, that is known by the next read
        assert window.read(session, table, rules, span) == sums
        assert window.read(session, table, rules, span) == sums
        # without users, and in one bucket wherever it begins
        lo = span.lo + 60
        ((start, whole),) = read_span(session, table, rules, TimeRange(lo, span.hi), width=86_400).items()
        assert start == lo
        assert sum(whole.users.values()) == sum(
            units for at, bucket in sums.items() if at >= lo for units in bucket.users.values()
        )
        query = span_query(table, rules, span, 60, shape=Shape.SERIES)
        by_series = BucketReader(rules)
        by_series.add(session.stream(*query, namedtuple_row))
        assert by_series.buckets() == {at: replace(bucket, users={}) for at, bucket in sums.items()}
    database.close()


@pytest.mark.parametrize("kind", ["numeric", "double precision", "real", "numeric(12,3)", "numeric(12,0)", "bigint"])
def test_parts_of_tokens_are_dropped_from_sums_and_not_from_rows(log: Log, kind: str) -> None:
    log.execute(f"ALTER TABLE ai_operation_log ALTER input_tokens TYPE {kind}")
    for _ in range(5):
        log.insert()
    log.execute("UPDATE ai_operation_log SET input_tokens = 10.5")
    config = Config.model_validate({"database": {"url": log.url}})
    rules, database = config.classification(), Database(resolve_conninfo(config, {}), 5, "tests")
    with database.session(60) as session:
        table, now = session.log(rules), int(session.clock)
        span = TimeRange(floor_to(now - 300, 60), now + 1)
        each = WindowReader().read(session, table, rules, span)
        assert each == read_span(session, table, rules, span)
    database.close()


@pytest.mark.parametrize(
    ("code", "values"),
    [
        (0, []),
        (1, [("cost", "nan")]),
        (2, [("cost", "negative")]),
        (3 + 4 * 2, [("cost", "too_large"), ("input_tokens", "negative")]),
    ],
)
def test_what_is_invalid_is_told_by_digits(code: int, values: list[tuple[str, str]]) -> None:
    assert invalid_values(code) == values
