"""The exporter's image: small, without root, without secrets, and gone in two seconds without losing anything."""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import yaml

from exporter.demo.schema import load_schema
from tests.deploy.test_constraints import pinned, plain
from tests.support import ROOT
from tests.support.discord_server import discord_server
from tests.support.docker import Image, docker, run_docker
from tests.support.programs import Samples, fetch, free_port, parse, total, wait_for
from tests.support.servers import DockerServer

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
INSERT = (
    "INSERT INTO ai_operation_log (operation_type, model_used, cost_usd, success, created_at)"
    " SELECT 'chat', 'deepseek-v3.2', 0.001, true, now() AT TIME ZONE 'UTC' FROM generate_series(1, %s)"
)


@pytest.fixture
def database(docker_postgres: DockerServer) -> Iterator[str]:
    """Superuser's URL of a database with the log's tables, as this machine reaches it."""
    url = docker_postgres.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        load_schema(connection, "success")
    yield url
    docker_postgres.drop_database(url)


@dataclass(frozen=True)
class Exporter:
    """A container of the image, the same whenever it is started."""

    image: str
    url_file: Path
    config: Path
    name: str = field(default_factory=lambda: f"exporter-{secrets.token_hex(6)}")
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        """Start it, for the first time or again, and wait until it is ready."""
        if run_docker("start", self.name).returncode != 0:
            docker(
                *("run", "--detach", "--name", self.name, "--publish", f"127.0.0.1:{self.port}:9867"),
                *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
                *("--volume", f"{self.url_file}:/url:ro", "--env", "DATABASE_URL_FILE=/url"),
                *("--volume", f"{self.config}:/c.yaml:ro"),
                *(self.image, "serve", "--web.listen-address=:9867", "--config=/c.yaml"),
            )
        wait_for(lambda: fetch(f"http://127.0.0.1:{self.port}/-/ready")[0] == 200, 60)

    def samples(self) -> Samples:
        """What it shows."""
        return parse(fetch(f"http://127.0.0.1:{self.port}/metrics")[1])

    def operations(self) -> float:
        """How many calls it has counted."""
        return total(self.samples(), "ai_operations_total")


@pytest.fixture
def exporter(image: Image, database: str, docker_postgres: DockerServer, tmp_path: Path) -> Iterator[Exporter]:
    """The exporter on that database, not started yet."""
    outside = f"@{docker_postgres.host}:{docker_postgres.port}/"
    url = tmp_path / "database_url"
    url.write_text(database.replace(outside, f"@{docker_postgres.address_for_containers}:5432/"))
    config = tmp_path / "config.yaml"
    config.write_text("zero_hold: 0s\n")
    for file in (url, config):
        file.chmod(0o644)
    tmp_path.chmod(0o755)
    made = Exporter(image.tag, url, config)
    yield made
    run_docker("rm", "--force", "--volumes", made.name)


def test_it_is_small_and_starts_at_once(image: Image, exporter: Exporter, report_figure: Callable[[str], None]) -> None:
    sizes = [int(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in (image.tag, image.base)]
    began = time.monotonic()
    exporter.start()
    seconds = time.monotonic() - began
    ours, base = (sizes[0] - sizes[1]) / MEGABYTE, sizes[1] / MEGABYTE
    report_figure(f"image: {ours:.0f} MB on a base of {base:.0f} MB; ready {seconds:.1f} s after docker run")
    assert sizes[0] - sizes[1] < 80 * MEGABYTE


def test_nobody_in_it_is_root(image: Image, exporter: Exporter) -> None:
    exporter.start()
    assert docker("exec", exporter.name, "id", "-u").strip() == "10001"
    processes = docker("top", exporter.name, "-eo", "pid,uid").splitlines()[1:]
    assert processes
    assert {line.split()[1] for line in processes} == {"10001"}
    # what it does not own it cannot change, and it owns nothing but its state
    find = ("find", "/opt", "/usr", "/var/lib/ai-operation-exporter", "-user", "10001")
    owned = docker("exec", exporter.name, *find)
    assert {line.split("/state")[0] for line in owned.splitlines()} == {"/var/lib/ai-operation-exporter"}


def test_no_secret_is_in_any_layer_or_in_the_history(image: Image) -> None:
    described = docker("history", "--no-trunc", image.tag) + docker("image", "inspect", image.tag)
    assert image.canary not in described
    needle, seen, kept = image.canary.encode(), 0, b""
    with subprocess.Popen(["docker", "save", image.tag], stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None
        # layers lie in the archive as they are
        while chunk := saved.stdout.read(4 * MEGABYTE):
            assert needle not in kept + chunk
            seen, kept = seen + len(chunk), chunk[-len(needle) :]
    assert saved.returncode == 0
    assert seen > 10 * MEGABYTE


def test_no_secret_even_reaches_the_build(image: Image) -> None:
    stage = f"{image.tag}-build"
    words = ("build", "--file", "deploy/Dockerfile", "--build-arg", f"PYTHON_IMAGE={image.base}")
    docker(*words, "--target", "build", "--tag", stage, ".", cwd=image.context, environ={"DOCKER_BUILDKIT": "1"})
    try:
        source = docker("run", "--rm", "--entrypoint", "find", stage, "/source", "-type", "f").splitlines()
        assert "/source/exporter/cli.py" in source
        searched = run_docker("run", "--rm", "--entrypoint", "grep", stage, "-rlF", image.canary, "/source")
        assert (searched.returncode, searched.stdout) == (1, "")
    finally:
        run_docker("rmi", "--force", stage)


def test_the_health_check_of_the_image_passes(image: Image, exporter: Exporter) -> None:
    exporter.start()
    (inspected,) = json.loads(docker("image", "inspect", image.tag))
    kind, *command = inspected["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert run_docker("exec", exporter.name, *command).returncode == 0
    assert "python" not in docker("exec", exporter.name, "head", "-1", f"/usr/local/bin/{command[0]}")


def test_nothing_is_installed_but_what_it_runs_on_in_the_versions_that_were_chosen(image: Image) -> None:
    listing = "from importlib.metadata import distributions as all; print(*(f'{d.name}=={d.version}' for d in all()))"
    listed = docker("run", "--rm", "--entrypoint", "python", image.tag, "-c", listing).split()
    installed = {plain(name): version for name, _, version in (each.partition("==") for each in listed)}
    installed.pop("pip", None)
    assert installed.pop("ai-operation-exporter")
    wanted = pinned("constraints.txt")
    wanted.pop("setuptools")
    assert installed == wanted


@pytest.fixture
def digest_image(image: Image) -> Iterator[str]:
    """The other image that deploy/Dockerfile makes."""
    tag = f"{image.tag}-digest"
    words = ("build", "--file", "deploy/Dockerfile", "--build-arg", f"PYTHON_IMAGE={image.base}")
    docker(*words, "--target", "digest", "--tag", tag, ".", cwd=image.context, environ={"DOCKER_BUILDKIT": "1"})
    yield tag
    run_docker("rmi", "--force", tag)


def test_the_image_of_the_digest_sends_one_a_day_with_a_picture(
    digest_image: str, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database, autocommit=True) as log:
        log.execute(INSERT, (100,))
    with discord_server() as server:
        for name, text in (("database_url", database), ("webhook_url", server.url())):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o644)
        tmp_path.chmod(0o755)
        name = f"digest-{secrets.token_hex(6)}"
        at = datetime.now(UTC) - timedelta(minutes=1)
        docker(
            *("run", "--detach", "--name", name, "--network", "host", "--read-only", "--tmpfs", "/tmp"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--volume", f"{tmp_path}:/secrets:ro"),
            *("--env", "DATABASE_URL_FILE=/secrets/database_url"),
            *("--env", "DISCORD_WEBHOOK_URL_FILE=/secrets/webhook_url"),
            *(digest_image, "digest", f"--daily={at:%H:%M}"),
        )
        try:
            wait_for(lambda: server.receiver.files, 120)
            health = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["digest"]["healthcheck"][
                "test"
            ]
            checked = run_docker("exec", name, "sh", "-c", health[1].replace("$$", "$"))
            assert checked.returncode == 0, checked.stderr
            docker("restart", "--time", "10", name)
            wait_for(lambda: run_docker("logs", name).stderr.count("the next digest is due") == 2, 60)
            docker("stop", "--time", "10", name)
            assert docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
            said = run_docker("logs", name)
        finally:
            run_docker("rm", "--force", "--volumes", name)
        assert [list(files) for files in server.receiver.files] == [["digest.png"]]
        assert server.receiver.files[0]["digest.png"].startswith(b"\x89PNG")
        assert "webhooks" not in said.stdout + said.stderr
        assert "level=error" not in said.stderr


def test_the_image_of_the_digest_has_what_draws_and_nothing_more(digest_image: str) -> None:
    listing = "from importlib.metadata import distributions as all; print(*(f'{d.name}=={d.version}' for d in all()))"
    listed = docker("run", "--rm", "--entrypoint", "python", digest_image, "-c", listing).split()
    installed = {plain(name) for name, _, _ in (each.partition("==") for each in listed)}
    wanted = {*pinned("constraints.txt"), *pinned("constraints-digest.txt"), "ai-operation-exporter"}
    assert installed - {"pip"} == wanted - {"setuptools"}


def test_it_stops_within_two_seconds_and_goes_on_where_it_was(exporter: Exporter, database: str) -> None:
    exporter.start()
    with psycopg.connect(database, autocommit=True) as log:
        log.execute(INSERT, (100,))
        wait_for(lambda: exporter.operations() == 100)
        for _ in range(2):
            docker("stop", "--time", "2", exporter.name)
            # 137: it had to be killed
            assert docker("inspect", "--format", "{{.State.ExitCode}}", exporter.name).strip() == "0"
            log.execute(INSERT, (50,))
            exporter.start()
        wait_for(lambda: exporter.operations() == 200)
    assert Decimal(str(total(exporter.samples(), "ai_operation_cost_usd_total"))) == Decimal("0.2")


def test_every_command_of_it_can_be_run(image: Image) -> None:
    assert docker("run", "--rm", "--read-only", image.tag, "--version").startswith("ai-operation-exporter ")
    assert "verify" in docker("run", "--rm", "--read-only", image.tag, "--help")
