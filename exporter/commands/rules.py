"""`rules`: alerts, compiled to Prometheus rules and Alertmanager's routing."""

import argparse
import os

from alert_rules.command import add_commands
from alert_rules.loaded.servers import Servers
from exporter.verify.endpoints import endpoints_from
from exporter.verify.web import Part


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands and their options."""
    add_commands(parser, _servers)


def run(arguments: argparse.Namespace) -> int:
    """Run a subcommand; returns its exit code. Raises `UserError`."""
    code: int = arguments.run(arguments)
    return code


def _servers(prometheus: str | None, alertmanager: str | None) -> Servers:
    """Where rules are loaded: by the options, or else by the environment; an empty URL means none."""
    endpoints = endpoints_from(
        {"exporter": "", "grafana": "", "prometheus": prometheus, "alertmanager": alertmanager},
        {name: os.environ[name] for name in ("PROMETHEUS_URL", "ALERTMANAGER_URL") if name in os.environ},
    )
    return Servers(*(Part(url) if url else None for url in (endpoints.prometheus, endpoints.alertmanager)))
