"""Live traffic for the demo: calls that begin now, end late, change and vanish, as a real writer's rows do."""

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from exporter.database.names import identifier
from exporter.demo.history import Call, calls_per_hour, in_progress, make_call, make_call_of
from exporter.demo.incidents import OPERATION, current_or_next
from exporter.demo.litellm import call_type
from exporter.demo.locked import locked
from exporter.demo.profiles import EMAIL_CLASSIFY
from exporter.demo.rows import COLUMNS, insert_into, log_name, names, placeholders, to_row
from exporter.demo.schema import DemoLog

_LATE_SHARE = 0.06
_CHANGED_SHARE = 0.01
_DELETED_SHARE = 0.004
_BATCH_SECONDS = 10
"""How often LiteLLM writes the rows of calls that have ended."""
_STOP_SECONDS = 15


class LiveWriter:
    """Writes what is due at a given time; knows no clock and no thread.

    The connection commits each statement by itself. Times are UTC without a zone, as in the log, which is in `schema`.
    `started` is when the traffic began, which dates the incidents.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        layout: DemoLog,
        rng: Random,
        started: datetime,
        schema: str = "public",
    ) -> None:
        self._connection = connection
        self._log = identifier(schema, log_name(layout))
        self._layout: DemoLog = layout
        self._rng = rng
        self._started = started
        self._order = itertools.count()
        self._due: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._written: deque[Call] = deque(maxlen=300)

    def step(self, now: datetime) -> float:
        """Do all that is due up to `now`; returns the seconds until there is something to do again."""
        if not self._due:
            self._at(now, self._begin)
        while self._due[0][0] <= now:
            when, _, act = heapq.heappop(self._due)
            act(when)
        return (self._due[0][0] - now).total_seconds()

    def _at(self, when: datetime, act: Callable[[datetime], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), act))

    def _begin(self, now: datetime) -> None:
        incident = current_or_next(self._started, now)
        usual, more = calls_per_hour(now), incident.more_per_hour(now)
        self._at(now + timedelta(hours=self._rng.expovariate(usual + more)), self._begin)
        of_burst = self._rng.random() * (usual + more) < more
        call = make_call_of(EMAIL_CLASSIFY, now, self._rng) if of_burst else make_call(now, self._rng)
        if incident.befalls(call):
            call = incident.change(call, self._rng)
        # The row's time is the call's start; a slow network between writer and database delays the commit.
        ends = call.ended_at
        if self._rng.random() < _LATE_SHARE:
            ends += timedelta(seconds=self._rng.uniform(5, 40))
        if self._layout != "status":
            if self._layout == "litellm":
                ends += timedelta(seconds=self._rng.uniform(0, _BATCH_SECONDS))
            self._at(ends, lambda _: self._insert(call))
        else:
            starts = now + timedelta(seconds=self._rng.uniform(0.05, 1.5))
            self._insert(in_progress(call, "pending"))
            self._at(starts, lambda _: self._update(in_progress(call, "running")))
            self._at(max(starts, ends), lambda _: self._update(call))
        self._disturb()

    def _disturb(self) -> None:
        """Now and then an old row of the application's log changes its cost, or goes. LiteLLM writes a row for good."""
        if not self._written or self._layout == "litellm":
            return
        call = self._rng.choice(self._written)
        chance = self._rng.random()
        if chance < _DELETED_SHARE:
            self._send(sql.SQL("DELETE FROM {} WHERE id = %s").format(self._log), (call.id,))
        elif chance < _DELETED_SHARE + _CHANGED_SHARE:
            factor = self._rng.choice((Decimal("0.5"), Decimal("1.2")))
            # with its tokens, or the log would differ from the price list
            change = sql.SQL(
                "UPDATE {} SET cost_usd = round(cost_usd * %(factor)s, 6),"
                " input_tokens = round(input_tokens * %(factor)s), output_tokens = round(output_tokens * %(factor)s)"
                " WHERE id = %(id)s"
            )
            self._send(change.format(self._log), {"factor": factor, "id": call.id})

    def _insert(self, call: Call) -> None:
        self._send(insert_into(self._log, COLUMNS[self._layout]), to_row(self._layout, call))
        self._remember(call)

    def _update(self, call: Call) -> None:
        columns = COLUMNS[self._layout]
        statement = sql.SQL("UPDATE {} SET ({}) = ROW ({}) WHERE id = %s")
        values = (*to_row(self._layout, call), call.id)
        self._send(statement.format(self._log, names(columns), placeholders(columns)), values)
        self._remember(call)

    def _send(self, statement: sql.Composed, values: tuple[Any, ...] | dict[str, Any]) -> None:
        with locked(self._connection):
            self._connection.execute(statement, values)

    def _remember(self, call: Call) -> None:
        if call.outcome not in {"pending", "running"}:
            self._written.append(call)


class Traffic:
    """Live traffic, as dense as the history at this hour, on a thread and a connection of its own."""

    def __init__(self, url: str, layout: DemoLog, rng: Random, schema: str = "public") -> None:
        self._url = url
        self._layout: DemoLog = layout
        self._schema = schema
        self._rng = rng
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-traffic", daemon=True)
        self._started = _now()
        self.failure: str | None = None
        """Why the traffic ended by itself (the kind of error), None while all is well."""

    def announcement(self) -> str:
        """The incident that goes on, or the next one, in words."""
        now = _now()
        operation = call_type(OPERATION) if self._layout == "litellm" else OPERATION
        return current_or_next(self._started, now).announce(now, operation)

    def start(self) -> None:
        """Begin; to be called once."""
        self._thread.start()

    def stop(self) -> None:
        """End, waiting for the statement that is running; harmless when it never began."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                writer = LiveWriter(connection, self._layout, self._rng, self._started, self._schema)
                wait = 0.0
                while not self._stopping.wait(wait):
                    wait = writer.step(_now())
        except psycopg.Error as error:
            # Only the kind: the driver's message may hold the connection's address.
            self.failure = type(error).__name__


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
