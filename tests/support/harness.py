"""A running exporter without its web server, a log to write to, and what plain SQL says of that log."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.demo.history import Call, Outcome
from exporter.demo.rows import COLUMNS, TIME_COLUMN, to_row
from exporter.demo.schema import Layout, load_schema
from exporter.scrape import lateness, periods
from exporter.scrape.application import Exporter
from exporter.scrape.clock import HostClock
from exporter.state.store import Store
from tests.support.scraped import Figures, Scraped, assert_no_counter_fell, counted, micro, spend, summed

PATIENCE = 120.0
"""Seconds after which a test stops waiting for what should have happened at once."""


@dataclass
class Running:
    """An exporter that reads in the background. Every scrape checks that no series stands twice and no counter fell."""

    exporter: Exporter
    config: Config
    last: Scraped

    def scrape(self, timeout: float = 10.0) -> Scraped:
        """All samples, as a Prometheus would get them."""
        scraped = Scraped()
        for family in self.exporter.scrape(timeout):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in scraped, f"{sample.name}{sample.labels} stands twice"
                scraped[key] = sample.value
        # where no counter is shown at all (a first reading), there is none to compare
        if scraped.counters:
            assert_no_counter_fell(self.last.counters, scraped.counters)
            self.last = scraped
        return scraped

    @property
    def ready(self) -> bool:
        """Whether the exporter says that its figures can be relied upon."""
        return self.exporter.readiness().ok

    def wait_ready(self, seconds: float = PATIENCE) -> Self:
        """Wait until the exporter says so."""
        wait_for(lambda: self.ready, lambda: self.exporter.readiness().reason, seconds)
        return self

    def wait_up(self, seconds: float = PATIENCE) -> Scraped:
        """Scrape until the log is read."""
        wait_for(lambda: self.scrape().up == 1, lambda: str(self.exporter.status()), seconds)
        return self.scrape()

    def wait_in_force(self, seconds: float = PATIENCE) -> Scraped:
        """Scrape until changed settings are in force. Once the log is read it is read in every scrape."""
        ledger, seen = self.exporter.ledger, self.wait_up(seconds)

        def in_force() -> bool:
            nonlocal seen
            done, seen = not ledger.must_reclassify, self.scrape()
            assert seen.up == 1, str(self.exporter.status())
            return done

        wait_for(in_force, lambda: self.exporter.readiness().reason, seconds)
        return seen


def wait_for(done: Callable[[], bool], otherwise: Callable[[], str], seconds: float = PATIENCE) -> None:
    """Poll until something is so; fails with what `otherwise` says."""
    began = time.monotonic()
    deadline, asked = began + seconds, began
    while not done():
        now = time.monotonic()
        assert now < deadline, f"waited {seconds} s in vain: {otherwise()}"
        # most of the time is left to what is waited for: to ask may be a whole scrape
        time.sleep(max(0.02, 4 * (now - asked)))
        asked = time.monotonic()


def config_for(url: str, state_dir: Path, overrides: Mapping[str, Any]) -> Config:
    """The defaults, but quick, without the minute for which a new series is held at zero, and with the optional tables
    read by each scrape.
    """
    settings: dict[str, Any] = {
        "database": {"url": url},
        "state_dir": str(state_dir),
        "zero_hold": 0,
        "optional_interval": 0,
        "worker": {"pause": 0.05},
        **overrides,
    }
    return Config.model_validate(settings)


@contextlib.contextmanager
def running(
    url: str,
    state_dir: Path,
    backfill_since: datetime | None = None,
    *,
    after: Running | None = None,
    host: HostClock | None = None,
    **overrides: Any,
) -> Iterator[Running]:
    """An exporter on a database; `after` is the one that ran before on the same state, whose counters must not fall.

    `host` is the clock of its host, for a database whose clock is set by the test.
    """
    config = config_for(url, state_dir, overrides)
    since = None if backfill_since is None else int(backfill_since.timestamp())
    # as the command does it: the URL of the configuration, and nothing of this machine's environment
    exporter = Exporter(config, resolve_conninfo(config, {}), Store(state_dir), since, host)
    try:
        exporter.start()
        yield Running(exporter, config, Scraped() if after is None else after.last)
    finally:
        exporter.stop()


class Log:
    """The tables of a layout in an empty database, and a connection of their owner. A context manager.

    `exists`: the tables are there already.
    """

    def __init__(self, url: str, layout: Layout, *, exists: bool = False) -> None:
        self.url = url
        self.layout = layout
        self.connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        if not exists:
            load_schema(self.connection, layout)
        self._together: list[Call] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    @property
    def time_column(self) -> str:
        """The column that holds a call's time."""
        return TIME_COLUMN[self.layout]

    def insert(
        self,
        ago: float = 0.0,
        *,
        operation: str = "email-compose",
        model: str = "deepseek-v3.2",
        cost: str | None = "0.010001",
        outcome: Outcome = "success",
        user: UUID | None = None,
        input_tokens: int | None = 100,
        output_tokens: int | None = 10,
        latency_ms: int | None = 1200,
        message: str | None = None,
        at: datetime | None = None,
        connection: "psycopg.Connection[Any] | None" = None,
    ) -> UUID:
        """Write one row, dated so many seconds ago, and return its id."""
        moment = at or datetime.now(UTC) - timedelta(seconds=ago)
        call = Call(
            uuid4(),
            moment.astimezone(UTC).replace(tzinfo=None),
            operation,
            model,
            user,
            outcome,
            input_tokens,
            output_tokens,
            None if cost is None else Decimal(cost),
            latency_ms,
            error_message=message,
        )
        if self._together is not None and connection is None:
            self._together.append(call)
            return call.id
        (connection or self.connection).execute(self._insert, to_row(self.layout, call))
        return call.id

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write at the end, in one transaction, what is inserted meanwhile: for hundreds of rows."""
        self._together = calls = list[Call]()
        try:
            yield
        finally:
            self._together = None
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(self._insert, (to_row(self.layout, call) for call in calls))

    @cached_property
    def _insert(self) -> sql.Composed:
        columns = COLUMNS[self.layout]
        return sql.SQL("INSERT INTO ai_operation_log ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join([sql.Placeholder()] * len(columns))
        )

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run any statement; `{time}` in it stands for the time column."""
        cursor = self.connection.execute(statement.replace("{time}", self.time_column).encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def sql_totals(self, since: float | None = None, until: float | None = None) -> dict[tuple[str, str], Figures]:
        """What plain SQL sums by operation and model, for the rows between two moments (seconds since the epoch)."""
        success = self.layout == "success"
        final = "true" if success else "status IN ('success', 'failed', 'timeout')"
        failed = "NOT success" if success else "status IN ('failed', 'timeout')"
        operation = "coalesce(operation_id, operation_type)" if success else "operation_id"
        rows = self.execute(
            f"SELECT {operation}, model_used, count(*) FILTER (WHERE {final}), count(*) FILTER (WHERE {failed}),"
            " coalesce(sum(cost_usd), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0)"
            " FROM ai_operation_log"
            " WHERE ({time} AT TIME ZONE 'UTC') >= to_timestamp(coalesce(%s, 0))"
            " AND ({time} AT TIME ZONE 'UTC') < to_timestamp(coalesce(%s, 4e9))"
            " GROUP BY 1, 2",
            since,
            until,
        )
        return {
            (operation, model): figures
            for operation, model, calls, failures, cost, tokens_in, tokens_out in rows
            if any(figures := Figures(calls, failures, micro(cost), tokens_in, tokens_out))
        }

    def spent(self, scraped: Scraped, window: str) -> dict[tuple[str, str], int]:
        """Micro-dollars by operation and model in the `day` or `month` that a scrape's own gauges name."""
        start = scraped.one("ai_spend_window_start_timestamp_seconds", window=window)
        end = scraped.one("ai_spend_window_end_timestamp_seconds", window=window)
        return {series: figures.cost for series, figures in self.sql_totals(start, end).items() if figures.cost}

    def money(self) -> int:
        """Micro-dollars of all rows."""
        ((total,),) = self.execute("SELECT coalesce(sum(cost_usd), 0) FROM ai_operation_log")
        return micro(total)


def fixed_layout(layout: Layout) -> Any:
    """A fixture `layout` for a module whose tests need a log of one layout."""

    @pytest.fixture(name="layout")
    def fixed() -> Layout:
        return layout

    return fixed


def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rounds that look for late rows follow each other at once, and so what past periods have spent."""
    monkeypatch.setattr(periods, "_REREAD", 0.0)
    monkeypatch.setattr(periods, "_LOOK", 0.0)
    monkeypatch.setattr(lateness, "INTERVAL", 0.02)
    monkeypatch.setattr(lateness, "SHARE", 0.9)
    monkeypatch.setattr(lateness, "OLDER_SHARE", 0.99)


def assert_shows_what_sql_says(scraped: Scraped, log: Log) -> None:
    """Every counter and spend gauge of a scrape is the plain sum of the rows, by series and in total."""
    assert scraped.up == 1
    assert counted(scraped) == log.sql_totals()
    assert summed(counted(scraped)) == summed(log.sql_totals())
    assert_spend_is_what_sql_says(scraped, log)


def assert_spend_is_what_sql_says(scraped: Scraped, log: Log) -> None:
    """The spend gauges of a scrape are the plain sums of the rows of their windows."""
    assert scraped.up == 1
    assert spend(scraped, "today") == log.spent(scraped, "day")
    assert spend(scraped, "month") == log.spent(scraped, "month")
