"""`demo-data`: sample history and live traffic in a PostgreSQL server of your own."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TextIO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from exporter.config import Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, translate
from exporter.database.names import identifier
from exporter.database.transactions import Database
from exporter.demo.history import history, history_start
from exporter.demo.locked import locked
from exporter.demo.profiles import BUSIEST_USER
from exporter.demo.rows import fill, log_name
from exporter.demo.run import counted
from exporter.demo.schema import DemoLog
from exporter.demo.traffic import Traffic
from exporter.errors import UserError
from exporter.process.signals import SignalReceiver
from exporter.progress import counting

_SECONDS = 10.0
_WATCH_SECONDS = 1.0


def run_demo_data(config: Config, info: ConnInfo, days: int, ready_file: Path | None, out: TextIO) -> int:
    """Fill an empty log with `days` days of history, then write live traffic until a signal; returns the exit code.

    A log that was filled before gets no history again. `ready_file` is made once the history is there. Raises
    `UserError` rather than write among real rows.
    """
    rng = Random()  # noqa: S311 - a demo's data, no secret
    url = make_conninfo("", **info.params)
    # a statement that is running may take its time
    with SignalReceiver(threading.TIMEOUT_MAX, reloads=False) as signals:
        layout, schema = _find_log(config, info)
        failure: DatabaseError | None = None
        try:
            with psycopg.connect(url) as connection:
                told = "the history is there already"
                if not _is_ours(connection, layout, schema):
                    now = datetime.now(UTC)
                    start = history_start(days, now)
                    with counting(f"writing {days} days of history, layout {layout!r}", out) as done:
                        calls = counted(history(layout, days, now, rng), start, now, done)
                        written = fill(connection, layout, calls, schema)
                    told = f"wrote {written} calls of {days} days, layout {layout!r}"
        except psycopg.Error as error:
            failure = translate(error, info)
        if failure is not None:
            raise failure
        print(told, file=out, flush=True)
        if ready_file is not None:
            ready_file.touch()
        traffic = Traffic(url, layout, rng, schema)
        traffic.start()
        print("writing live traffic", file=out, flush=True)
        announced = ""
        try:
            while traffic.failure is None and signals.wait(_WATCH_SECONDS if announced else 0) == "timeout":
                if (announcement := traffic.announcement()) != announced:
                    announced = announcement
                    print(announced, file=out, flush=True)
        finally:
            traffic.stop()
    if traffic.failure is not None:
        print(f"the live traffic has stopped: {traffic.failure}", file=out, flush=True)
        return 1
    return 0


def _find_log(config: Config, info: ConnInfo) -> tuple[DemoLog, str]:
    """The log's layout and its schema, where the other tables are taken to be too."""
    if config.source not in ("helix", "litellm"):
        raise UserError(f"demo-data has no rows for the source {config.source} — write source: helix or litellm")
    database = Database(info, config.database.connect_timeout, "ai-operation-exporter-demo-data")
    try:
        with database.session(_SECONDS) as session:
            log = session.log(config.classification())
            layout: DemoLog = "status" if log.has_status else "success"
            return "litellm" if config.source == "litellm" else layout, log.relation.name.schema or "public"
    finally:
        database.close()


def _is_ours(connection: psycopg.Connection[tuple[Any, ...]], log: DemoLog, schema: str) -> bool:
    """Whether the history was written before; False where the log is empty."""
    known, user = ("LiteLLM_SpendLogs", "user") if log == "litellm" else ("cost_budgets", "user_id")
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {}), EXISTS (SELECT FROM {} WHERE {}::text = %s)").format(
        identifier(schema, log_name(log)), identifier(schema, known), identifier(user)
    )
    with locked(connection):
        rows = connection.execute(statement, (str(BUSIEST_USER),)).fetchone()
    full, ours = rows or (False, False)
    if full and not ours:
        raise UserError(
            f"{log_name(log)} holds rows that demo-data did not write — name an empty database, made for the demo"
        )
    return bool(full)
