"""The bar below the log of `serve`, on a terminal."""

import io
import logging
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter.logs import install_logging
from exporter.process.reading_bar import showing_reads
from tests.support.harness import wait_for
from tests.support.programs import free_port
from tests.support.terminals import Terminal, plain, with_colors


@pytest.fixture(autouse=True)
def _clever(monkeypatch: pytest.MonkeyPatch) -> None:
    with_colors(monkeypatch)


def log_to(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `out` standard error; in the test itself, since pytest replaces standard error after the fixtures."""
    monkeypatch.setattr(sys, "stderr", out)
    install_logging("info", ())


def test_the_bar_is_there_while_something_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    log_to(terminal, monkeypatch)
    ratio = [0.25]
    with showing_reads(lambda: ratio[0], terminal):
        wait_for(lambda: " 25%" in plain(terminal.getvalue()), terminal.getvalue)
        ratio[0] = 1.0
        # it is drawn a last time, and its line ends
        wait_for(lambda: plain(terminal.getvalue()).endswith("\n"), terminal.getvalue)
        assert "100%" in plain(terminal.getvalue())
        first = len(terminal.getvalue())
        # a gap later on
        ratio[0] = 0.5
        wait_for(lambda: " 50%" in plain(terminal.getvalue()[first:]), terminal.getvalue)
    assert " 50%" in plain(terminal.getvalue())
    assert "100%" not in plain(terminal.getvalue()[first:])


def test_lines_of_the_log_stay_whole_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    log_to(terminal, monkeypatch)
    long = "x" * 300
    with showing_reads(lambda: 0.25, terminal):
        wait_for(lambda: " 25%" in plain(terminal.getvalue()), terminal.getvalue)
        logging.getLogger("exporter").warning("first [red] %s", long)
        # as a new password does
        install_logging("info", ("secret",))
        logging.getLogger("exporter").warning("second secret")
        print("from a library", file=sys.stderr)
    logging.getLogger("exporter").warning("third")
    lines = plain(terminal.getvalue()).replace("\r", "\n").split("\n")
    for said in (f'msg="first [red] {long}"', 'msg="second ***"', "msg=third"):
        found = [line for line in lines if said in line]
        assert len(found) == 1, said
        assert found[0].startswith("ts=")
        assert "reading the log" not in found[0]
    assert "from a library" in lines


def test_nothing_is_shown_when_all_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    log_to(terminal, monkeypatch)
    asked = threading.Semaphore(0)

    def ratio() -> float:
        asked.release()
        return 1.0

    with showing_reads(ratio, terminal):
        assert asked.acquire(timeout=60)
        assert asked.acquire(timeout=60)
    assert terminal.getvalue() == ""


def test_a_file_gets_the_log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    log_to(out, monkeypatch)
    with showing_reads(lambda: pytest.fail("nobody looks"), out):
        logging.getLogger("exporter").warning("a line")
    assert len(out.getvalue().splitlines()) == 1


def test_serve_shows_it_on_a_terminal(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    url = f"postgresql://a:b@127.0.0.1:{free_port()}/c"
    command = [sys.executable, "-m", "exporter", "serve", "--state-dir", str(tmp_path / "state")]
    environ = {**os.environ, "DATABASE_URL": url, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*command, "--web.listen-address", "127.0.0.1:0"], stderr=follower, stdout=follower, env=environ
    )
    os.close(follower)
    seen = bytearray()
    thread = threading.Thread(target=_keep, args=(leader, seen), daemon=True)
    thread.start()
    try:
        wait_for(lambda: "reading the log" in plain(seen.decode(errors="replace")), seen.decode)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        thread.join()
        os.close(leader)
    lines = plain(seen.decode()).replace("\r", "\n").split("\n")
    assert any(line.startswith("ts=") and line.endswith("msg=stopping") for line in lines)


def _keep(leader: int, seen: bytearray) -> None:
    try:
        while block := os.read(leader, 4096):
            seen.extend(block)
    except OSError:
        return  # the other side is closed
