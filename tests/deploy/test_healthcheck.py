"""The container's health check: true about the exporter whatever its web configuration, and no Python."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.web.app import HealthStatus
from tests.support import ROOT
from tests.support.certificates import Authority
from tests.support.web import PATIENCE, App, hashed, serving

SCRIPT = ROOT / "deploy" / "healthcheck"
SICK = HealthStatus(False, "the background reader has ended")
USERS = f"basic_auth_users: {{al: {hashed('right')}}}\n"
PAIR = "tls_server_config: {{cert_file: {0}/server.crt, key_file: {0}/server.key{1}}}\n"
MUTUAL = ", client_ca_file: {0}/ca.crt, client_auth_type: RequireAndVerifyClientCert"


def check(port: int, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as the container does."""
    command = [str(SCRIPT), str(port)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a certificate is."""
    Authority(tmp_path).issue("server")
    return tmp_path


def web_file(folder: Path, kind: str) -> Path | None:
    mutual = MUTUAL.format(folder)
    texts = {"passwords": USERS, "TLS": PAIR.format(folder, ""), "TLS and passwords": PAIR.format(folder, "") + USERS}
    texts["client certificates"] = PAIR.format(folder, mutual)
    if kind == "plain":
        return None
    path = folder / "web.yml"
    path.write_text(texts[kind])
    return path


@pytest.mark.parametrize("kind", ["plain", "passwords", "TLS", "TLS and passwords", "client certificates"])
def test_a_healthy_exporter_passes(folder: Path, kind: str) -> None:
    with serving(config=web_file(folder, kind)) as port:
        done = check(port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("kind", ["plain", "passwords"])
def test_one_that_says_it_is_sick_does_not(folder: Path, kind: str) -> None:
    with serving(App(healthy=SICK), config=web_file(folder, kind)) as port:
        done = check(port)
    assert done.returncode == 1
    assert "503" in done.stdout


def test_one_that_hangs_does_not() -> None:
    with hanging() as port:
        done = check(port)
    assert done.returncode == 1
    assert "no answer" in done.stdout


def test_one_that_is_not_there_does_not() -> None:
    with hanging() as port:
        pass
    assert check(port).returncode == 1


def test_it_needs_nothing_but_bash() -> None:
    with serving() as port:
        done = subprocess.run(
            ["/bin/bash", str(SCRIPT), str(port)],
            env={"PATH": "/nowhere"},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@contextmanager
def hanging() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
