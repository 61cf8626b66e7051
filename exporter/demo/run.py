"""`demo`: an embedded PostgreSQL with history and live traffic, the exporter on it, and a live summary."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Protocol, TextIO

import psycopg

from exporter.demo.history import Call, history, history_start
from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.rows import fill
from exporter.demo.schema import DemoLog, load_schema
from exporter.demo.traffic import Traffic
from exporter.process.signals import SignalReceiver
from exporter.progress import bar_text, counting

CONFIG_FILE = "config.yaml"
_DATABASE = "demo"
_TERMINAL_SECONDS = 1.0
_PLAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Summary:
    """What the exporter exposes now: spend in USD, calls and failures since the history's start.

    `progress` (0 to 1) tells how much of the history has been read; `ready` that all of it has.
    """

    spend_today_usd: Decimal
    spend_month_usd: Decimal
    calls: int
    failures: Mapping[str, int]
    ready: bool
    progress: float


class RunningExporter(Protocol):
    """An exporter that serves."""

    @property
    def address(self) -> str:
        """Where it answers, as http://host:port."""

    def summary(self) -> Summary | None:
        """The latest figures; None before there are any."""


Serve = Callable[[str, Path, datetime, str], AbstractContextManager[RunningExporter]]
"""Starts the exporter on a database, by its URL, the folder of the state, since when it counts, and where it listens.

Leaving the context stops it. It may leave its configuration in `CONFIG_FILE` beside the state, for other commands.
"""


class _ScreenGoneError(Exception):
    """What we print can no longer be written anywhere."""


def run_demo(
    layout: DemoLog,
    days: int,
    listen_address: str,
    serve: Serve,
    *,
    seed: int | None = None,
    out: TextIO | None = None,
    stop_seconds: float | None = None,
) -> int:
    """Run until Ctrl-C, SIGTERM or the terminal's end; returns the exit code, 0.

    Leaves nothing behind: servers, threads and the temporary folder are gone when it returns, or soon after the process
    where a second signal, or `stop_seconds` after the first, end it before. Raises `EmbeddedPostgresError` when there
    is no server to be had, and whatever `serve` raises.
    """
    screen = out or sys.stdout
    rng = Random(seed)  # noqa: S311 - a demo's data, no secret
    with SignalReceiver(stop_seconds, reloads=False) as signals, ExitStack() as running:
        try:
            _say(screen, "starting PostgreSQL")
            postgres = running.enter_context(EmbeddedPostgres())
            if signals.wait(0) == "stop":
                return 0
            now = datetime.now(UTC)
            url = _load(screen, postgres, layout, days, now, rng)
            if signals.wait(0) == "stop":
                return 0
            state = postgres.directory / "state"
            exporter = running.enter_context(serve(url, state, history_start(days, now), listen_address))
            traffic = Traffic(url, layout, rng)
            running.callback(traffic.stop)
            traffic.start()
            _say(screen, f"metrics   {exporter.address}/metrics")
            _say(screen, f"database  {url}")
            _say(screen, f"files     {postgres.directory}")
            if (config := state.with_name(CONFIG_FILE)).exists():
                _say(screen, f"config    {config}")
            _say(screen, "Ctrl-C ends the demo and removes all of it")
            _watch(screen, exporter, traffic, signals)
        except _ScreenGoneError:
            # The terminal was closed, or who read the output has left: that ends the demo as a signal does.
            _send_nowhere(screen)
    return 0


def _load(screen: TextIO, postgres: EmbeddedPostgres, layout: DemoLog, days: int, now: datetime, rng: Random) -> str:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_DATABASE}")
    url = postgres.url(_DATABASE)
    try:
        said = f"writing {days} days of history, layout {layout!r}"
        with counting(said, screen) as done, psycopg.connect(url) as connection:
            load_schema(connection, layout)
            calls = history(layout, days, now, rng)
            fill(connection, layout, counted(calls, history_start(days, now), now, done))
    except OSError as error:
        raise _ScreenGoneError from error
    return url


def counted(calls: Iterable[Call], start: datetime, end: datetime, done: Callable[[float], None]) -> Iterator[Call]:
    """The calls; tells how far they are, by their times from `start` to `end`."""
    for call in calls:
        done((call.at.replace(tzinfo=UTC) - start) / (end - start))
        yield call


def _watch(screen: TextIO, exporter: RunningExporter, traffic: Traffic, signals: SignalReceiver) -> None:
    on_terminal = screen.isatty()
    drawn, pause = 0, 0.0
    while signals.wait(pause) == "timeout":
        summary = exporter.summary()
        ready = summary is not None and summary.ready
        lines = describe(summary, traffic.failure, traffic.announcement())
        if on_terminal:
            width = shutil.get_terminal_size().columns - 1
            up = f"\x1b[{drawn}F" if drawn else ""
            shown = [line[:width] for line in lines]
            if summary is not None and not summary.ready:
                shown[0] += f"  {bar_text(summary.progress, screen, min(40, max(1, width - len(shown[0]) - 2)))}"
            _show(screen, up + "\x1b[J" + "".join(f"{line}\n" for line in shown))
            drawn = len(lines)
        else:
            _say(screen, ", ".join(line.strip() for line in lines))
        pause = _PLAIN_SECONDS if ready and not on_terminal else _TERMINAL_SECONDS


def describe(summary: Summary | None, traffic_failure: str | None, announcement: str) -> list[str]:
    """The summary as lines for a person; `announcement` says which incident goes on, or comes next."""
    last = announcement if traffic_failure is None else f"the live traffic has stopped: {traffic_failure}"
    if summary is None:
        return ["waiting for the exporter's first read", last]
    if not summary.ready:
        return [f"reading the history  {summary.progress:.0%}", last]
    by_count = sorted(summary.failures.items(), key=lambda failures: (-failures[1], failures[0]))
    return [
        f"spend today  ${summary.spend_today_usd:,.2f}",
        f"spend this month  ${summary.spend_month_usd:,.2f}",
        f"calls  {summary.calls:,}",
        f"failures  {sum(summary.failures.values()):,}",
        *(f"  {operation}  {count:,}" for operation, count in by_count),
        last,
    ]


def _say(screen: TextIO, line: str) -> None:
    _show(screen, f"{line}\n")


def _show(screen: TextIO, text: str) -> None:
    try:
        screen.write(text)
        screen.flush()
    except OSError as error:
        raise _ScreenGoneError from error


def _send_nowhere(screen: TextIO) -> None:
    # Else the interpreter's own flush at exit fails once more and makes the exit code 120.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, screen.fileno())
    os.close(nowhere)
