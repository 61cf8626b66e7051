"""docker-compose.yml with its demo profile, on free ports, with everything that can be waited for made short."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from exporter.cli import main
from exporter.demo.schema import DemoLog
from tests.support import ROOT
from tests.support.docker import Image, docker, require_compose, run_docker
from tests.support.programs import THE_FIVE, Prometheus, free_port, wait_for
from tests.support.servers import docker_image

IMAGES = {
    "POSTGRES_IMAGE": "postgres:17.6-trixie",
    "PROMETHEUS_IMAGE": "prom/prometheus:v2.53.5",
    "ALERTMANAGER_IMAGE": "prom/alertmanager:v0.28.1",
    "POSTGRES_EXPORTER_IMAGE": "prometheuscommunity/postgres-exporter:v0.17.1",
    "BLACKBOX_EXPORTER_IMAGE": "prom/blackbox-exporter:v0.26.0",
}
PORTS = ("EXPORTER_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT", "POSTGRES_PORT")


@dataclass(frozen=True)
class Verdict:
    """What `verify` printed."""

    code: int
    text: str

    @property
    def failed(self) -> set[str]:
        """The names of the findings that failed."""
        return {line[6:36].strip() for line in self.text.splitlines() if line.startswith("FAIL")}


@dataclass(frozen=True)
class Stack:
    """The running whole."""

    project: str
    environ: Mapping[str, str]
    files: tuple[Path, ...]

    def compose(self, *words: str) -> str:
        """Run docker compose; what it printed."""
        return docker(*self._words(*words), environ=dict(self.environ), cwd=ROOT)

    def verify(self, *words: str) -> Verdict:
        """Run `verify` beside the parts."""
        run = self._words("run", "--rm", "--no-deps", "-T", "verify", *words)
        done = run_docker(*run, environ=dict(self.environ), cwd=ROOT)
        assert done.returncode in (0, 1), done.stderr
        return Verdict(done.returncode, done.stdout)

    def messages(self) -> str:
        """All that has arrived at the receiver of Discord's messages."""
        return self.compose("logs", "--no-log-prefix", "--no-color", "discord-receiver")

    def wait_for_the_five(self) -> None:
        """Until `THE_FIVE` have arrived."""
        arrived: list[str] = []

        def all_told() -> bool:
            arrived[:] = [name for name in THE_FIVE if name in self.messages()]
            return len(arrived) == len(THE_FIVE)

        try:
            wait_for(all_told, 90)
        except AssertionError:
            raise AssertionError(f"arrived: {arrived}; {self.messages()}") from None

    @property
    def prometheus(self) -> Prometheus:
        """Its Prometheus."""
        return Prometheus(f"http://127.0.0.1:{self.environ['PROMETHEUS_PORT']}")

    def connect(self) -> "psycopg.Connection[Any]":
        """A connection as the tables' owner."""
        url = (Path(self.environ["SECRETS_DIR"]) / "demo_writer_url").read_text()
        return psycopg.connect(
            url.replace("@postgres:5432/", f"@127.0.0.1:{self.environ['POSTGRES_PORT']}/"), autocommit=True
        )

    def _words(self, *words: str) -> tuple[str, ...]:
        files = [word for file in self.files for word in ("--file", str(file))]
        return ("compose", "--project-name", self.project, *files, "--profile", "demo", *words)


@contextlib.contextmanager
def demo_stack(image: Image, folder: Path, layout: DemoLog = "success") -> Iterator[Stack]:
    """Bring it up, and take it away with all it kept."""
    require_compose()
    folder.chmod(0o755)
    environ = {name: docker_image(name, default) for name, default in IMAGES.items()}
    environ |= {name: str(free_port()) for name in PORTS}
    environ |= {
        "EXPORTER_IMAGE": image.tag,
        "SECRETS_DIR": str(folder / "secrets"),
        "PROMETHEUS_CONFIG": str(_quick_prometheus(folder)),
        "EXPORTER_CONFIG": str(_quick_exporter(folder, layout)),
        "DEMO_LAYOUT": layout,
        "DEMO_DAYS": "2",
        "VERIFY_GRAFANA_URL": "",
        "API_HEALTH_URL": "http://exporter:9867/-/healthy",
    }
    make = [str(ROOT / "deploy" / "make-secrets.sh"), "demo"]
    subprocess.run(make, env={**os.environ, "SECRETS_DIR": environ["SECRETS_DIR"]}, check=True)
    files = (ROOT / "docker-compose.yml", _quick_alerts(folder))
    stack = Stack(f"ai-test-{secrets.token_hex(4)}", environ, files)
    try:
        stack.compose("up", "--detach", "--wait", "--pull", "never", "--no-build", "--scale", "grafana=0")
        yield stack
    finally:
        run_docker(*stack._words("down", "--volumes", "--timeout", "2"), environ=environ, cwd=ROOT)


def _quick_prometheus(folder: Path) -> Path:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
    return _written(folder / "prometheus.yml", config)


def _quick_exporter(folder: Path, layout: DemoLog) -> Path:
    name = "exporter-litellm.yaml" if layout == "litellm" else "exporter.yaml"
    config = yaml.safe_load((ROOT / "deploy" / name).read_text())
    return _written(folder / "exporter.yaml", {**config, "zero_hold": "4s"})


def _quick_alerts(folder: Path) -> Path:
    """A second compose file, with rules that wait for nothing and an Alertmanager that sends at once."""
    spec = yaml.safe_load((ROOT / "alert_rules" / "alerts.yaml").read_text())
    for alert in spec["alerts"]:
        if any(word in alert["condition"] for word in ("error_rate", "avg_latency", "model_response_time")):
            alert["window"] = "1m"
    built = folder / "rules"
    source = _written(folder / "alerts.yaml", spec)
    assert main(["rules", "build", "--alerts", str(source), "--out", str(built)]) == 0
    rules = yaml.safe_load((built / "rules.yml").read_text())
    for group in rules["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            if "alert" in rule:
                rule.pop("for", None)
                rule["expr"] = rule["expr"].replace("[2m]", "[6s]")
    _written(built / "rules.yml", rules)
    routing = yaml.safe_load((built / "alertmanager.yml").read_text())
    _hasten(routing["route"])
    _written(built / "alertmanager.yml", routing)
    for path in (built, *built.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    services = {
        "prometheus": {"volumes": [f"{built}:/etc/prometheus/rules:ro"]},
        "alertmanager": {"volumes": [f"{built}:/etc/alertmanager/config:ro"]},
        # the rules above are not what any alerts.yaml builds
        "verify": {
            "entrypoint": ["ai-operation-exporter", "verify", "--config=/etc/ai-operation-exporter/config.yaml"]
        },
    }
    return _written(folder / "quick.yml", {"services": services})


def _hasten(route: dict[str, Any]) -> None:
    route |= {"group_wait": "1s", "group_interval": "2s"}
    for inner in route.get("routes", ()):
        _hasten(inner)


def _written(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1_000_000))
    path.chmod(0o644)
    return path
