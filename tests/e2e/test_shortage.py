"""A process that has no file descriptor left."""

import contextlib
import socket
from pathlib import Path

import psycopg
import pytest

from exporter.demo.schema import load_schema
from tests.support.programs import Program, fetch, running, total, wait_for

pytestmark = pytest.mark.slow

TAKES_EVERY_FILE = """
import os, threading, time
def take():
    taken = []
    while True:
        time.sleep(0.01)
        if os.path.exists(wanted):
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            if not os.path.exists(seen):
                os.close(taken.pop())
                os.close(os.open(seen, os.O_CREAT | os.O_WRONLY))
        while taken and not os.path.exists(wanted):
            os.close(taken.pop())
threading.Thread(target=take, daemon=True).start()
"""


@pytest.mark.parametrize("files", [40, 64, 96])
def test_it_serves_on_while_strangers_take_every_file_descriptor(
    embedded_database: str, tmp_path: Path, files: int
) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, "success")
    program = Program(embedded_database, tmp_path / "here" / "state", shell=f"ulimit -n {files}")
    with running(program), contextlib.ExitStack() as strangers:
        for _ in range(120):
            strangers.enter_context(socket.create_connection(("127.0.0.1", program.port)))
        for _ in range(5):
            assert total(program.samples(), "ai_operation_log_up") == 1
        strangers.close()
        wait_for(lambda: fetch(f"{program.url}/-/ready")[0] == 200)
        program.process.terminate()
        _, logged = program.process.communicate()
    assert [line for line in logged.splitlines() if "level=info" not in line] == []


def test_a_shortage_of_files_is_said_once_and_stops_no_scraper(embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, "success")
    wanted, seen = tmp_path / "wanted", tmp_path / "seen"
    program = Program(embedded_database, tmp_path / "here" / "state", shell="ulimit -n 64")
    program.before = f"wanted, seen = {str(wanted)!r}, {str(seen)!r}{TAKES_EVERY_FILE}"
    with running(program), contextlib.ExitStack() as strangers:
        for _ in range(20):
            strangers.enter_context(socket.create_connection(("127.0.0.1", program.port)))
        assert total(program.samples(), "ai_operation_log_up") == 1
        wanted.touch()
        wait_for(seen.exists)
        # each takes the place of a stranger, and then another one of the files
        for _ in range(8):
            assert total(program.samples(), "ai_operation_log_up") == 1
        wanted.unlink()
        wait_for(lambda: total(program.samples(), "ai_operation_log_up") == 1)
        program.process.terminate()
        _, logged = program.process.communicate()
    complaints = [line for line in logged.splitlines() if "level=info" not in line]
    assert len(complaints) == 1, complaints
    assert "Too many open files" in complaints[0]
