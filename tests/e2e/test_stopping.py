"""How the exporter ends: at once, in order, with exit code 0, whatever it is waiting for."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.demo.schema import load_schema
from tests.support.programs import Program, fetch, wait_for

pytestmark = pytest.mark.slow

SUPERVISORS_PATIENCE = 10.0
"""Seconds after which what starts programs kills them."""

NAME_SERVER_HANGS = """
import socket, time
before = socket.getaddrinfo
def look_up(host, *arguments, **named):
    if host != "127.0.0.1":
        time.sleep(3600)
    return before(host, *arguments, **named)
socket.getaddrinfo = look_up
"""
DISK_HANGS = """
import sys, time
from exporter.state.store import Store
def close(self):
    print("closing the state", file=sys.stderr, flush=True)
    time.sleep(3600)
Store.close = close
"""


@pytest.fixture
def program(embedded_database: str, tmp_path: Path) -> Iterator[Program]:
    """The exporter on a database with the log's tables, not started yet."""
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, "success")
    program = Program(embedded_database, tmp_path / "here" / "state", config="zero_hold: 0s\n")
    yield program
    kill(program)


def kill(program: Program) -> None:
    if program._process is not None:
        program._process.kill()
        program._process.communicate()


def end(program: Program, number: signal.Signals = signal.SIGTERM) -> str:
    """Ask it to end; returns what was logged, once it has ended with exit code 0."""
    program.process.send_signal(number)
    _, logged = program.process.communicate(timeout=SUPERVISORS_PATIENCE)
    assert program.process.returncode == 0, logged
    return logged


def complaints(logged: str) -> list[str]:
    """The lines that are worse than information."""
    return [line for line in logged.splitlines() if "level=info" not in line]


@contextlib.contextmanager
def constant_scrapes(program: Program) -> Iterator[None]:
    """Three scrapers that never rest while they are answered."""
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            try:
                fetch(f"{program.url}/metrics")
            except (OSError, ValueError):
                # nobody listens: to ask on and on would take the time that the program needs to start
                done.wait(0.01)

    scrapers = [threading.Thread(target=scrape) for _ in range(3)]
    for scraper in scrapers:
        scraper.start()
    yield
    done.set()
    for scraper in scrapers:
        scraper.join()


def test_every_stop_under_constant_scraping_ends_it_without_a_complaint(program: Program) -> None:
    for number in range(10):
        with constant_scrapes(program):
            # by each signal at each of some moments of its life
            program.start(ready=number % 2 == 0)
            time.sleep(number % 5 * 0.03)
            assert complaints(end(program, (signal.SIGTERM, signal.SIGINT)[number % 2])) == []


@pytest.mark.parametrize("shell", ["trap '' INT", "trap '' INT TERM HUP", "nohup true"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_its_parent_ignores_ends_it(program: Program, shell: str, number: signal.Signals) -> None:
    program.shell = shell
    program.start()
    assert complaints(end(program, number)) == []


def blocked_signals(pid: int) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_a_stop_while_it_is_being_imported_is_not_lost(program: Program) -> None:
    program.before = "import sys; print('imports', file=sys.stderr)"
    program.launch()
    wait_for(lambda: signal.SIGTERM in blocked_signals(program.process.pid))
    end(program)


@contextlib.contextmanager
def black_holes(count: int) -> Iterator[str]:
    """Addresses that take a connection and never say a word, as a URL with all of them as its hosts."""
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        hosts = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
        yield f"postgresql://user:secret@{hosts}/log"


def leave_a_scrape(program: Program) -> None:
    """Have it read for a scrape that nobody waits for any longer."""
    status, _ = fetch(f"{program.url}/metrics", {"X-Prometheus-Scrape-Timeout-Seconds": "0.7"})
    assert status == 200


@pytest.mark.parametrize("scraped", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_it_ends_while_it_connects_to_hosts_that_never_answer(program: Program, count: int, scraped: bool) -> None:
    with black_holes(count) as program.database_url:
        program.start(ready=False)
        if scraped:
            leave_a_scrape(program)
        logged = end(program)
    # the waiting was given up, which is nothing to complain about
    assert "given up" not in logged
    assert "closed the connection" not in logged


@pytest.mark.parametrize("url", ["postgresql://u:p@db.example/d", "postgresql://u:p@a.example,b.example/d"])
def test_it_ends_while_the_name_server_hangs(program: Program, url: str) -> None:
    program.database_url, program.before = url, NAME_SERVER_HANGS
    program.start(ready=False)
    leave_a_scrape(program)
    logged = end(program)
    assert "given up" not in logged


def wait_until_logged(program: Program, words: str) -> None:
    assert program.process.stderr is not None
    for line in program.process.stderr:
        if words in line:
            return
    raise AssertionError(f"never logged: {words}")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_stop_that_hangs(
    program: Program, first: signal.Signals, second: signal.Signals
) -> None:
    program.before = DISK_HANGS + "from exporter.process import signals; signals.STOP_SECONDS = 3600\n"
    program.start()
    program.process.send_signal(first)
    wait_until_logged(program, "closing the state")
    program.process.send_signal(second)
    program.process.communicate(timeout=SUPERVISORS_PATIENCE)
    assert program.process.returncode == 128 + second


def test_a_stop_that_hangs_ends_by_itself(program: Program) -> None:
    program.before = DISK_HANGS
    program.start()
    assert "closing the state" in end(program)


PRICES_HANG = """
from exporter.prices import out_of_process
out_of_process._lookup._python = {program!r}
"""


@pytest.mark.parametrize("scraped", [False, True])
def test_it_ends_while_it_waits_for_the_price_of_a_model(program: Program, tmp_path: Path, scraped: bool) -> None:
    asked, silent = tmp_path / "asked", tmp_path / "silent"
    silent.write_text(f"#!/bin/sh\necho >> {asked}\nexec sleep 600\n")
    silent.chmod(0o700)
    with psycopg.connect(program.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ai_operation_log (operation_type, model_used, success, input_tokens, output_tokens, cost_usd,"
            " created_at) VALUES ('chat', 'gpt-4o', true, 10, 10, 1, now() AT TIME ZONE 'UTC' - interval '10 s')"
        )
    program.before = PRICES_HANG.format(program=str(silent))
    program.start(ready=False)
    wait_for(asked.exists)
    if scraped:
        leave_a_scrape(program)
    assert "internal error" not in end(program)
