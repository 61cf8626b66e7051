"""Alertmanager in a container, and amtool from the same image."""

import contextlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from testcontainers.core.container import DockerContainer

from alert_rules.output.alertmanager import config_text, discord_template
from tests.support.programs import fetch, free_port, wait_for
from tests.support.promtool import taken_out_of
from tests.support.servers import docker_image, require_docker


def image() -> str:
    """The image to test with."""
    return docker_image("ALERTMANAGER_IMAGE", "prom/alertmanager:v0.28.1")


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write a configuration and the template beside it, for a container to read."""
    (folder / "alertmanager.yml").write_text(config_text(dict(config)))
    (folder / "discord.tmpl").write_text(discord_template())


def amtool(folder: Path, *arguments: str, script: str = "") -> tuple[int, str]:
    """Run amtool, or a shell script that does, on a folder's files; its exit code and what it said.

    It sees the folder as /etc/alertmanager.
    """
    require_docker("amtool")
    command = ["docker", "run", "--rm", "--network=none", f"--user={os.getuid()}"]
    command += [f"--volume={folder}:/etc/alertmanager:ro", f"--entrypoint={'sh' if script else 'amtool'}", image()]
    command += ["-c", script] if script else arguments
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def render(folder: Path, data: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Title and message that the template makes of each notification's data.

    Rendered by the amtool of the Alertmanager image, or by the program that `AMTOOL` names: another version.
    """
    (folder / "discord.tmpl").write_text(discord_template())
    # out of the image: to start a container takes longer than to render
    tool = os.environ.get("AMTOOL") or taken_out_of(image(), "amtool")
    return [_rendered(tool, folder, one) for one in data]


def _rendered(tool: str, folder: Path, data: Mapping[str, Any]) -> tuple[str, str]:
    """The texts of one notification: both by one process, with a sign between them that neither has."""
    given = folder / "data.json"
    given.write_text(json.dumps(data))
    texts = "\036".join(f'{{{{ template "ai_operation.discord.{part}" . }}}}' for part in ("title", "message"))
    words = [f"--template.glob={folder}/*.tmpl", f"--template.data={given}", f"--template.text={texts}"]
    done = subprocess.run([tool, "template", "render", *words], capture_output=True, check=False)
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode() + said[-2000:]
    # amtool ends what it prints with a line break of its own
    title, message = said.removesuffix("\n").split("\036")
    return title, message


@dataclass
class Alertmanager:
    """A running Alertmanager."""

    url: str
    log: Callable[[], str] = lambda: ""
    """What it has said so far."""

    def send(self, *alerts: Mapping[str, Any]) -> None:
        """Give it alerts as Prometheus would."""
        body = json.dumps(alerts).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds, with each alert's state."""
        status, text = fetch(f"{self.url}/api/v2/alerts")
        assert status == 200
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def metrics(self) -> str:
        """Its own metrics, as text."""
        return fetch(f"{self.url}/metrics")[1]


def alert(name: str, severity: str, channel: str = "discord", *, resolved: bool = False, **more: Any) -> dict[str, Any]:
    """An alert as Prometheus sends it; `annotations` by that name, all else are labels."""
    now = datetime.now(UTC)
    annotations = more.pop("annotations", {})
    ends = now - timedelta(milliseconds=1) if resolved else now + timedelta(minutes=4)
    return {
        "labels": {"alertname": name, "severity": severity, "channel": channel, "job": "ai", **more},
        "annotations": annotations,
        # An alert that is older than group_wait is told at once, with no time for an inhibitor to arrive.
        "startsAt": (now - timedelta(seconds=2) if resolved else now).isoformat(),
        "endsAt": ends.isoformat(),
    }


@contextlib.contextmanager
def alertmanager(folder: Path, *arguments: str, cluster_port: int = 0) -> Iterator[Alertmanager]:
    """Run Alertmanager on the configuration in a folder, as whoever owns the secrets in it.

    With a `cluster_port` it listens there for others of its cluster.
    """
    require_docker("a real Alertmanager")
    port = free_port()
    cluster = f"127.0.0.1:{cluster_port}" if cluster_port else ""
    container = (
        DockerContainer(image(), network_mode="host", user=str(os.getuid()))
        .with_volume_mapping(str(folder), "/etc/alertmanager", "ro")
        .with_command(
            "--config.file=/etc/alertmanager/alertmanager.yml --storage.path=/tmp/alertmanager "
            f"--cluster.listen-address={cluster} --web.listen-address=127.0.0.1:{port} {' '.join(arguments)}"
        )
    )
    with container:
        server = Alertmanager(f"http://127.0.0.1:{port}", lambda: b"".join(container.get_logs()).decode())
        wait_for(lambda: fetch(f"{server.url}/-/ready")[0] == 200, 60)
        yield server
