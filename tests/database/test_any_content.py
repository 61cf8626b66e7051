"""Whatever the rows of a public system hold, within the types of its columns: each is counted or reported, none blinds.

What is money and tokens is said here once more, row by row, in Python.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from exporter.config import UPPER_BOUNDS, Config
from exporter.preflight.known_sources import wanted
from tests.support.harness import Running, running, wait_for
from tests.support.public_logs import PUBLIC, PublicLog
from tests.support.scraped import Scraped
from tests.support.thorough import examples

Row = Mapping[str, Any]
Amount = Decimal | int | None
FIELDS = ("cost", "input_tokens", "output_tokens")
COUNTERS = {
    "cost": "ai_operation_cost_usd_total",
    "input_tokens": "ai_operation_input_tokens_total",
    "output_tokens": "ai_operation_output_tokens_total",
}
NAN = Decimal("NaN")

FLOATS = st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 0.1 + 0.2, math.nan, math.inf, -math.inf, 1e6, 1000000.5])
WORDS = [
    "",
    " ",
    "success",
    "failure",
    "error",
    "normal",
    "OK",
    "llm",
    "LLM",
    "assistant",
    "USD",
    "true",
    "%s",
    "ユ",
    "null",
]
TEXTS = st.sampled_from(WORDS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12
)
JSON_NUMBERS = ["5", "0", "-1", "1.5", "1e3", "1e400000", "9" * 60, "NaN", "", "abc", "true"]
JSON_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 7, 0, -3, 12.5, [], {}, [1], "x", *JSON_NUMBERS]
) | st.integers(0, 5000)
TOKEN_KEYS = ["input_tokens", "prompt_tokens", "output_tokens", "completion_tokens"]
DOCUMENT_KEYS = [*TOKEN_KEYS, "status", "error_information", "llm", "user"]
DOCUMENTS = st.none() | st.dictionaries(
    st.sampled_from(DOCUMENT_KEYS),
    JSON_VALUES | st.dictionaries(st.sampled_from(["error_code", "model_name", "id"]), JSON_VALUES),
)
# what a json column takes, and PostgreSQL cannot take out of it again
ODD_JSON = [
    '"\\u0000"',
    '{"input_tokens": 5, "x": "\\u0000"}',
    '{"prompt_tokens": "\\ud800"}',
    "null",
    " null ",
    "5",
    "[]",
    '"text"',
]
TIMES = st.sampled_from(["infinity", "-infinity", "2026-01-01", "294276-12-31 23:59:59", "0044-03-15 BC"])


def whole(bits: int) -> st.SearchStrategy[int]:
    largest = 2 ** (bits - 1) - 1
    return st.sampled_from([0, 1, -1, 2, 5, 200, 400, 429, largest, -largest - 1]) | st.integers(0, 10_000)


def values(kind: str) -> st.SearchStrategy[Any]:
    """Values of a column's type, as `format_type` writes it."""
    name, _, modifier = kind.partition("(")
    match name:
        case "integer" | "bigint":
            return whole(32 if name == "integer" else 64)
        case "double precision":
            return FLOATS | st.floats(0, 100)
        case "numeric":
            digits, scale = map(int, modifier.rstrip(")").split(","))
            most = Decimal(10**digits - 1).scaleb(-scale)
            return st.sampled_from([NAN, most, -most, Decimal(0)]) | st.decimals(
                Decimal(0), min(Decimal(100), most), places=scale
            )
        case "text" | "character varying":
            length = int(modifier.rstrip(")")) if modifier else 10_000
            return (TEXTS | st.just("é" * 3000)).map(lambda text: text[:length])
        case "boolean":
            return st.booleans()
        case "uuid":
            return st.sampled_from([UUID(int=0), UUID(int=2**128 - 1)])
        case "jsonb":
            return DOCUMENTS.map(json.dumps)
        case "json":
            return DOCUMENTS.map(json.dumps) | st.sampled_from(ODD_JSON)
        case _:
            assert name.startswith("timestamp"), kind
            return TIMES


def usage(document: str | None, *keys: str) -> Amount:
    """The first of some values in a document of Open WebUI: NaN where it is no number."""
    if document is None or "\\u" in document:
        return None if document is None else NAN
    found = json.loads(document)
    texts = [found[key] for key in keys if isinstance(found, dict) and found.get(key) is not None]
    if not texts:
        return None
    if isinstance(texts[0], bool | list | dict):
        return NAN
    try:
        number = Decimal(str(texts[0]))
    except ArithmeticError:
        return NAN
    return number if number.is_finite() and abs(number.adjusted()) < 100 and len(number.as_tuple().digits) < 40 else NAN


@dataclass(frozen=True)
class Meaning:
    """What a row of a source costs in USD, and its tokens."""

    cost: Callable[[Row], Amount]
    input_tokens: Callable[[Row], Amount]
    output_tokens: Callable[[Row], Amount]


def plain(cost: str | None, input_tokens: str, output_tokens: str) -> Meaning:
    return Meaning(
        lambda row: None if cost is None else row[cost], lambda row: row[input_tokens], lambda row: row[output_tokens]
    )


def _quota(row: Row) -> Amount:
    sign = {2: 1, 6: -1}.get(row["type"])
    return None if sign is None or row["quota"] is None else sign * Decimal(row["quota"]) / 500_000


def _all_input(row: Row) -> Amount:
    return int(row["input_tokens"] + row["cache_creation_tokens"] + row["cache_read_tokens"])


def _with_cached(row: Row) -> Amount:
    return sum(row[name] or 0 for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"))


MEANING = {
    "litellm": plain("spend", "prompt_tokens", "completion_tokens"),
    "new-api": Meaning(_quota, lambda row: row["prompt_tokens"], lambda row: row["completion_tokens"]),
    "one-api": Meaning(_quota, lambda row: row["prompt_tokens"], lambda row: row["completion_tokens"]),
    "dify": Meaning(
        # what costs nothing does so in any currency
        lambda row: row["total_price"] if row["currency"].strip(" ") == "USD" or not row["total_price"] else NAN,
        lambda row: row["message_tokens"],
        lambda row: row["answer_tokens"],
    ),
    "bifrost": plain("cost", "prompt_tokens", "completion_tokens"),
    "open-webui": Meaning(
        lambda _: None,
        lambda row: usage(row["usage"], "input_tokens", "prompt_tokens"),
        lambda row: usage(row["usage"], "output_tokens", "completion_tokens"),
    ),
    "phoenix": plain(None, "llm_token_count_prompt", "llm_token_count_completion"),
    "sub2api": Meaning(lambda row: row["actual_cost"], _all_input, lambda row: row["output_tokens"]),
    "claude-code-hub": Meaning(lambda row: row["cost_usd"], _with_cached, lambda row: row["output_tokens"]),
    "lunary": plain("cost", "prompt_tokens", "completion_tokens"),
}


def exact(value: Any) -> Decimal:
    """A value as PostgreSQL makes a NUMERIC of it: of a double, fifteen digits."""
    return Decimal(f"{value:.15g}") if isinstance(value, float) else Decimal(value)


@dataclass
class Bench:
    """A running exporter on a source's empty log; `kinds` are the types of the columns that it reads."""

    public: PublicLog
    admin: psycopg.Connection[Any]
    exporter: Running
    config: Config
    kinds: Mapping[str, tuple[str, bool]]
    written: int = 0

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(self.config.tables.log.name)

    @property
    def time(self) -> str:
        return str(self.config.columns.log.time)

    def insert(self, row: Row, ago: int) -> bool:
        """Write a row, so many seconds old; whether the table takes it, and it is a call."""
        kind = self.kinds[self.time][0]
        now = "now() AT TIME ZONE 'UTC'" if kind.endswith("without time zone") else "now()"
        moment = f"extract(epoch FROM now())::bigint - {ago}" if kind == "bigint" else f"{now} - interval '{ago} s'"
        self.written += 1
        columns = {name: value for name, value in row.items() if name != self.time}
        columns |= {name: str(self.written) for name in KEYS.get(self.public.name, ())}
        where = self.config.columns.log.where
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            self.table,
            sql.SQL(", ").join(map(sql.Identifier, [self.time, *columns])),
            sql.SQL(", ").join([sql.SQL(moment), *map(sql.Placeholder, columns)]),
            sql.SQL("true" if where is None else f"coalesce({where.sql}, false)"),
        )
        try:
            with self.admin.transaction():
                found = self.admin.execute(statement, columns).fetchone()
        except psycopg.DataError:
            return False
        return bool(found and found[0])

    def empty(self) -> None:
        self.admin.execute(sql.SQL("DELETE FROM {}").format(self.table))


NEEDED: Mapping[str, tuple[str, ...]] = {
    "litellm": ("api_key", "endTime"),
    "bifrost": ("provider",),
    "open-webui": ("chat_id",),
    "phoenix": ("span_id", "end_time"),
    "claude-code-hub": ("key",),
    "lunary": ("ended_at",),
}
"""Columns that a row must have, or that others are generated from, beside those that are read."""

CALL: Mapping[str, Row] = {
    "new-api": {"type": 2},
    "one-api": {"type": 2},
    "open-webui": {"role": "assistant"},
    "phoenix": {"span_kind": "LLM"},
    "claude-code-hub": {"deleted_at": None},
    "lunary": {"type": "llm"},
}
"""What makes a row a call, in half of them."""

KEYS = {"litellm": ("request_id",), "bifrost": ("id",), "open-webui": ("id",)}
"""Keys that the system makes itself."""


@pytest.fixture(params=PUBLIC)
def bench(request: pytest.FixtureRequest, embedded_database: str, tmp_path: Path) -> Iterator[Bench]:
    public = PublicLog.of(request.param)
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        config = Config.model_validate({"source": public.name})
        table = config.tables.log.name
        found = admin.execute(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attgenerated <> ''"
            " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
            (f'"{table}"',),
        )
        names = wanted(config.columns.log) | set(NEEDED.get(public.name, ()))
        kinds = {name: (kind, needed) for name, kind, needed, made in found if name in names and not made}
        with running(embedded_database, tmp_path, source=public.name, open_window="15m", max_series=5000) as exporter:
            exporter.wait_ready().scrape()
            yield Bench(public, admin, exporter, config, kinds)


def total(scraped: Scraped, name: str) -> Decimal:
    return sum(map(Decimal, scraped.having(name).values()), Decimal(0))


def counted(scraped: Scraped) -> dict[str, Decimal]:
    """Figures that rise with each row."""
    return {
        "calls": Decimal(scraped.total("ai_operations_total")),
        "running": Decimal(scraped.total("ai_operations_in_progress")),
        **{
            f"no {field}": Decimal(scraped.total("ai_rows_skipped_total", field=field)) for field in (*FIELDS, "status")
        },
        **{field: total(scraped, name) for field, name in COUNTERS.items()},
        "cost": total(scraped, COUNTERS["cost"]) - total(scraped, "ai_operation_refunds_usd_total"),
    }


@pytest.mark.slow
@settings(max_examples=examples(15), suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_every_row_is_counted_or_reported(bench: Bench, data: st.DataObject) -> None:
    columns = {
        name: values(kind) if needed else st.none() | values(kind) for name, (kind, needed) in bench.kinds.items()
    }
    columns |= {name: st.just(value) | columns[name] for name, value in CALL.get(bench.public.name, {}).items()}
    rows = data.draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=5))
    before = counted(bench.exporter.last)
    # what came together is counted together
    with bench.admin.transaction():
        calls = [row for row in rows if bench.insert(row, ago=30)]
    scraped = bench.exporter.scrape()
    if scraped.up != 1:
        bench.empty()  # for the next rows
        bench.exporter.scrape()
    assert scraped.up == 1, bench.exporter.exporter.status()
    after = counted(scraped)
    rise = {name: after[name] - before[name] for name in after}
    refunds = sum(row.get("type") == 6 for row in calls)
    assert rise["calls"] + rise["running"] + rise["no status"] == len(calls) - refunds, rise
    for field in FIELDS:
        found = [getattr(MEANING[bench.public.name], field)(row) for row in calls]
        amounts = [exact(amount) for amount in found if amount is not None]
        # a cost below 0 is a refund
        least = -UPPER_BOUNDS[field] if field == "cost" else 0
        good = [amount for amount in amounts if not amount.is_nan() and least <= amount <= UPPER_BOUNDS[field]]
        assert rise[f"no {field}"] == len(amounts) - len(good), (field, rise, amounts)
        # a counter is a float, and of a sum with a fraction of a token the fraction is dropped
        assert abs(rise[field] - sum(good)) <= Decimal("0.00001") + sum(amount % 1 > 0 for amount in good) * (
            field != "cost"
        ), (field, rise, good)


USAGES = (
    '{"input_tokens": "abc"}',
    '{"input_tokens": true}',
    '{"input_tokens": [1]}',
    '{"prompt_tokens": 1e400000}',
    '{"input_tokens": ""}',
    '{"input_tokens": 5, "note": "\\u0000"}',
    '{"input_tokens": 5, "note": "\\ud800"}',
)
ODD: tuple[tuple[str, Row, str], ...] = (
    ("litellm", {"call_type": "x", "endTime": "infinity"}, "latency"),
    ("litellm", {"call_type": "x", "endTime": "-infinity"}, "latency"),
    ("phoenix", {"end_time": "infinity"}, "latency"),
    ("phoenix", {"end_time": "-infinity"}, "latency"),
    ("dify", {"provider_response_latency": 1e308}, "latency"),
    ("dify", {"provider_response_latency": math.inf}, "latency"),
    ("sub2api", {"input_tokens": 2**31 - 1, "cache_read_tokens": 2**31 - 1}, "input_tokens"),
    ("sub2api", {"cache_creation_tokens": -(2**31), "cache_read_tokens": -(2**31)}, "input_tokens"),
    ("claude-code-hub", {"input_tokens": 2**63 - 1, "cache_read_input_tokens": 2**63 - 1}, "input_tokens"),
    *(("open-webui", {"usage": usage}, "input_tokens") for usage in USAGES),
)
WHOLE: Mapping[str, Row] = {
    "litellm": {},
    "phoenix": {"span_id": "s", "name": "n", "span_kind": "LLM", "attributes": "{}", "status_message": ""},
    "dify": {"app_id": UUID(int=1), "currency": "USD"},
    "sub2api": {"user_id": 1, "api_key_id": 1, "model": "m"},
    "open-webui": {"chat_id": "c", "role": "assistant"},
    "claude-code-hub": {"user_id": 1, "key": "k", "status_code": 200},
}
"""What a row of these must have beside that."""


@pytest.mark.parametrize(
    ("bench", "row", "field"),
    ODD,
    indirect=["bench"],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_value_that_cannot_be_computed_is_reported_and_blinds_nobody(bench: Bench, row: Row, field: str) -> None:
    assert bench.insert({**WHOLE[bench.public.name], **row}, ago=30)
    scraped = bench.exporter.scrape()
    if scraped.up != 1:
        bench.empty()
    assert scraped.up == 1
    assert scraped.total("ai_operations_total") == 1
    assert scraped.total("ai_rows_skipped_total", field=field) == 1


@pytest.mark.parametrize("moment", ["1790000000000", "1790000000000000", "-99999999999999", "9223372036854775807"])
@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("new-api", "INSERT INTO logs (created_at, type) VALUES (%s, 2)"),
        ("open-webui", "INSERT INTO chat_message (created_at, id, chat_id, role) VALUES (%s, 'x', 'c', 'assistant')"),
    ],
)
def test_a_time_of_another_unit_is_reported(
    embedded_database: str, tmp_path: Path, name: str, statement: str, moment: str
) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        PublicLog.of(name).create(admin)
        admin.execute(statement.encode(), (int(moment),))
    with running(embedded_database, tmp_path, source=name) as exporter:
        wait_for(
            lambda: exporter.scrape().total("ai_rows_skipped_total", field="time") == 1,
            lambda: str(exporter.last.having("ai_rows_skipped_total")),
        )
        assert exporter.scrape().up == 1
