"""Compile both source files, and write all generated files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alert_rules.compiler.compiling import compile_alerts
from alert_rules.compiler.implications import implications
from alert_rules.language.channels import Channels, load_channels
from alert_rules.language.loading import Alerts, load_alerts
from alert_rules.model.alerts import Alert
from alert_rules.model.errors import RulesError
from alert_rules.model.rules import RuleGroup
from alert_rules.output.alertmanager import (
    TEMPLATE_FILE,
    RoutedAlert,
    alertmanager_config,
    config_text,
    discord_template,
    levels_of,
)
from alert_rules.output.files import replace_file
from alert_rules.output.rules import builtin_group, rules_group
from alert_rules.output.writer import rules_text

RULES_FILE = "rules.yml"
ALERTMANAGER_FILE = "alertmanager.yml"


@dataclass(frozen=True)
class Sources:
    """The paths of the files that people write."""

    alerts: Path
    channels: Path


@dataclass(frozen=True)
class Compiled:
    """Both source files, compiled."""

    alerts: tuple[Alert, ...]
    groups: tuple[RuleGroup, ...]
    channels: Channels


def compile_sources(sources: Sources) -> Compiled:
    """Read and compile both files. Raises `RulesError` with every error in them."""
    written = load_alerts(sources.alerts)
    return compiled(written, load_channels(sources.channels))


def compiled(written: Alerts, channels: Channels) -> Compiled:
    """Compile alerts that have been read already."""
    alerts = compile_alerts(written, channels.names)
    named = {channel for alert in alerts for channel in alert.channels}
    enabled = [alert for alert in alerts if not alert.disabled]
    groups = (rules_group(enabled, written.links), builtin_group(named, written.links))
    return Compiled(alerts, tuple(group for group in groups if group.rules), channels)


def routed(built: Compiled) -> list[RoutedAlert]:
    """What Alertmanager's routing must know of the alerts."""
    return [level for alert in built.alerts if not alert.disabled for level in levels_of(alert)]


def routing(built: Compiled) -> dict[str, Any]:
    """Alertmanager's configuration."""
    return alertmanager_config(built.channels, routed(built), implied=implications(built.alerts))


def outputs(built: Compiled) -> dict[str, str]:
    """The generated files by name: the same texts for the same sources."""
    return {
        RULES_FILE: rules_text(built.groups),
        ALERTMANAGER_FILE: config_text(routing(built)),
        TEMPLATE_FILE: discord_template(),
    }


def write(folder: Path, texts: dict[str, str]) -> None:
    """Write the generated files, each whole or not at all. Raises `RulesError` where they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_file(folder / name, text.encode(), 0o644)
    except OSError as error:
        raise RulesError(
            [f"{error.filename or folder}: {error.strerror} — name a folder that can be written, with --output DIR"]
        ) from None


def stale(folder: Path, texts: dict[str, str]) -> list[str]:
    """The names of generated files that differ from what the sources produce now."""
    return [name for name, text in texts.items() if not _holds(folder / name, text)]


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
