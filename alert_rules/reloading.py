"""Bringing what was built into the running servers, and saying truly whether they have loaded it."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from alert_rules.loaded import Built, Difference

POLL_SECONDS = 0.25
COMMAND_SECONDS = 60.0
"""How long a reload command may take."""


class Page(Protocol):
    """An answer over HTTP."""

    @property
    def status(self) -> int:
        """Its status."""

    @property
    def text(self) -> str:
        """Its text."""


class Server(Protocol):
    """Prometheus or Alertmanager at its address; `OSError` where it does not answer, or not as it should."""

    @property
    def url(self) -> str:
        """The address, without a login."""

    def json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path."""

    def page(self, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Page:
        """What is at a path, whatever its status; with a body it is a POST."""


@dataclass(frozen=True)
class Servers:
    """Where rules are to be loaded; None for one that nobody has named."""

    prometheus: Server | None
    alertmanager: Server | None


@dataclass(frozen=True)
class Reload:
    """How to reload: `command` by words, or empty to ask the servers themselves. `seconds` to wait at most."""

    command: tuple[str, ...] = ()
    seconds: float = 15.0


@dataclass(frozen=True)
class _Place:
    """One of the servers, and how to look whether it has loaded what was built."""

    name: str
    server: Server | None
    differences: Callable[[Server], Sequence[Difference]]
    service: str

    def look(self) -> str:
        """What it has not loaded, or why that is not known; empty where it has loaded everything."""
        if self.server is None:
            return f"{self.name}: no address — name it with --{self.service}-url"
        try:
            found = self.differences(self.server)
        except OSError as error:
            return f"{self.name}: {error}"
        except (KeyError, TypeError, ValueError, AttributeError):
            return f"{self.name}: {self.server.url} answers as another program does"
        if not found:
            return ""
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{self.name} at {self.server.url} does not run what was built: {found[0]}{more}"


def activate(built: Built, names: Sequence[str], servers: Servers, how: Reload) -> list[str]:
    """Have the servers load what was built; what they have not loaded then and how to bring it about, or nothing.

    Of Prometheus' rules the alerts of the `names` count, since others' changes are not this command's; Alertmanager's
    configuration counts as a whole.
    """
    places = _places(built, names, servers)
    waiting = [place for place in places if place.look()]
    if not waiting:
        return []
    if how.command:
        failed = _by_command(how.command)
        reloaded = not failed
    else:
        answers = [_ask(place) for place in waiting]
        failed = [answer for answer in answers if answer]
        reloaded = None in answers
    missing = _wait(waiting, how.seconds if reloaded else 0)
    return [*missing.values(), *failed, *(_fix(place) for place in missing)] if missing else []


@dataclass(frozen=True)
class RuleState:
    """Whether Prometheus has loaded an alert as it is built, None where it cannot tell; and what is different."""

    loaded: bool | None
    difference: str = ""


def rule_states(built: Built, server: Server | None) -> Callable[[str], RuleState]:
    """By an alert's name, its state in Prometheus."""
    try:
        groups = [] if server is None else _groups(server)
        different = {each.name: each.found for each in built.rule_differences(groups)}
        loaded = {rule["name"] for group in groups for rule in group["rules"]}
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        server = None

    def state(name: str) -> RuleState:
        if server is None:
            return RuleState(None)
        return RuleState(
            name in loaded and name not in different, different.get(name, "" if name in loaded else "not loaded")
        )

    return state


def _groups(server: Server) -> Sequence[Mapping[str, Any]]:
    groups: Sequence[Mapping[str, Any]] = server.json("/api/v1/rules")["data"]["groups"]
    return groups


def _places(built: Built, names: Sequence[str], servers: Servers) -> list[_Place]:
    def of_rules(server: Server) -> list[Difference]:
        found = built.rule_differences(_groups(server))
        return [each for each in found if each.name in names or "not loaded: Prometheus" in each.found]

    def of_config(server: Server) -> list[Difference]:
        return built.config_differences(server.json("/api/v2/status")["config"]["original"])

    return [
        _Place("Prometheus", servers.prometheus, of_rules, "prometheus"),
        _Place("Alertmanager", servers.alertmanager, of_config, "alertmanager"),
    ]


def _ask(place: _Place) -> str | None:
    """Ask a server to reload itself: None where it did, else why it did not, or empty where that was said already."""
    if place.server is None:
        return ""
    try:
        page = place.server.page("/-/reload", body={})
    except OSError:
        return ""
    if page.status == 200:
        return None
    said = next((line.strip()[:200] for line in page.text.splitlines() if line.strip()), "nothing more")
    return f"{place.name} does not reload when asked ({page.status}): {said}"


def _by_command(command: tuple[str, ...]) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return [f"the reload command cannot be run: {type(error).__name__}"]
    if done.returncode:
        return [f"the reload command ends with {done.returncode}"]
    return []


def _wait(places: Sequence[_Place], seconds: float) -> dict[_Place, str]:
    """Wait until all have loaded it; those that have not when time is up, with what they lack."""
    until = time.monotonic() + seconds
    while (missing := {place: text for place in places if (text := place.look())}) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return missing


def _fix(place: _Place) -> str:
    service = place.service
    return (
        f"reload {place.name}: docker compose kill --signal SIGHUP {service}, or systemctl reload {service}; "
        "then `verify` says whether it has worked"
    )
