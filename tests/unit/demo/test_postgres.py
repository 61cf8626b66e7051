"""The embedded server: it answers, it is nobody's root, and nothing of it stays behind, however we end."""

import multiprocessing
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.demo import postgres
from exporter.demo.postgres import EmbeddedPostgres
from exporter.errors import UserError

pytestmark = pytest.mark.slow

_STARTS_ONE_AND_WAITS = """
import signal, sys, psycopg
from exporter.demo.postgres import EmbeddedPostgres
signal.signal(signal.SIGINT, lambda *_: None)
with EmbeddedPostgres(durable=False) as server:
    print(server.pid, server.directory, flush=True)
    sys.stdin.readline()
    with psycopg.connect(server.url()) as connection:
        print(connection.execute("SELECT 'still here'").fetchone()[0], flush=True)
"""


def test_it_answers_by_password_over_tcp_and_leaves_nothing_behind() -> None:
    with EmbeddedPostgres() as server:
        pid, directory, url = server.pid, server.directory, server.url()
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW TimeZone").fetchone() == ("UTC",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url(password="wrong"))
    assert not directory.exists()
    assert not _is_alive(pid)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    with pytest.raises(UserError, match="not running"):
        _ = server.pid


def test_durability_can_be_given_up_for_speed() -> None:
    with EmbeddedPostgres(durable=False) as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)


def test_an_ordinary_user_can_run_it() -> None:
    # Forked, since another user may not be able to read the interpreter's own folder.
    process = multiprocessing.get_context("fork").Process(target=_run_as_ordinary_user)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_programs_in_a_folder_closed_to_other_users_are_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = postgres._installed_binaries()
    package = binaries.parent.parent
    closed = tmp_path / "site-packages"
    closed.mkdir()
    copied = shutil.copytree(binaries.parent, closed / package.name / binaries.parent.name)
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    monkeypatch.setattr(postgres, "_installed_binaries", lambda: copied / "bin")
    with EmbeddedPostgres(durable=False) as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        # Only for root does the server run under another account, which needs a copy.
        assert (server.directory / "programs").is_dir() == (os.geteuid() == 0)


def test_ctrl_c_does_not_reach_the_server() -> None:
    with _separate_process() as process:
        _, directory = _started(process)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate("go on\n")
        assert said.strip() == "still here"
        assert process.returncode == 0
        assert not directory.exists()


def test_it_ends_with_a_program_that_was_killed() -> None:
    with _separate_process() as process:
        pid, directory = _started(process)
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 60
        while directory.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not directory.exists()
        assert not _is_alive(pid)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with (
        pytest.raises(UserError, match='invalid value for parameter "shared_buffers"'),
        EmbeddedPostgres(settings={"shared_buffers": "plenty"}),
    ):
        pass
    assert list(folder.iterdir()) == []


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda name: None)
    with (
        pytest.raises(UserError, match=r"pip install 'ai-operation-exporter\[demo\]'"),
        EmbeddedPostgres(),
    ):
        pass


def test_a_port_taken_meanwhile_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres(durable=False) as first:
        free = postgres._free_port
        ports = iter([first.port])
        monkeypatch.setattr(postgres, "_free_port", lambda: next(ports, None) or free())
        with EmbeddedPostgres(durable=False) as second, psycopg.connect(second.url()):
            assert second.port != first.port


def _run_as_ordinary_user() -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    with EmbeddedPostgres(durable=False) as server, psycopg.connect(server.url()) as connection:
        assert server.directory.stat().st_uid == os.geteuid() != 0
        assert connection.execute("SELECT 1").fetchone() == (1,)


def _separate_process() -> "subprocess.Popen[str]":
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", _STARTS_ONE_AND_WAITS], start_new_session=True, **options)


def _started(process: "subprocess.Popen[str]") -> tuple[int, Path]:
    assert process.stdout is not None
    pid, directory = process.stdout.readline().split()
    return int(pid), Path(directory)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    # Where nothing reaps orphans, an ended process keeps its entry.
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"
