"""`verify`: whether the running parts deliver a row of the log as a message."""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

from alert_rules.command import FOLDER
from alert_rules.loaded.differences import Built
from alert_rules.model.errors import RulesError
from alert_rules.output.building import Sources, compile_sources, routing
from exporter.commands.options import add_report, configuration
from exporter.config import ConfigError
from exporter.errors import UserError
from exporter.findings import Finding, report
from exporter.subcommands import path_option
from exporter.verify.built import NO_FILES, not_built
from exporter.verify.endpoints import DEFAULTS, endpoints_from, variable
from exporter.verify.run import run as run_checks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `verify`."""
    add_report(parser)
    for part in DEFAULTS:
        default = "none" if part == "grafana" else "the port of docker-compose.yml"
        what = f"the address of {part.capitalize()}" if part != "exporter" else "the address of the exporter"
        parser.add_argument(
            f"--{part}-url", metavar="URL", help=f"{what} (default: ${part.upper()}_URL, or else {default})"
        )
    for name in ("alerts", "channels"):
        what = f"what should be loaded (default: {FOLDER / name}.yaml, if it exists)"
        parser.add_argument(f"--{name}", type=path_option, metavar="FILE", help=what)
    parser.add_argument("--send-test-alert", action="store_true", help="also send a test message to each channel")


def run(arguments: argparse.Namespace) -> int:
    """Print each finding; returns 1 if one of them is a failure, else 0. Raises `UserError`."""
    config = configuration(arguments)
    endpoints = endpoints_from({part: getattr(arguments, f"{part}_url") for part in DEFAULTS}, os.environ)
    for part, url in asdict(endpoints).items():
        if part in DEFAULTS and not url and part != "grafana":
            raise ConfigError(f"--{part}-url or ${variable(part)}: empty — write http://host:port")
    loaded = built(arguments.alerts, arguments.channels)
    if isinstance(loaded, Finding) and (arguments.alerts or arguments.channels):
        # who names a file wants to know that it cannot be used, whether Prometheus answers or not
        raise UserError(f"{loaded.detail} — {loaded.hint}")
    findings = run_checks(config, os.environ, endpoints, test_alert=arguments.send_test_alert, built=loaded)
    return report(findings, sys.stdout, as_json=arguments.json)


def built(alerts: Path | None, channels: Path | None) -> Built | Finding:
    """What the files build, or the finding that they do not exist or cannot be built."""
    default = FOLDER / "alerts.yaml"
    if alerts is None and not default.exists():
        return NO_FILES
    sources = Sources(alerts or default, channels or (alerts or default).with_name("channels.yaml"))
    try:
        compiled = compile_sources(sources)
    except RulesError as error:
        return not_built(error.problems[0], len(error.problems) - 1)
    return Built(compiled.groups, routing(compiled))
