"""A process without a working web server ends, so that its supervisor starts it anew."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.process import watchdog
from exporter.process.watchdog import Watch, watching
from exporter.web.server import WebServer
from tests.support.web import PATIENCE, QUICK, TIMEOUTS, App

# a server that is well for a while, and then what the argument says
PROGRAM = """
import sys, threading, time
from exporter import cli
from exporter.process import watchdog
from exporter.web.server import WebServer

watchdog.PAUSE, watchdog.PATIENCE = 0.05, 20
start = WebServer.start

def sabotaged(self):
    start(self)
    wrong = {"dies": self._loop.stop, "hangs": lambda: time.sleep(3600)}[sys.argv[1]]
    self._loop.call_soon_threadsafe(wrong)

WebServer.start = sabotaged
sys.exit(cli.main(["serve", "--state-dir", sys.argv[2], "--web.listen-address", "127.0.0.1:0"]))
"""


@pytest.mark.parametrize("wrong", ["dies", "hangs"])
def test_the_process_ends_when_its_web_server(tmp_path: Path, wrong: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, wrong, str(tmp_path / "state")],
        env={**environ, "DATABASE_URL": "postgresql://u@127.0.0.1:1/d"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == watchdog.EXIT_CODE, done.stderr
    said = {"dies": "the web server has ended", "hangs": "the web server hangs"}[wrong]
    (line,) = [line for line in done.stderr.splitlines() if "level=critical" in line]
    assert said in line


@dataclass
class Server:
    """A server that answers as a test says."""

    alive: bool = True
    hangs: bool = False
    asked: list[Callable[[], None]] = field(default_factory=list)

    def ping(self, answer: Callable[[], None]) -> None:
        self.asked.append(answer)
        if not self.hangs:
            answer()


def test_one_that_answers_is_well_for_ever() -> None:
    watch = Watch(Server(), patience=2)
    assert [watch.problem() for _ in range(10)] == [None] * 10


def test_one_that_is_late_is_well_and_its_lateness_forgotten() -> None:
    server = Server(hangs=True)
    watch = Watch(server, patience=3)
    for _ in range(5):
        assert [watch.problem() for _ in range(3)] == [None] * 3
        server.asked[-1]()
    assert len(server.asked) == 5


def test_one_that_never_answers_hangs() -> None:
    watch = Watch(Server(hangs=True), patience=3)
    assert [watch.problem() for _ in range(4)] == [None, None, None, "the web server hangs"]


def test_one_whose_thread_is_gone_has_ended() -> None:
    assert Watch(Server(alive=False), patience=3).problem() == "the web server has ended"


def test_a_server_that_is_stopped_on_purpose_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PAUSE", 0.001)
    problems: list[str] = []
    server = WebServer(App(), "127.0.0.1:0", None, TIMEOUTS, QUICK)
    server.start()
    answered = threading.Event()
    with watching(server, problems.append):
        server.ping(answered.set)
        assert answered.wait(PATIENCE)
    server.stop()
    assert not server.alive
    server.ping(answered.set)
    assert problems == []
