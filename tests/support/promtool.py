"""promtool of Prometheus 2 (out of its image, or as installed where there is no Docker engine) and of Prometheus 3."""

import atexit
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from docker.errors import DockerException
from testcontainers.core.docker_client import DockerClient

from tests.support.servers import docker_image, require_docker


@dataclass(frozen=True)
class Promtool:
    """A promtool that runs on this machine."""

    binary: str

    def run(self, *arguments: str, given: str | None = None) -> tuple[int, str]:
        """Its exit code and all it said, of what it was given on standard input."""
        # a third less computing: memory is collected seldom, and no process lives for long
        environment = {**os.environ, "GOGC": "800"}
        command = [self.binary, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
        return done.returncode, done.stdout + done.stderr


@cache
def promtool() -> Promtool:
    """The promtool to test with; skips (in CI: fails) where there is none."""
    if not _engine_answers() and (installed := shutil.which("promtool")):
        return Promtool(installed)
    require_docker("promtool")
    image = docker_image("PROMETHEUS_IMAGE", "prom/prometheus:v2.53.5")
    return Promtool(taken_out_of(image, "promtool"))


def current_tool(name: str, image: str = "prom/prometheus:v3.5.0") -> str:
    """The path of a program of the current version: in the folder that CURRENT_TOOLS names, or out of an image.

    Skips (in CI: fails) where there is none.
    """
    if folder := os.environ.get("CURRENT_TOOLS"):
        return str(Path(folder) / name)
    require_docker(f"the current {name}")
    return taken_out_of(docker_image(f"CURRENT_{name.upper()}_IMAGE", image), name)


VERSIONS: dict[str, Callable[[], Promtool]] = {"2": promtool, "3": lambda: Promtool(current_tool("promtool"))}
"""Gets the promtool of each version: windows are closed at their beginning in 2, and open in 3."""


def _engine_answers() -> bool:
    try:
        return bool(DockerClient().client.ping())
    except (DockerException, OSError):
        return False


@cache
def taken_out_of(image: str, name: str) -> str:
    """A program out of an image: a run of a container for each of a thousand tests would take minutes."""

    def docker(*arguments: str) -> str:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    inside = docker("run", "--rm", "--entrypoint", "sh", image, "-c", f"command -v {name}")
    container = docker("create", image)
    try:
        folder = mkdtemp(prefix=f"{name}-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        target = Path(folder) / name
        docker("cp", "--follow-link", f"{container}:{inside}", str(target))
    finally:
        docker("rm", "--volumes", container)
    return str(target)
