"""The demo as a person runs it: what it prints, and how it ends."""

import os
import pty
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import psycopg
import pytest

from exporter.demo.run import Summary, describe, run_demo
from exporter.demo.schema import LAYOUTS, Layout
from tests.support.harness import wait_for
from tests.support.programs import fetch, free_port

pytestmark = pytest.mark.slow

FIGURES = Summary(
    spend_today_usd=Decimal("1234.5"),
    spend_month_usd=Decimal("20000"),
    calls=50_000,
    failures={"email-compose": 3, "email-classify": 40, "task-breakdown": 0},
    ready=True,
    progress=1.0,
)

_RUNS_THE_DEMO = """
import sys
from contextlib import contextmanager
from decimal import Decimal
from exporter.demo import run
from exporter.demo.run import Summary, run_demo

run._PLAIN_SECONDS = 0.2

class Exporter:
    address = "http://127.0.0.1:9867"
    def summary(self):
        return Summary(Decimal(1), Decimal(2), 3, {"email-compose": 1}, True, 1.0)

@contextmanager
def serve(database_url, state_dir, backfill_since, listen_address):
    state_dir.mkdir()
    (state_dir / "state").touch()
    yield Exporter()
    print("exporter stopped", file=sys.stderr, flush=True)
    HANGS

sys.exit(run_demo("status", 0, "127.0.0.1:0", serve, stop_seconds=STOP_SECONDS))
"""


@dataclass
class Exporter:
    """Looks at the demo's database, and ends the demo by a signal after a few summaries."""

    ends_by: signal.Signals
    address: str = "http://127.0.0.1:9867"
    after: int = 1
    asked: int = 0
    rows: int = 0
    started_with: tuple[str, Path, datetime, str] | None = None
    stopped: bool = False

    @contextmanager
    def serve(self, url: str, state_dir: Path, since: datetime, listen_address: str) -> Iterator["Exporter"]:
        self.started_with = (url, state_dir, since, listen_address)
        state_dir.mkdir()
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT count(*) FROM ai_operation_log").fetchone()
            assert row is not None
            self.rows = row[0]
        yield self
        self.stopped = True

    def summary(self) -> Summary | None:
        self.asked += 1
        if self.asked == self.after:
            os.kill(os.getpid(), self.ends_by)
        return FIGURES


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ends_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_runs_until_a_signal_and_leaves_nothing_behind(layout: Layout, ends_by: signal.Signals) -> None:
    exporter, out = Exporter(ends_by), StringIO()
    before = signal.getsignal(ends_by)
    assert run_demo(layout, 1, "127.0.0.1:9867", exporter.serve, seed=1, out=out) == 0
    assert signal.getsignal(ends_by) is before
    assert exporter.stopped
    assert exporter.rows > 300
    assert exporter.started_with is not None
    url, state_dir, since, address = exporter.started_with
    assert f"metrics   http://127.0.0.1:9867/metrics\ndatabase  {url}\n" in out.getvalue()
    assert "spend today  $1,234.50, spend this month  $20,000.00, calls  50,000" in out.getvalue()
    assert address == "127.0.0.1:9867"
    assert timedelta(days=1) <= datetime.now(UTC) - since < timedelta(days=2)
    assert not state_dir.parent.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_an_exporter_that_cannot_start_ends_the_demo_with_its_own_error() -> None:
    folders: list[Path] = []

    @contextmanager
    def serve(url: str, state_dir: Path, since: datetime, listen_address: str) -> Iterator[Exporter]:
        folders.append(state_dir.parent)
        raise OSError(98, "Address already in use")
        yield

    with pytest.raises(OSError, match="Address already in use"):
        run_demo("success", 0, "127.0.0.1:9867", serve, out=StringIO())
    assert not folders[0].exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_process_group_ends_it_in_order(number: signal.Signals) -> None:
    process = _demo(stdout=subprocess.PIPE)
    folder = _wait_until_running(process)
    os.killpg(process.pid, number)
    _, said = process.communicate()
    assert (process.returncode, said) == (0, "exporter stopped\n")
    assert not folder.exists()


def test_a_reader_that_goes_away_ends_it_in_order() -> None:
    process = _demo(stdout=subprocess.PIPE)
    folder = _wait_until_running(process)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    assert (process.wait(), said) == (0, "exporter stopped\n")
    assert not folder.exists()


def test_on_a_terminal_the_summary_is_redrawn_in_place() -> None:
    leader, follower = pty.openpty()
    exporter = Exporter(signal.SIGINT, after=3)
    with open(follower, "w") as terminal:  # noqa: PTH123 - a descriptor, no path
        assert run_demo("success", 0, "127.0.0.1:9867", exporter.serve, out=terminal) == 0
        seen = os.read(leader, 65536)
    os.close(leader)
    # Eight lines up, then everything below is wiped.
    assert seen.count(b"\x1b[8F\x1b[J") == 2
    assert seen.count(b"spend today") == 3


def test_an_output_that_is_gone_ends_it_in_order() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    exporter = Exporter(signal.SIGINT)
    with open(writer, "w") as out:  # noqa: PTH123 - a descriptor, no path
        assert run_demo("success", 0, "127.0.0.1:9867", exporter.serve, out=out) == 0
    assert exporter.started_with is None


@pytest.mark.parametrize("while_doing", ["starting", "writing"])
def test_a_signal_during_the_start_ends_it_before_the_exporter_starts(while_doing: str) -> None:
    class Screen(StringIO):
        def write(self, text: str) -> int:
            if text.startswith(while_doing):
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(text)

    exporter = Exporter(signal.SIGINT)
    assert run_demo("success", 0, "127.0.0.1:9867", exporter.serve, out=Screen()) == 0
    assert exporter.started_with is None


def test_the_summary_tells_money_calls_and_failures_most_first() -> None:
    assert describe(FIGURES, None, "calm") == [
        "spend today  $1,234.50",
        "spend this month  $20,000.00",
        "calls  50,000",
        "failures  43",
        "  email-classify  40",
        "  email-compose  3",
        "  task-breakdown  0",
        "calm",
    ]


def test_the_summary_tells_what_is_not_ready_and_what_has_stopped() -> None:
    assert describe(None, None, "calm") == ["waiting for the exporter's first read", "calm"]
    early = Summary(Decimal(0), Decimal(0), 78, {"email-compose": 1}, ready=False, progress=0.42)
    # no sums of a part of the history: they would look like the day's
    assert describe(early, None, "calm") == ["reading the history  42%", "calm"]
    assert describe(FIGURES, "OperationalError", "calm")[-1] == "the live traffic has stopped: OperationalError"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once_and_leaves_nothing_behind(number: signal.Signals) -> None:
    process = _demo(stdout=subprocess.PIPE, hangs=True)
    folder = _wait_until_running(process)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert process.stderr.readline() == "exporter stopped\n"
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 128 + number
    wait_for(lambda: not folder.exists(), lambda: f"{folder} is still there")


def test_a_stop_that_hangs_ends_by_itself_and_leaves_nothing_behind() -> None:
    process = _demo(stdout=subprocess.PIPE, hangs=True, stop_seconds=0.5)
    folder = _wait_until_running(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    wait_for(lambda: not folder.exists(), lambda: f"{folder} is still there")


def _demo(stdout: int, *, hangs: bool = False, stop_seconds: float = 3600.0) -> "subprocess.Popen[str]":
    program = _RUNS_THE_DEMO.replace("HANGS", "__import__('time').sleep(3600)" if hangs else "pass")
    return subprocess.Popen(
        [sys.executable, "-c", program.replace("STOP_SECONDS", str(stop_seconds))],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_until_running(process: "subprocess.Popen[str]") -> Path:
    assert process.stdout is not None
    folder = None
    for line in process.stdout:
        if line.startswith("files"):
            folder = Path(line.split()[1])
        if line.startswith("spend today"):
            break
    assert folder is not None
    assert folder.parent == Path(tempfile.gettempdir())
    return folder


def test_every_command_works_in_litellms_demo() -> None:
    """As a person does: with the configuration that the demo names."""
    port = free_port()
    words = ["demo", "--source", "litellm", "--days", "1", f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen([sys.executable, "-m", "exporter", *words], stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            said = ""
            while "calls  " not in said:
                said = demo.stdout.readline()
                assert said, "the demo has ended"
                if said.startswith("config"):
                    config = said.split()[1]
            assert stat.S_IMODE(Path(config).stat().st_mode) == 0o600
            for command in (["operations"], ["budget"], ["check"], ["recommend"], ["reconcile"], ["config", "show"]):
                done = subprocess.run(
                    [sys.executable, "-m", "exporter", *command, "--config", config],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, (command, done.stdout, done.stderr)
                assert "Traceback" not in done.stderr
            status, page = fetch(f"http://127.0.0.1:{port}/metrics")
            assert status == 200
            for operation in ("acompletion", "aresponses", "anthropic_messages"):
                assert f'operation="{operation}"' in page
        finally:
            demo.send_signal(signal.SIGINT)
            assert demo.wait(60) == 0
    assert not Path(config).exists()
