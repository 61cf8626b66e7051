"""The whole way of an alert: exporter, Prometheus with the compiled rules, Alertmanager, and a receiver for Discord."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alert_rules.compiler.implications import implications
from alert_rules.compiler.thresholds import ALERTS_FILE
from alert_rules.language.channels import Channel, Channels
from alert_rules.language.loading import parse_alerts
from alert_rules.model.conventions import JOB
from alert_rules.output.alertmanager import Timing, alertmanager_config
from alert_rules.output.building import RULES_FILE, compiled, outputs, routed
from deploy.discord_receiver import DiscordReceiver
from tests.support.alertmanager import alertmanager, write_config
from tests.support.programs import Prometheus, prometheus_with, wait_for


@dataclass
class Delivered:
    """What the channel has got, and the Prometheus whose rules it is about."""

    receiver: DiscordReceiver
    prometheus: Prometheus

    @property
    def texts(self) -> list[str]:
        """Title and message of each message that Discord would have taken, in order."""
        return [
            f"{embed['title']}\n{embed['description']}"
            for _, message in self.receiver.accepted
            for embed in message["embeds"]
        ]

    def wait(self, *words: str, seconds: float = 90.0) -> str:
        """The first message that holds all the words; its absence shows what came instead."""

        def found() -> str | None:
            return next((text for text in self.texts if all(word in text for word in words)), None)

        try:
            text: str = wait_for(found, seconds)
        except AssertionError:
            raise AssertionError(f"no message with {words} among {self.texts}") from None
        return text


def quick(alerts: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> bytes:
    """The alerts with some settings changed, so that a test need not wait for what the defaults wait for."""
    data = yaml.safe_load(alerts)
    data["alerts"] = [{**alert, **change(alert)} for alert in data["alerts"]]
    return yaml.safe_dump(data, allow_unicode=True).encode()


def quickly(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Ratios over a minute, and nothing waited for."""
    ratio = any(name in alert["condition"] for name in ("error_rate", "avg_latency", "model_response_time"))
    return {"for": "0s", **({"window": "1m", "keep_firing_for": "0s"} if ratio else {})}


@contextlib.contextmanager
def alerting(
    folder: Path, exporter_port: int, change: Callable[[dict[str, Any]], Mapping[str, Any]] = quickly
) -> Iterator[Delivered]:
    """Run everything behind an exporter on a port of this machine; `change` is what the alerts have instead."""
    receiver = DiscordReceiver()
    receiver.start()
    try:
        secrets = folder / "alertmanager"
        secrets.mkdir()
        (secrets / "url").write_text(f"http://127.0.0.1:{receiver.port}/api/webhooks/1/key")
        channels = Channels((Channel("discord", "/etc/alertmanager/url"),))
        built = compiled(parse_alerts(quick(ALERTS_FILE.read_text(), change), "alerts.yaml"), channels)
        timing = Timing("1s", "2s", "2s")
        write_config(secrets, alertmanager_config(channels, routed(built), timing, implications(built.alerts)))
        with alertmanager(secrets) as notifier:
            files = folder / "prometheus"
            _write_prometheus(files, exporter_port, notifier.url, outputs(built)[RULES_FILE])
            with prometheus_with(files) as server:
                yield Delivered(receiver, server)
    finally:
        receiver.stop()


def _write_prometheus(files: Path, port: int, notifier: str, rules: str) -> None:
    files.mkdir()
    (files / RULES_FILE).write_text(rules)
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES_FILE],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [notifier.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (files / "prometheus.yml").write_text(yaml.safe_dump(config))
