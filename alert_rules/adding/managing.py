"""`rules remove`, `disable` and `enable`: one alert of alerts.yaml, by its id or its name."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from alert_rules.adding.changing import Change, Places, change
from alert_rules.adding.editing import remove_alert, set_disabled
from alert_rules.adding.secrets import read_secret, secret_path
from alert_rules.language.channels import Channels
from alert_rules.model.conventions import alert_id
from alert_rules.model.errors import RulesError
from exporter.yaml_source import read_document


def remove(wanted: str, places: Places, builtin: Collection[str], build: Callable[[], None]) -> str:
    """Remove an alert, and build; returns its name.

    Raises `RulesError` where that is not possible; then nothing is changed.
    """
    return _edit(wanted, places, builtin, build, remove_alert, "removed")


def switch(wanted: str, places: Places, builtin: Collection[str], build: Callable[[], None], *, disabled: bool) -> str:
    """Disable or enable an alert, and build; one that is so already stays so. Returns and raises like `remove`."""
    done = "disabled" if disabled else "enabled"
    return _edit(wanted, places, builtin, build, partial(set_disabled, disabled=disabled), done)


def _edit(
    wanted: str,
    places: Places,
    builtin: Collection[str],
    build: Callable[[], None],
    edit: Callable[[bytes, str, str], tuple[bytes, str]],
    done: str,
) -> str:
    for name in builtin:
        if wanted in (name, alert_id(name)):
            problem = f"{name} is a built-in alert, which watches the monitoring itself: it cannot be {done}"
            raise RulesError([f"{problem} — silence it in Alertmanager, or route it elsewhere"])

    def plan(before: bytes) -> Change:
        after, name = edit(before, wanted, str(places.alerts))
        return Change(name, after)

    return change(places, plan, build, f"the alert was not {done}: all files are as they were").name


def unused_secrets(places: Places, channels: Channels) -> list[tuple[str, Path]]:
    """The channels that no alert of alerts.yaml names, each with the file that still holds its webhook's URL."""
    data = read_document(places.alerts.read_bytes()).data
    used: set[str] = set()
    for alert in data["alerts"]:
        named = alert.get("channel", ())
        used.update([named] if isinstance(named, str) else named)
    found = []
    for channel in channels.channels:
        try:
            path = secret_path(places.secrets, channel)
            if channel.name not in used and read_secret(path) is not None:
                found.append((channel.name, path))
        except RulesError:
            continue
    return found
