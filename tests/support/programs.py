"""The exporter as its own process, and Prometheus beside it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from testcontainers.core.container import DockerContainer

from tests.support.promtool import current_tool
from tests.support.servers import docker_image, require_docker

THE_FIVE = ("high_daily_spend", "budget_exceeded", "high_error_rate", "slow_operations", "model_unavailable")
"""The alerts that are seen arriving, end to end."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def fetch(
    url: str, headers: Mapping[str, str] | None = None, timeout: float = 20.0, *, post: bool = False
) -> tuple[int, str]:
    """Status and text of a page."""
    request = urllib.request.Request(url, headers=dict(headers or {}), method="POST" if post else "GET")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(condition: Any, seconds: float = 120.0) -> Any:
    """The first true value that a callable returns; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while (asked := time.monotonic()) < deadline:
        with contextlib.suppress(OSError):
            if found := condition():
                return found
        # most of the time is left to what is waited for
        time.sleep(max(0.05, 2 * (time.monotonic() - asked)))
    raise AssertionError(f"not seen within {seconds} s")


def eventually(holds: Callable[[], None], seconds: float = 60.0) -> None:
    """Try a check until it holds; its own AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return holds()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


@dataclass
class Program:
    """`ai-operation-exporter serve` on a database; may be killed and started again on the same state."""

    database_url: str
    state_dir: Path
    arguments: list[str] = field(default_factory=list)
    config: str = ""
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    environ: Mapping[str, str] = field(default_factory=dict)
    before: str = ""  # Python that runs first in its process
    shell: str = ""  # a command of sh that comes before it in the same process, such as `trap '' INT`
    _process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_file(self) -> Path:
        """Its configuration, written when it starts."""
        return self.state_dir.parent / "config.yaml"

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process, once it was started."""
        assert self._process is not None
        return self._process

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it listens, or is ready."""
        self.launch()
        wanted = (200,) if ready else (200, 503)
        wait_for(lambda: self._ended() or fetch(f"{self.url}/-/ready")[0] in wanted, 60)
        assert not self._ended(), self.process.stderr.read() if self.process.stderr else ""

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.state_dir.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(self.config)
        command = [sys.executable, "-m", "exporter"]
        if self.before:
            command = [
                sys.executable,
                "-c",
                f"{self.before}\nimport sys\nfrom exporter.__main__ import main\nsys.exit(main())",
            ]
        command += ["serve", "--config", str(self.config_file), "--state-dir", str(self.state_dir)]
        command += [f"--web.listen-address={self.host}:{self.port}", *self.arguments]
        if self.shell:
            command = ["sh", "-c", f'{self.shell}; exec "$@"', "sh", *command]
        environ = {**os.environ, **({"DATABASE_URL": self.database_url} if self.database_url else {}), **self.environ}
        self._process = subprocess.Popen(
            command, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; returns the exit code and what was logged."""
        assert self._process is not None
        self._process.send_signal(number)
        _, logged = self._process.communicate(timeout=20)
        return self._process.returncode, logged

    @property
    def ready(self) -> bool:
        """Whether it says that its figures can be relied upon."""
        assert not self._ended(), "it has ended"
        return fetch(f"{self.url}/-/ready")[0] == 200

    @property
    def peak_memory(self) -> int:
        """The most bytes that it ever had in memory (Linux)."""
        return self._bytes("VmHWM")

    @property
    def memory(self) -> int:
        """The bytes that it has in memory (Linux)."""
        return self._bytes("VmRSS")

    def _bytes(self, name: str) -> int:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))

    def text(self) -> str:
        """`/metrics` as text."""
        status, text = fetch(f"{self.url}/metrics")
        assert status == 200
        return text

    def samples(self) -> Samples:
        """`/metrics` by name and labels."""
        return parse(self.text())


def parse(text: str) -> Samples:
    """Samples of the text format by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str) -> float:
    """The sum over all series of a name."""
    return sum(value for (found, _), value in samples.items() if found == name)


@contextlib.contextmanager
def running(program: Program) -> Iterator[Program]:
    """The program, started, and ended afterwards if it still runs."""
    program.start()
    try:
        yield program
    finally:
        process = program._process
        if process is not None and process.poll() is None:
            process.kill()
            process.communicate()


@dataclass
class Prometheus:
    """A Prometheus that answers queries."""

    url: str
    container: str = ""  # the id of its container

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query."""
        words = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        status, text = fetch(f"{self.url}/api/v1/query?{urllib.parse.urlencode(words)}")
        assert status == 200, text
        result: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        return result


@contextlib.contextmanager
def prometheus(folder: Path, port: int, *, current: bool = False, escaping: str = "") -> Iterator[Prometheus]:
    """A real Prometheus that scrapes this machine's port every second: version 2, or the `current` one.

    `escaping` is the scheme by which the current one asks for names.
    """
    files = folder / "prometheus"
    files.mkdir()
    scheme = f"metric_name_escaping_scheme: {escaping}, " if escaping else ""
    (files / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: ai, {scheme}static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
    with (_current_prometheus if current else prometheus_with)(files) as server:
        yield server


@contextlib.contextmanager
def _current_prometheus(files: Path) -> Iterator[Prometheus]:
    port = free_port()
    command = [
        current_tool("prometheus"),
        f"--config.file={files / 'prometheus.yml'}",
        f"--storage.tsdb.path={files / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (files / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield _answering(port)
        finally:
            process.terminate()


@contextlib.contextmanager
def prometheus_with(files: Path, *arguments: str) -> Iterator[Prometheus]:
    """A real Prometheus with the prometheus.yml of a folder, and what else that names there, and further flags."""
    require_docker("a real Prometheus")
    port = free_port()
    for path in (files.parent, files):
        path.chmod(0o755)
    container = (
        DockerContainer(docker_image("PROMETHEUS_IMAGE", "prom/prometheus:v2.53.5"), network_mode="host")
        .with_volume_mapping(str(files), "/etc/prometheus", "ro")
        .with_command(
            "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus "
            f"--web.listen-address=127.0.0.1:{port} {' '.join(arguments)}"
        )
    )
    with container:
        yield _answering(port, str(container.get_wrapped_container().id))


def _answering(port: int, container: str = "") -> Prometheus:
    server = Prometheus(f"http://127.0.0.1:{port}", container)
    wait_for(lambda: fetch(f"{server.url}/-/ready")[0] == 200, 60)
    return server
