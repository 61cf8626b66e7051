"""What processes cost, from /proc (this needs Linux), and pages fetched from them."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 1800.0
"""Seconds after which the bench stops waiting for a program."""


def cpu_seconds(process: int, *, with_ended: bool = False) -> float:
    """CPU time of a process, user and system; with that of its children that have ended, if asked for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / _TICKS


def cpu_seconds_below(process: int, without: Collection[int] = ()) -> float:
    """CPU time of a process and all its children but some, those that have ended too: of a PostgreSQL server."""
    total = cpu_seconds(process, with_ended=True)
    for child in map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()):
        if child not in without:
            with contextlib.suppress(OSError):
                total += cpu_seconds(child)
    return total


def memory(process: int) -> tuple[float, float]:
    """Resident memory of a process in MiB: now, and at its peak."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(sizes["VmRSS"].split()[0]) / 1024, int(sizes["VmHWM"].split()[0]) / 1024


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look until something is so. Raises `TimeoutError` if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.05)


@dataclass
class Page:
    """A page as it was fetched: its bytes, and the milliseconds that it took."""

    body: bytes
    milliseconds: float


class Process:
    """A running program that serves a page of metrics. Its output goes to the file `log`."""

    def __init__(self, command: list[str], url: str, environ: dict[str, str], log: Path) -> None:
        self._program, self._url, self._log = command[0], url, log
        with log.open("ab") as output:
            self._running = subprocess.Popen(  # noqa: S603
                command,
                env=os.environ | environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, while it runs. Raises `RuntimeError` if it has ended."""
        if self._running.poll() is not None:
            raise RuntimeError(f"{self._program} has ended: {self._log.read_text(errors='replace')[-2000:]}")
        return self._running.pid

    def stop(self) -> None:
        """End it, within ten seconds by force."""
        self._running.terminate()
        try:
            self._running.wait(10)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def fetch(self, path: str = "/metrics", headers: Mapping[str, str] | None = None) -> Page:
        """A page, whatever its size. Raises `OSError` if it is not to be had."""
        _ = self.pid
        request = urllib.request.Request(self._url + path, headers=dict(headers or {}))  # noqa: S310
        begun = time.perf_counter()
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            body = answer.read()
        return Page(body, 1000 * (time.perf_counter() - begun))

    def answers(self, path: str) -> bool:
        """Whether a page is there with status 200."""
        try:
            self.fetch(path)
        except OSError:
            return False
        return True
