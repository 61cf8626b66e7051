"""Without Docker: the unit and Prometheus' configuration are such as their programs take."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.verify.prometheus import JOBS
from tests.support import ROOT
from tests.support.docker import docker
from tests.support.servers import docker_image, leave_out, require_docker

UNITS = [ROOT / "deploy" / "systemd" / f"ai-operation-{name}.service" for name in ("exporter", "digest")]
UNIT, DIGEST = UNITS
MOST_EXPOSED = 15  # of 100; 12 when this was written, and 92 for a unit without any of its settings


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        leave_out("no systemd-analyze on this machine: the unit is not looked at")
    return program


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_the_unit(analyze: str, tmp_path: Path, unit: Path) -> None:
    # the program is not installed where this test runs
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    done = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, complaints) == (0, [])
    copy.write_text(copy.read_text().replace("ProtectSystem=strict", "ProtectSystem=stricter"))
    done = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert "protect system" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_little_of_the_machine_is_open_to_it(analyze: str, unit: Path) -> None:
    command = [analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_password_comes_from_a_file_that_only_root_reads() -> None:
    text = UNIT.read_text()
    assert "LoadCredential=database_url:" in text
    assert "Environment=DATABASE_URL_FILE=%d/database_url" in text
    assert not re.search(r"postgres(ql)?://", text)


def test_the_digest_has_the_webhook_from_such_a_file_and_is_as_confined() -> None:
    text = DIGEST.read_text()
    assert "LoadCredential=discord_webhook_url:" in text
    assert "DISCORD_WEBHOOK_URL_FILE=%d/discord_webhook_url" in text
    assert "webhooks/" not in text
    assert text.partition("NoNewPrivileges")[2] == UNIT.read_text().partition("NoNewPrivileges")[2]


def test_prometheus_takes_its_configuration_without_docker() -> None:
    require_docker("promtool")
    file = ROOT / "deploy" / "prometheus" / "without-docker.yml"
    image = docker_image("PROMETHEUS_IMAGE", "prom/prometheus:v2.53.5")
    rules = ROOT / "alert_rules" / "generated"
    mounts = ("--volume", f"{file}:/p.yml:ro", "--volume", f"{rules}:/etc/prometheus/rules:ro")
    said = docker("run", "--rm", *mounts, "--entrypoint", "promtool", image, "check", "config", "/p.yml")
    assert "SUCCESS" in said
    jobs = [job["job_name"] for job in yaml.safe_load(file.read_text())["scrape_configs"]]
    assert tuple(jobs) == JOBS
