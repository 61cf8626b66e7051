"""The files of a deployment agree with each other, and hold no secret."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import load_config
from exporter.verify.grafana import SOURCES
from exporter.verify.prometheus import JOBS
from tests.support import ROOT
from tests.support.docker import docker, require_compose

COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
NAMES = tuple(yaml.safe_load(COMPOSE)["secrets"])
VARIABLE = re.compile(r"\$\{([A-Z_]+):?-([^}]*)\}")
EXPLAINED = re.compile(r"#([A-Z_]+)=(.*)")


def test_every_setting_is_explained_with_its_default_and_no_other() -> None:
    used = dict(VARIABLE.findall(COMPOSE))
    assert len(used) == len(set(VARIABLE.findall(COMPOSE))), "one variable has two defaults"
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE)) == set(used), "a variable without a default"
    lines = (ROOT / ".env.example").read_text().splitlines()
    explained = {match[1]: match[2] for line in lines if (match := EXPLAINED.fullmatch(line))}
    assert explained == used


def test_each_group_of_settings_begins_with_a_sentence() -> None:
    groups = (ROOT / ".env.example").read_text().split("\n\n")
    for group in groups:
        lines = group.splitlines()
        assert lines[0].startswith("# "), lines[0]
        assert all(line.startswith("#") for line in lines), "a setting that is on changes the default"


def test_every_port_is_on_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_generated_is_mounted_by_its_folder() -> None:
    """A file that is mounted by itself stays the old one when `rules build` puts a new one in its place."""
    volumes = [volume for name in ("prometheus", "alertmanager") for volume in SERVICES[name]["volumes"]]
    generated = [volume for volume in volumes if "/generated" in volume]
    assert len(generated) == 2
    assert all(volume.startswith("./alert_rules/generated:") for volume in generated)
    (config,) = (word for word in SERVICES["alertmanager"]["command"] if word.startswith("--config.file="))
    assert config.rpartition("/")[0].removeprefix("--config.file=") in generated[1]


def test_nobody_can_stop_prometheus_over_http() -> None:
    assert not [word for word in SERVICES["prometheus"]["command"] if "lifecycle" in word]


def test_alertmanager_counts_what_it_delivers_by_receiver() -> None:
    assert "--enable-feature=receiver-name-in-metrics" in SERVICES["alertmanager"]["command"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_checked_and_without_a_secret(name: str) -> None:
    service = SERVICES[name]
    image = VARIABLE.sub(r"\2", service["image"])
    tag = image.rpartition(":")[2]
    assert tag == "local" if "build" in service else re.search(r"\d+\.\d+", tag), image
    assert name == "verify" or "healthcheck" in service
    assert "no-new-privileges:true" in service["security_opt"]
    for variable, value in service.get("environment", {}).items():
        secret = re.search("PASS|SECRET|KEY|TOKEN|DATABASE_URL", variable)
        assert not secret or str(value).startswith("/run/secrets/"), variable
    for condition in service.get("depends_on", {}).values():
        assert condition["condition"] == "service_healthy"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_take_the_whole_machine(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 1 <= service["pids_limit"] <= 1024
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_the_exporter_has_the_same_memory_wherever_it_runs() -> None:
    assert SERVICES["exporter"]["mem_limit"] == "512m"
    unit = (ROOT / "deploy" / "systemd" / "ai-operation-exporter.service").read_text()
    assert "\nMemoryMax=512M\n" in unit
    workload = (ROOT / "deploy" / "kubernetes" / "generated" / "exporter.yaml").read_text()
    assert "memory: 512Mi" in workload


def test_no_health_check_starts_a_python() -> None:
    commands = [*(str(service.get("healthcheck", {}).get("test")) for service in SERVICES.values())]
    commands += re.findall(r"HEALTHCHECK.*", (ROOT / "deploy" / "Dockerfile").read_text())
    assert len(commands) == len(SERVICES) + 1
    assert not [command for command in commands if "python" in command]


def test_the_exporter_can_write_nothing_but_its_state() -> None:
    exporter = SERVICES["exporter"]
    assert exporter["read_only"] is True
    assert exporter["cap_drop"] == ["ALL"]
    writable = [volume for volume in exporter["volumes"] if not volume.endswith(":ro")]
    assert writable == ["exporter-state:/var/lib/ai-operation-exporter"]


def test_grafana_lets_nobody_in_without_a_password() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_admin_password"


def test_prometheus_scrapes_what_verify_looks_at() -> None:
    config = prometheus_config()
    assert tuple(job["job_name"] for job in config["scrape_configs"]) == JOBS


def test_the_data_sources_are_the_ones_that_dashboards_and_verify_name() -> None:
    file = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "datasources.yml"
    sources = {source["uid"]: source for source in yaml.safe_load(file.read_text())["datasources"]}
    assert set(sources) == set(SOURCES)
    assert sources["prometheus"]["jsonData"]["timeInterval"] == prometheus_config()["global"]["scrape_interval"]
    assert sources["alertmanager"]["jsonData"]["implementation"] == "prometheus"
    assert sources["postgres"]["secureJsonData"]["password"].startswith("$__file{/run/secrets/")
    used = set(re.findall(r"\$(DATABASE_[A-Z]+)", file.read_text()))
    assert used == {name for name in SERVICES["grafana"]["environment"] if name.startswith("DATABASE_")}


def test_the_exporters_configuration_is_a_good_one() -> None:
    config = load_config(ROOT / "deploy" / "exporter.yaml", {})
    assert config.daily_limit_usd == 200


@pytest.mark.parametrize("profile", [(), ("--profile", "demo"), ("--profile", "tools")])
def test_docker_compose_takes_the_file(profile: tuple[str, ...]) -> None:
    require_compose()
    listed = docker("compose", *profile, "config", "--services", cwd=ROOT).split()
    wanted = [name for name, service in SERVICES.items() if service.get("profiles", profile[1:]) == list(profile[1:])]
    assert set(wanted) <= set(listed)
    assert ("postgres" in listed) == ("demo" in profile)


def test_the_secrets_are_made_once_and_hidden_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = ["/bin/sh", str(ROOT / "deploy" / "make-secrets.sh")]
    asked = run(make, folder)
    assert {"database_url", "discord_webhook_url"} <= {name for name in NAMES if f"/{name}:" in asked}
    run([*make, "demo"], folder)
    first = {file.name: file.read_text() for file in folder.iterdir()}
    assert first.pop(".gitignore") == "*\n"
    first.pop(".demo")
    assert set(first) == set(NAMES)
    assert len(set(first.values())) == len(first)
    assert run([*make, "demo"], folder) == ""
    run(make, folder)
    assert {name: (folder / name).read_text() for name in NAMES} == first
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("SECRETS_DIR=plain", "plain"),
        ('SECRETS_DIR="my secrets"', "my secrets"),
        ("SECRETS_DIR='a # b' # ours", "a # b"),
        ("SECRETS_DIR=plain # ours", "plain"),
        ("SECRETS_DIR=plain  \r", "plain"),
        ("export SECRETS_DIR=plain", "plain"),
        ("  SECRETS_DIR = plain", "plain"),
        ("SECRETS_DIR=-x", "-x"),
        ("SECRETS_DIR=first\nSECRETS_DIR=second", "second"),
        ("SECRETS_DIR=100%s#\\n", "100%s#\\n"),
        ("# SECRETS_DIR=none\nNOT_SECRETS_DIR=none", "secrets"),
        ("SECRETS_DIR=", "secrets"),
    ],
)
def test_the_folder_of_the_secrets_is_the_one_that_docker_compose_reads(project: Path, line: str, folder: str) -> None:
    (project / ".env").write_text(line + "\n", newline="")
    make_secrets(project, "demo")
    assert {file.name for file in project.iterdir()} == {"deploy", ".env", folder}
    assert {file.name for file in (project / folder).iterdir()} == {*NAMES, ".demo", ".gitignore"}


@pytest.mark.parametrize("folder", [".", "deploy", "..", "shared"])
def test_a_folder_that_others_work_in_is_not_closed_to_them(project: Path, folder: str) -> None:
    (project / "shared").mkdir()
    (project / "shared" / "notes").touch()
    (project / folder).chmod(0o755)
    before = sorted(project.rglob("*"))
    done = make_secrets(project, "demo", folder=folder, check=False)
    assert done.returncode == 1
    assert "open to others" in done.stderr
    assert sorted(project.rglob("*")) == before
    assert (project / folder).stat().st_mode & 0o777 == 0o755
    (project / folder).chmod(0o700)
    make_secrets(project, "demo", folder=folder)


@pytest.mark.parametrize("argument", ["--help", "Demo", "-n"])
def test_an_unknown_argument_makes_no_secrets(project: Path, argument: str) -> None:
    done = make_secrets(project, argument, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert [file.name for file in project.iterdir()] == ["deploy"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with nothing but the script."""
    (tmp_path / "project" / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "make-secrets.sh", tmp_path / "project" / "deploy")
    return tmp_path / "project"


def make_secrets(
    project: Path, argument: str, *, folder: str = "", check: bool = True
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "deploy/make-secrets.sh", argument],
        cwd=project,
        env={**os.environ, "SECRETS_DIR": folder},
        check=check,
        capture_output=True,
        text=True,
    )


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command, env={**os.environ, "SECRETS_DIR": str(folder)}, check=True, capture_output=True, text=True
    ).stdout


def prometheus_config() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    return config


def test_after_the_demo_the_files_with_its_values_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = ["/bin/sh", str(ROOT / "deploy" / "make-secrets.sh")]

    def named() -> list[str]:
        return [line.split(":")[0].rsplit("/", 1)[1] for line in run(make, folder).splitlines()]

    folder.mkdir()
    (folder / "grafana_database_password").write_text("mine")
    run([*make, "demo"], folder)
    still = "which still holds the demo's value"
    assert named() == [
        f"{file}, {still}" for file in ("database_url", "postgres_exporter_password", "discord_webhook_url")
    ]
    (folder / "database_url").write_text("postgresql://ai_exporter:secret@db.example.com/app")
    (folder / "postgres_exporter_password").unlink()
    assert named() == ["postgres_exporter_password", f"discord_webhook_url, {still}"]

    # an earlier version of the script kept no list of what it wrote
    (folder / ".demo").unlink()
    assert named() == ["postgres_exporter_password", f"discord_webhook_url, {still}"]
