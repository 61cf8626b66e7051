"""Histories to advise on, what is advised, and proof that the evidence says the same."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql

from exporter.advisor.advise import advise
from exporter.advisor.model import Recommendation
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.one_session import one_session
from exporter.demo.history import Call
from exporter.demo.profiles import USERS
from exporter.demo.rows import COLUMNS, to_row
from tests.support import ROOT
from tests.support.clock import Clock
from tests.support.harness import Log, config_for

DAY = 86_400

_SCHEMA = (ROOT / "exporter" / "demo" / "schema_success.sql").read_text()
_FOUND = re.search(r"CREATE TABLE (helix_recommendations \(.*?\n\);)", _SCHEMA, re.DOTALL)
assert _FOUND is not None
TABLE = f"""
CREATE TABLE IF NOT EXISTS {_FOUND[1]}
ALTER TABLE helix_recommendations ENABLE ROW LEVEL SECURITY;
"""
"""The table of recommendations, for the layout that has none."""

CALL: Mapping[str, Any] = {
    "operation": "email-compose",
    "model": "deepseek-v3.2",
    "user": USERS[0],
    "outcome": "success",
    "input_tokens": 1000,
    "output_tokens": 100,
    "cost": "0.01",
    "latency_ms": 400,
}
"""A call of which no rule says anything, unless there are others like it."""


def week(log: Log, clock: Clock, a_day: int, days: int = 7, **columns: Any) -> None:
    """So many calls on each of the last days, evenly; a column may be a function of the day and the call's number."""
    if log.layout == "status":
        log.execute(
            "INSERT INTO users SELECT id, id::text FROM unnest(%s::uuid[]) AS id ON CONFLICT DO NOTHING", list(USERS)
        )
    now, rows = clock.now(), []
    for day in range(days):
        for number in range(a_day):
            chosen = {**CALL, **columns}
            values = {name: each(day, number) if callable(each) else each for name, each in chosen.items()}
            at = values.pop("at", None) or timedelta(seconds=(number + 0.5) * DAY / a_day)
            moment = now - timedelta(days=days - day) + at
            rows.append(to_row(log.layout, _call(moment.replace(tzinfo=None), values)))
    names = COLUMNS[log.layout]
    statement = sql.SQL("COPY ai_operation_log ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, names)))
    with log.connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _call(moment: Any, values: dict[str, Any]) -> Call:
    cost = values["cost"]
    return Call(
        uuid4(),
        moment,
        values["operation"],
        values["model"],
        values["user"],
        values["outcome"],
        values["input_tokens"],
        values["output_tokens"],
        None if cost is None else Decimal(cost),
        values["latency_ms"],
        error_message=None,
    )


def advised(log: Log, tmp_path: Path, seconds: float = 7 * DAY, **settings: Any) -> list[Recommendation]:
    """What is recommended; every piece of evidence is run, and says the figures of its recommendation."""
    settings = {"expected_operations": [], **settings}
    config: Config = config_for(log.url, tmp_path, settings)
    info = resolve_conninfo(config, {})
    with one_session(config, info, "test", 60) as session:
        found = advise(session, info, config, seconds)
    for each in found:
        assert_proven(log, each)
    return found


def assert_proven(log: Log, each: Recommendation) -> None:
    """The evidence is SQL that says the figures; of an index it is a plan."""
    lock, _, query = each.evidence.partition("\n")
    assert lock == "SET search_path = pg_catalog, pg_temp;"
    with log.connection.transaction(), log.connection.cursor() as cursor:
        cursor.execute(lock.replace("SET ", "SET LOCAL ").encode())
        cursor.execute(query.encode())
        rows = cursor.fetchall()
        if each.kind == "missing_index":
            return
        assert cursor.description is not None
        shown = dict(zip((column.name for column in cursor.description), rows[0], strict=True))
        assert len(rows) == 1
        assert shown == each.figures, each


def kinds(found: list[Recommendation]) -> set[str]:
    """The kinds that are recommended."""
    return {each.kind for each in found}


def one(found: list[Recommendation], kind: str) -> Recommendation:
    """The only recommendation of a kind."""
    (each,) = (each for each in found if each.kind == kind)
    return each


def user(number: int) -> UUID:
    """One of the users."""
    return USERS[number % len(USERS)]


Column = Callable[[int, int], Any]
