"""Columns of every type: read exactly, or refused by `check` and by the scrape with a view that makes them readable."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from exporter.catalog import ERROR_CLASSES
from exporter.config import Config
from exporter.database.approvals import read_approvals
from exporter.database.budgets import read_budgets
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import SchemaProblem
from exporter.database.probe_query import read_sums
from exporter.database.reader import read_span, read_spend, read_undated
from exporter.database.recommendations import read_recommendations
from exporter.database.routes import Route, read_routes
from exporter.database.session import Session
from exporter.database.tables import find_table
from exporter.database.transactions import Database
from exporter.figures import Figure
from exporter.ledger.aggregate import FAILURES, LATENCY_SUMS, money_units
from exporter.ledger.model import Bucket, SkippedValue, TimeRange
from exporter.preflight import run_check
from exporter.reports.recent import Wanted, run_operations
from tests.support.harness import running
from tests.support.servers import PostgresServer
from tests.support.thorough import examples
from tests.support.typed_tables import (
    FLAGS,
    KEYS,
    MESSAGE_TYPES,
    MODELS,
    NAMES,
    NUMBERS,
    TIMES,
    Type,
    column_sql,
    set_up,
)

COLUMNS: Mapping[str, tuple[str, Mapping[str, Type]]] = {
    "time": ("created_at", TIMES),
    "operation": ("operation_id", KEYS),
    "operation_type": ("operation_type", KEYS),
    "model": ("model_used", MODELS),
    "user": ("user_id", KEYS),
    "input_tokens": ("input_tokens", NUMBERS),
    "output_tokens": ("output_tokens", NUMBERS),
    "cost": ("cost_usd", NUMBERS),
    "latency": ("latency_ms", NUMBERS),
    "success": ("success", FLAGS),
    "error_message": ("error_message", MESSAGE_TYPES),
}
PLAIN = {
    "time": "timestamp",
    "operation": "text",
    "operation_type": "text other",
    "model": "text",
    "user": "uuid",
    "input_tokens": "integer",
    "output_tokens": "integer",
    "cost": "numeric(10,6)",
    "latency": "integer",
    "success": "boolean",
    "error_message": "text",
}
ROWS = 6
DAY = 86_400
# a failing example is not made smaller: each takes the database most of a second
DRAWN = settings(
    max_examples=examples(12),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CLASSES = ("rate_limit", "auth", "other")


@dataclass(frozen=True)
class Typed:
    """A database with the types, and a superuser's connection to it."""

    url: str
    connection: "psycopg.Connection[Any]"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def config(self, **settings: Any) -> Config:
        return Config.model_validate({"database": {"url": self.url}, "state_dir": "/nowhere/at/all", **settings})

    def check(self, **settings: Any) -> str:
        out = io.StringIO()
        run_check(self.config(**settings), {}, out)
        return out.getvalue()


@pytest.fixture(scope="module")
def typed(postgres: PostgresServer) -> Iterator[Typed]:
    url = postgres.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        set_up(connection)
    # its own session in UTC: what is written is meant so
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        yield Typed(url, connection)
    postgres.drop_database(url)


def read(typed: Typed, look: Callable[[Session], Any], config: Config) -> Any:
    """What a session finds; its errors are the driver's, or ours."""
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with database.session(20) as session:
            return look(session)
    finally:
        database.close()


def write_log(typed: Typed, drawn: Mapping[str, str], generated: set[str], start: int) -> list[dict[str, Any]]:
    """Make the table, fill it, and return what must be read."""
    typed.execute("DROP TABLE IF EXISTS ai_operation_log CASCADE")
    types = {role: COLUMNS[role][1][kind] for role, kind in drawn.items()}
    columns = ", ".join(column_sql(COLUMNS[role][0], types[role], generated=role in generated) for role in drawn)
    typed.execute(f"CREATE TABLE ai_operation_log ({columns})")
    names = ", ".join(f'"{COLUMNS[role][0]}{" written" * (role in generated)}"' for role in drawn)
    rows = []
    for number in range(ROWS):
        # each role has an order of its own, so that no two columns always go together
        index = {role: (number // (1 + place % 3) + place) % 3 for place, role in enumerate(drawn)}
        index["time"] = start + 60 * number
        values = ", ".join(types[role].literal(index[role]) for role in drawn)
        typed.execute(f"INSERT INTO ai_operation_log ({names}) VALUES ({values})")
        rows.append(
            {role: types[role].read(index[role]) for role in drawn} | {"class": CLASSES[index["error_message"]]}
        )
    return rows


def expected(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Counter[str]]:
    """By operation and model: calls, failures of each class, money, tokens and latency, in the ledger's units."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        cell = found.setdefault((row["operation"], row["model"]), Counter())
        cell["calls"] += 1
        cell["cost"] += money_units(Decimal(row["cost"]))
        cell["latency"] += int(Decimal(row["latency"]) * 1000)
        if not row["success"]:
            cell[row["class"]] += 1
    return found


def summed(minutes: Mapping[int, Bucket]) -> dict[tuple[str, str], Counter[str]]:
    """The same of what was read."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for minute in minutes.values():
        for (operation, model), read_cell in minute.cells.items():
            cell = found.setdefault((operation, model), Counter())
            cell["calls"] += read_cell[Figure.CALLS]
            cell["cost"] += read_cell[Figure.COST]
            cell["latency"] += sum(read_cell[LATENCY_SUMS])
            for name, count in zip(ERROR_CLASSES, read_cell[FAILURES], strict=True):
                if count:
                    cell[name] += count
    return found


def assert_read_exactly(typed: Typed, rows: Sequence[Mapping[str, Any]], start: int, config: Config) -> None:
    """By the scrape's query, the probe, the sum for drift, and the report."""
    span = TimeRange(start - DAY, start + DAY)

    def look(session: Session) -> None:
        log, rules = session.log(config.classification()), config.classification()
        minutes = read_span(session, log, rules, span)
        assert summed(minutes) == expected(rows)
        users: Counter[str] = Counter()
        for minute in minutes.values():
            users.update(minute.users)
        wanted: Counter[str] = Counter()
        for row in rows:
            wanted[row["user"]] += money_units(Decimal(row["cost"]))
        assert users == wanted
        assert not any(minute.skipped for minute in minutes.values())
        probed = read_sums(session, log, rules, [span])[span]
        money, calls = sum(wanted.values()), len(rows)
        assert (probed.rows, probed.calls, probed.columns["cost"]) == (calls, calls, money)
        for role in ("input_tokens", "output_tokens"):
            assert probed.columns[role] == int(sum(Decimal(row[role]) for row in rows))
        assert read_spend(session, log, rules, span) == money
        assert not any(read_undated(session, log).values())

    read(typed, look, config)
    out = io.StringIO()
    run_operations(config, {}, Wanted(limit=ROWS), out, as_json=False)
    assert len(out.getvalue().splitlines()) >= ROWS


def assert_refused(typed: Typed, unfit: Mapping[str, Type], look: Callable[[Session], Any], config: Config) -> str:
    """By the scrape and by `check` in the same words, which name each column and its type; returns the view's SQL."""
    with pytest.raises(SchemaProblem) as raised:
        read(typed, look, config)
    told, report = raised.value, typed.check()
    for column in unfit:
        assert f"{column} is of type " in told.message
    assert told.message in report
    assert told.hint in report
    assert "FAIL" in report
    return told.hint


drawn_types = st.fixed_dictionaries({role: st.sampled_from(sorted(types)) for role, (_, types) in COLUMNS.items()})
FITTING = {role: sorted(name for name, of in types.items() if of.fits) for role, (_, types) in COLUMNS.items()}
fitting_types = st.fixed_dictionaries({role: st.sampled_from(types) for role, types in FITTING.items()})
drawn_generated = st.sets(st.sampled_from(sorted(COLUMNS)), max_size=4)


@DRAWN
@given(st.one_of(fitting_types, drawn_types), drawn_generated)
@example(PLAIN | {"error_message": "jsonb"}, set())
@example(PLAIN | {"error_message": "enum"}, set())
@example(PLAIN | {"error_message": "varchar folding", "model": "text folding", "operation": "char folding"}, set())
@example(PLAIN | {"operation": "text C", "operation_type": "text other"}, set())
@example(PLAIN | {"operation": "bigint"}, set())
@example(PLAIN | {"cost": "integer", "latency": "integer"}, set())
@example(PLAIN | {"cost": "integer"}, {"cost"})
@example(PLAIN | {"cost": "smallint", "latency": "smallint"}, set())
@example(PLAIN | {"cost": "bigint", "input_tokens": "bigint"}, set())
@example(PLAIN | {"time": "domain named timestamp_utc over timestamptz"}, {"time", "cost"})
@example(PLAIN | {"time": "domain named like timestamptz over timestamp"}, set())
@example(PLAIN | {"time": "text", "cost": "text folding", "success": "integer", "latency": "interval"}, set())
@example(PLAIN | {"cost": "money", "user": "jsonb"}, set())
@example(PLAIN | {"time": "time"}, set())
@example(PLAIN | {"time": "epoch ms", "model": "bytea", "user": "json"}, {"user"})
def test_the_log_is_read_exactly_or_refused_with_a_view(
    typed: Typed, drawn: dict[str, str], generated: set[str]
) -> None:
    ((now,),) = typed.execute("SELECT floor(extract(epoch FROM now()))::bigint")
    # one day, whatever the column's precision
    start = now - now % DAY - DAY + 3600
    rows = write_log(typed, drawn, generated, start)
    types = {COLUMNS[role][0]: COLUMNS[role][1][kind] for role, kind in drawn.items()}
    unfit = {column: of for column, of in types.items() if not of.fits}
    config = typed.config()
    if not unfit:
        assert_read_exactly(typed, rows, start, config)
        typed.execute("CREATE INDEX ON ai_operation_log (created_at)")
        assert "FAIL" not in typed.check()
        return
    hint = assert_refused(typed, unfit, lambda session: session.log(config.classification()), config)
    if not all(of.view for of in unfit.values()):
        assert "CREATE VIEW" not in hint
        return
    view, _, rest = hint.partition(" -- ")
    typed.execute(view)
    assert "tables.log: public.ai_operation_log_readable" in rest
    assert_read_exactly(typed, rows, start, typed.config(tables={"log": "public.ai_operation_log_readable"}))


@pytest.mark.parametrize("turn", range(max(map(len, FITTING.values()))))
def test_each_type_that_fits_is_read_exactly(typed: Typed, turn: int) -> None:
    ((now,),) = typed.execute("SELECT floor(extract(epoch FROM now()))::bigint")
    start = now - now % DAY - DAY + 3600
    kinds = {role: types[turn % len(types)] for role, types in FITTING.items()}
    assert_read_exactly(typed, write_log(typed, kinds, set(), start), start, typed.config())


def test_a_view_over_columns_of_any_name(typed: Typed) -> None:
    names = {"time": "When?", "cost": 'Cost "USD" 100 %', "success": "it's {0}", "error_message": "ユーザー %s"}
    ((now,),) = typed.execute("SELECT floor(extract(epoch FROM now()))::bigint")
    start = now - now % DAY - DAY + 3600
    kinds = {"time": "epoch ms", "cost": "text folding", "success": "text", "error_message": "bytea"}
    rows = write_log(typed, PLAIN | kinds, set(), start)
    for role, name in names.items():
        doubled = name.replace('"', '""')
        typed.execute(f'ALTER TABLE ai_operation_log RENAME {COLUMNS[role][0]} TO "{doubled}"')
    typed.execute('DROP TABLE IF EXISTS "The ""log"" 100 %" CASCADE')
    typed.execute('ALTER TABLE ai_operation_log RENAME TO "The ""log"" 100 %"')
    written = {role: '"' + name.replace('"', '""') + '"' for role, name in names.items()}
    config = typed.config(tables={"log": '"The ""log"" 100 %"'}, columns={"log": written})
    with pytest.raises(SchemaProblem) as raised:
        read(typed, lambda session: session.log(config.classification()), config)
    view, _, rest = raised.value.hint.partition(" -- ")
    typed.execute(view)
    assert 'tables.log: public."The ""log"" 100 %_readable"' in rest
    config = typed.config(tables={"log": 'public."The ""log"" 100 %_readable"'}, columns={"log": written})
    assert_read_exactly(typed, rows, start, config)


@pytest.mark.parametrize(
    ("role", "value", "skip"),
    [
        ("cost", "n/a", ("cost", "nan")),
        ("cost", "$1.50", ("cost", "nan")),
        ("cost", "0,5", ("cost", "nan")),
        ("latency", "Infinity", ("latency", "nan")),
        ("input_tokens", "1e400", ("input_tokens", "too_large")),
        ("output_tokens", " ", None),
        ("success", "maybe", ("status", "null")),
        ("success", "2", ("status", "null")),
    ],
)
def test_a_text_that_is_no_such_value_is_reported_by_the_view(
    typed: Typed, role: str, value: str, skip: tuple[str, str] | None
) -> None:
    ((now,),) = typed.execute("SELECT floor(extract(epoch FROM now()))::bigint")
    write_log(typed, PLAIN | {role: "text"}, set(), now - 3600)
    typed.execute(f"UPDATE ai_operation_log SET {COLUMNS[role][0]} = '{value}'")
    with pytest.raises(SchemaProblem) as raised:
        read(typed, lambda session: session.log(typed.config().classification()), typed.config())
    typed.execute(raised.value.hint.partition(" -- ")[0])
    config = typed.config(tables={"log": "public.ai_operation_log_readable"})

    def look(session: Session) -> None:
        rules = config.classification()
        skipped: Counter[SkippedValue] = Counter()
        for minute in read_span(session, session.log(rules), rules, TimeRange(now - DAY, now + DAY)).values():
            skipped.update(minute.skipped)
        assert skipped == ({} if skip is None else {SkippedValue(*skip): ROWS})

    read(typed, look, config)


@pytest.mark.parametrize("kind", sorted(name for name, of in TIMES.items() if of.fits))
def test_an_index_on_the_time_is_used_whatever_its_type(typed: Typed, kind: str) -> None:
    write_log(typed, PLAIN | {"time": kind, "operation": "text folding", "error_message": "jsonb"}, set(), 10**9)
    typed.execute(
        "INSERT INTO ai_operation_log (created_at, operation_id, model_used, success)"
        " SELECT now() AT TIME ZONE 'UTC' - second * interval '1 minute', 'a', 'b', true"
        " FROM generate_series(1, 5000) AS second"
    )
    typed.execute("CREATE INDEX by_time ON ai_operation_log (created_at DESC)")
    typed.execute("ANALYZE ai_operation_log")
    assert "the scrape's query uses by_time" in typed.check()


STATUSES = ("success", "failed", "timeout", "pending", "PENDING")
STATUS_TYPES = {
    name: Type(sql, lambda i, form=form: form.format(STATUSES[i]), lambda i: STATUSES[i], fits=fits)  # type: ignore[misc]
    for name, sql, form, fits in (
        ("text", "text", "'{}'", True),
        ("text folding", "text COLLATE folding", "'{}'", True),
        ("varchar other", "varchar(20) COLLATE other", "'{}'", True),
        ("char", "char(10)", "'{}'", True),
        ("char folding", "char(10) COLLATE folding", "'{}'", True),
        ("name", "name", "'{}'", True),
        ("enum", "statuses", "'{}'", True),
        ("domain of enum", "status_domain", "'{}'", True),
        ("domain", "label", "'{}'", True),
        ("jsonb", "jsonb", "'\"{}\"'", True),
        ("json", "json", "'\"{}\"'", False),
        ("bytea", "bytea", "'{}'", False),
    )
}


@pytest.mark.parametrize("kind", STATUS_TYPES)
def test_a_status_of_any_type(typed: Typed, kind: str) -> None:
    ((now,),) = typed.execute("SELECT floor(extract(epoch FROM now()))::bigint")
    start = now - 3600
    of = STATUS_TYPES[kind]
    write_log(typed, {role: name for role, name in PLAIN.items() if role != "success"}, set(), start)
    typed.execute(f"ALTER TABLE ai_operation_log ADD {column_sql('status', of, generated=False)}")
    for number in range(ROWS):
        typed.execute(
            f"UPDATE ai_operation_log SET status = {of.literal(number % 5)}"
            f" WHERE created_at = to_timestamp({start + 60 * number}) AT TIME ZONE 'UTC'"
        )
    config = typed.config()
    if not of.fits:
        hint = assert_refused(typed, {"status": of}, lambda session: session.log(config.classification()), config)
        typed.execute(hint.partition(" -- ")[0])
        config = typed.config(tables={"log": "public.ai_operation_log_readable"})

    def look(session: Session) -> None:
        log, rules = session.log(config.classification()), config.classification()
        span = TimeRange(start - DAY, start + DAY)
        cells = [cell for minute in read_span(session, log, rules, span).values() for cell in minute.cells.values()]
        # of the words in turn: two successes, a failure, a timeout, one pending, and one unknown
        assert sum(cell[Figure.CALLS] for cell in cells) == 4
        assert sum(sum(cell[FAILURES]) for cell in cells) == 2
        assert sum(cell[Figure.ROWS] for cell in cells) == ROWS
        sums = read_sums(session, log, rules, [span])[span]
        assert (sums.rows, sums.calls, sums.failures) == (ROWS, 4, 2)

    read(typed, look, config)
    assert "FAIL  outcomes" in typed.check(tables={"log": str(config.tables.log)})


OPTIONAL: Mapping[str, Mapping[str, tuple[str, Mapping[str, Type]]]] = {
    "budgets": {
        "user": ("user_id", KEYS),
        "daily_limit": ("daily_limit_usd", NUMBERS),
        "monthly_limit": ("monthly_limit_usd", NUMBERS),
        "warning_threshold": ("warning_threshold_usd", NUMBERS),
        "spent_today": ("current_spend_today", NUMBERS),
    },
    "routes": {
        "operation": ("operation_id", KEYS),
        "primary_model": ("primary_model", MODELS),
        "fallback_model": ("fallback_model", MODELS),
        "enabled": ("enabled", FLAGS),
    },
    "recommendations": {"type": ("recommendation_type", MODELS), "status": ("approval_status", NAMES)},
    "approvals": {"status": ("status", STATUS_TYPES)},
}
TABLES = {
    "budgets": "cost_budgets",
    "routes": "ai_model_routes",
    "recommendations": "helix_recommendations",
    "approvals": "approval_gates",
}


def write_table(typed: Typed, section: str, types: Mapping[str, Type], generated: bool) -> list[dict[str, Any]]:
    """Make an optional table of three rows, and return them."""
    table, columns = TABLES[section], OPTIONAL[section]
    typed.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
    made = ", ".join(column_sql(columns[role][0], of, generated=generated) for role, of in types.items())
    typed.execute(f"CREATE TABLE {table} ({made})")
    names = ", ".join(f'"{columns[role][0]}{" written" * generated}"' for role in types)
    # approvals: all words of a status
    indexes = range(5) if section == "approvals" else range(3)
    for index in indexes:
        values = ", ".join(of.literal(index) for of in types.values())
        typed.execute(f"INSERT INTO {table} ({names}) VALUES ({values})")
    return [{role: of.read(index) for role, of in types.items()} for index in indexes]


def smallest(rows: Sequence[Mapping[str, Any]], role: str) -> dict[str, int]:
    """The smallest amount of each user."""
    amounts: dict[str, int] = {}
    for row in rows:
        amount = money_units(Decimal(row[role]))
        amounts[row["user"]] = min(amount, amounts.get(row["user"], amount))
    return amounts


def assert_table_read_exactly(
    session: Session, section: str, rows: Sequence[Mapping[str, Any]], config: Config
) -> None:
    match section:
        case "budgets":
            budgets = read_budgets(session, config)
            assert budgets is not None
            # a column that holds but two values names a user twice: of several rows, the smallest amounts count
            limits, warnings = smallest(rows, "daily_limit"), smallest(rows, "warning_threshold")
            assert {user: budget.daily_limit for user, budget in budgets.by_user.items()} == limits
            assert {user: budget.warning for user, budget in budgets.by_user.items()} == warnings
            assert budgets.recorded_today == money_units(sum((Decimal(row["spent_today"]) for row in rows), Decimal()))
        case "routes":
            routes = read_routes(session, config) or []
            roles = ("operation", "primary_model", "fallback_model", "enabled")
            written = sorted((tuple(row[role] for role in roles) for row in rows), key=lambda row: (not row[3], row))
            # a column that holds but two values names an operation twice
            counting = {row[0]: row for row in reversed(written)}
            found = {(r.operation, r.primary_model, r.fallback_model, r.enabled) for r in routes}
            assert found == set(counting.values())
            assert sum(route.rows for route in routes) == len(rows)
        case "recommendations":
            counts = Counter((row["type"].lower(), row["status"].lower()) for row in rows)
            recommended = read_recommendations(session, config)
            assert recommended is not None
            assert recommended.counts == counts
            savings = Counter[str]()
            for row in rows:
                if "savings" in row and row["status"].lower() == "pending":
                    savings[row["type"].lower()] += money_units(Decimal(row["savings"]))
            assert recommended.savings == (dict(savings) if "savings" in rows[0] else None)
        case _:
            assert read_approvals(session, config) == sum(row["status"].lower() == "pending" for row in rows)


@st.composite
def drawn_tables(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    section = draw(st.sampled_from(sorted(OPTIONAL)))
    only_fitting = draw(st.booleans())
    kinds = {
        role: st.sampled_from(sorted(name for name, of in types.items() if of.fits or not only_fitting))
        for role, (_, types) in OPTIONAL[section].items()
    }
    return section, draw(st.fixed_dictionaries(kinds))


@DRAWN
@given(drawn_tables(), st.booleans())
@example(("approvals", {"status": "domain of enum"}), False)
@example(("budgets", dict.fromkeys(OPTIONAL["budgets"], "integer") | {"user": "boolean"}), False)
@example(("approvals", {"status": "text folding"}), False)
@example(("approvals", {"status": "jsonb"}), True)
@example(("recommendations", {"type": "text folding", "status": "domain"}), False)
@example(
    ("routes", {"operation": "boolean", "primary_model": "uuid", "fallback_model": "boolean", "enabled": "numeric"}),
    False,
)
@example(
    ("routes", {"operation": "bigint", "primary_model": "jsonb", "fallback_model": "char folding", "enabled": "text"}),
    False,
)
def test_optional_tables_are_read_exactly_or_refused_with_a_view(
    typed: Typed, drawn: tuple[str, dict[str, str]], generated: bool
) -> None:
    section, kinds = drawn
    typed.execute("DROP TABLE IF EXISTS ai_operation_log CASCADE")
    types = {role: OPTIONAL[section][role][1][kind] for role, kind in kinds.items()}
    rows = write_table(typed, section, types, generated)
    unfit = {OPTIONAL[section][role][0]: of for role, of in types.items() if not of.fits}
    config = typed.config()
    if unfit:
        hint = assert_refused(typed, unfit, lambda session: find_table(session, config, section), config)
        if not all(of.view for of in types.values()):
            assert "CREATE VIEW" not in hint
            return
        typed.execute(hint.partition(" -- ")[0])
        view = f"public.{TABLES[section]}_readable"
        assert f"tables.{section}: {view}" in hint
        config = typed.config(tables={section: view})
    read(typed, lambda session: assert_table_read_exactly(session, section, rows, config), config)
    out = io.StringIO()
    run_check(config, {}, out)
    assert f"FAIL  {section}" not in out.getvalue()


def test_of_several_routes_for_an_operation_the_same_one_counts_always(typed: Typed) -> None:
    typed.execute("DROP TABLE IF EXISTS ai_model_routes CASCADE")
    typed.execute(
        "CREATE TABLE ai_model_routes"
        " (operation_id text, primary_model text, fallback_model text, enabled boolean, n int)"
    )
    typed.execute(
        "INSERT INTO ai_model_routes VALUES"
        " ('chat', 'a', 'z', false), ('chat', 'c', 'y', true), (' chat', 'b', 'x', true), ('other', 'a', '', false)"
    )
    config = typed.config()
    for primary in "acb":
        # moves the row behind the others
        typed.execute(f"UPDATE ai_model_routes SET n = 1 WHERE primary_model = '{primary}'")
        assert read(typed, lambda session: read_routes(session, config), config) == [
            Route("chat", "b", "x", True, rows=3),
            Route("other", "a", "", False),
        ]


@pytest.mark.parametrize(("kind", "message"), [("text folding", "varchar folding"), ("jsonb", "jsonb")])
def test_a_failed_call_does_not_blind_the_exporter(typed: Typed, tmp_path: Path, kind: str, message: str) -> None:
    ((now,),) = typed.execute("SELECT floor(extract(epoch FROM now()))::bigint")
    write_log(typed, PLAIN | {"error_message": message, "operation": kind, "model": kind}, set(), now - 3600)
    for table in TABLES.values():
        typed.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
    with running(typed.url, tmp_path) as exporter:
        exporter.wait_ready()
        typed.execute(
            "INSERT INTO ai_operation_log (created_at, cost_usd, success, operation_id, model_used, error_message)"
            f" VALUES (now() AT TIME ZONE 'UTC', 0.5, false, {NAMES[kind].literal(1)}, {NAMES[kind].literal(2)},"
            f" {MESSAGE_TYPES[message].literal(0)})"
        )
        scraped = exporter.scrape()
    assert scraped.up == 1
    labels = {"operation": "Alpha", "model": "älpha"}
    assert scraped.one("ai_operation_failures_total", **labels, error_class="rate_limit") == 1
    assert scraped.micro("ai_operation_cost_usd_total", **labels) == 500_000
