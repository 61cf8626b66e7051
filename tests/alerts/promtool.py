"""promtool: the one of the Prometheus image, or the installed one where there is no Docker engine."""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from docker.errors import DockerException
from testcontainers.core.docker_client import DockerClient

from tests.servers import docker_image, require_docker


@dataclass(frozen=True)
class Promtool:
    """A promtool that runs on this machine."""

    binary: str

    def run(self, *arguments: str) -> tuple[int, str]:
        """Its exit code and all it said."""
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


@cache
def promtool() -> Promtool:
    """The promtool to test with; skips (in CI: fails) where there is none."""
    if not _engine_answers() and (installed := shutil.which("promtool")):
        return Promtool(installed)
    require_docker("promtool")
    image = docker_image("PROMETHEUS_IMAGE", "prom/prometheus:v2.53.5")
    return Promtool(_taken_out_of(image))


def _engine_answers() -> bool:
    try:
        return bool(DockerClient().client.ping())
    except (DockerException, OSError):
        return False


def _taken_out_of(image: str) -> str:
    """promtool out of an image: a run of a container for each of a thousand tests would take minutes."""

    def docker(*arguments: str) -> str:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    inside = docker("run", "--rm", "--entrypoint", "sh", image, "-c", "command -v promtool")
    container = docker("create", image)
    try:
        target = Path(mkdtemp(prefix="promtool-")) / "promtool"
        docker("cp", "--follow-link", f"{container}:{inside}", str(target))
    finally:
        docker("rm", container)
    return str(target)
