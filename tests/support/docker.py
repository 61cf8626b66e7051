"""The docker command, and the image built as a user builds it."""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT
from tests.support.servers import docker_image, leave_out, require_docker

CONTEXT = (
    *("pyproject.toml", "constraints.txt", "constraints-digest.txt"),
    *("README.md", "LICENSE", ".dockerignore", "docker-compose.yml"),
)
PACKAGES = ("alert_rules", "dashboards", "deploy", "exporter")


def docker(*words: str, environ: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run docker; returns what it printed, AssertionError with what it said where it failed."""
    done = run_docker(*words, environ=environ, cwd=cwd)
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def run_docker(
    *words: str, environ: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run docker, however it ends."""
    return subprocess.run(
        ["docker", *words],
        env={**os.environ, **(environ or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def require_compose() -> None:
    """Skip the test where there is no docker compose that knows this file; fail it in CI, where nothing is skipped."""
    require_docker("docker compose")
    if run_docker("compose", "version").returncode != 0:
        leave_out("no docker compose: not tested as a whole")


@dataclass(frozen=True)
class Image:
    """The built image, what it stands on, the folder it was built in, and a text that lay about there."""

    tag: str
    base: str
    context: Path
    canary: str


def build_image(folder: Path) -> Image:
    """Build it in a copy of the project with secrets lying about."""
    require_docker("the image")
    base = docker_image("PYTHON_IMAGE", "python:3.13.9-slim-trixie")
    for name in CONTEXT:
        shutil.copy(ROOT / name, folder / name)
    for name in PACKAGES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    canary = f"canary-{secrets.token_hex(16)}"
    for place in ("secrets/database_url", ".env", "config.yaml", "state/ledger.sqlite", ".git/config"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(canary)
    tag = f"ai-operation-exporter:test-{secrets.token_hex(6)}"
    words = ("build", "--file", "deploy/Dockerfile", "--build-arg", f"PYTHON_IMAGE={base}", "--tag", tag, ".")
    docker(*words, cwd=folder, environ={"DOCKER_BUILDKIT": "1"})
    return Image(tag, base, folder, canary)
