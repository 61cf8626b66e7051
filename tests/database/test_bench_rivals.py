"""The SQL that the bench gives to the alternatives: the same totals as a count by hand."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import yaml

from bench.rivals import configs
from tests.support.harness import Log

ANNA, BERT = UUID(int=1), UUID(int=2)


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        yield log


def rows(log: Log, query: str) -> list[dict[str, Any]]:
    """The result of a query by the names of its columns."""
    cursor = log.connection.execute(query.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def queries(name: str) -> list[str]:
    """The query for the totals (0) or for the spend (1), as each alternative is told it."""
    place = ("totals", "spend_today").index(name)
    by_scrape = yaml.safe_load(configs.query_exporter("postgresql://x"))["queries"]
    by_clock = yaml.safe_load(configs.sql_exporter("postgres://x", "1s"))["jobs"][0]["queries"]
    custom = yaml.safe_load(configs.postgres_exporter())
    return [
        list(by_scrape.values())[place]["sql"],
        by_clock[place]["query"],
        list(custom.values())[place]["query"],
    ]


@pytest.mark.parametrize("program", range(3), ids=["query_exporter", "sql_exporter", "postgres_exporter"])
def test_the_totals_are_those_of_a_count_by_hand(log: Log, program: int) -> None:
    calls, tokens = Counter[Any](), Counter[Any]()
    cost: defaultdict[Any, Decimal] = defaultdict(Decimal)
    for number in range(60):
        succeeds = number % 7 > 0
        operation, model = f"operation-{number % 3}", f"model-{number % 2}"
        price = None if number % 11 == 0 else f"0.{number:06d}"
        log.insert(
            number * 86400.0 * 10,  # since for ever
            operation=operation,
            model=model,
            cost=price,
            outcome="success" if succeeds else "failed",
            input_tokens=None if number % 13 == 0 else number,
            output_tokens=2 * number,
        )
        key = operation, model, "success" if succeeds else "failed"
        calls[key] += 1
        cost[key] += Decimal(price or 0)
        tokens[key] += 2 * number + (0 if number % 13 == 0 else number)
    found = {(row["operation"], row["model"], row["status"]): row for row in rows(log, queries("totals")[program])}
    assert {key: row["calls"] for key, row in found.items()} == calls
    assert {key: Decimal(row["cost_usd"]).quantize(Decimal("1e-6")) for key, row in found.items()} == cost
    assert {key: row["input_tokens"] + row["output_tokens"] for key, row in found.items()} == tokens


@pytest.mark.parametrize("program", range(3), ids=["query_exporter", "sql_exporter", "postgres_exporter"])
def test_the_spend_is_that_of_today_by_user(log: Log, program: int) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for user, cost, at in (
        (ANNA, "1.5", midnight),
        (ANNA, "0.25", midnight + timedelta(seconds=1)),
        (ANNA, "100", midnight - timedelta(microseconds=1)),
        (BERT, None, midnight),
        (None, "0.125", midnight),
    ):
        log.insert(cost=cost, user=user, at=at)
    found = {row["username"]: row["spend_usd"] for row in rows(log, queries("spend_today")[program])}
    assert found == {
        str(ANNA): 1.75,
        str(BERT): 0,
        "unattributed": 0.125,
    }


def test_at_most_twenty_users_are_shown(log: Log) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(25):
        log.insert(cost=str(number), user=UUID(int=number), at=midnight)
    shown = [row["spend_usd"] for row in rows(log, queries("spend_today")[0])]
    assert shown == list(range(24, 4, -1))
