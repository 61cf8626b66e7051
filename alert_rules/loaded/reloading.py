"""Make the running servers load what was built, and find out whether they have."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alert_rules.loaded.differences import NO_RULES, Built, Difference
from alert_rules.loaded.servers import Server, Servers, rule_groups

POLL_SECONDS = 0.25
COMMAND_SECONDS = 60.0
"""How long a reload command may take."""


@dataclass(frozen=True)
class Reload:
    """How to reload: `command` as separate words, or empty to ask the servers themselves; wait `seconds` at most."""

    command: tuple[str, ...] = ()
    seconds: float = 15.0


@dataclass(frozen=True)
class _Place:
    """One of the servers, and how to find out whether it has loaded what was built."""

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
            return f"{self.name}: {self.server.url} does not answer like {self.name}"
        if not found:
            return ""
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{self.name} at {self.server.url} does not run what was built: {found[0]}{more}"


def activate(built: Built, names: Sequence[str], servers: Servers, how: Reload) -> list[str]:
    """Have the servers load what was built. Returns lines on what they have not loaded and what to do, or none.

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


def _places(built: Built, names: Sequence[str], servers: Servers) -> list[_Place]:
    def of_rules(server: Server) -> list[Difference]:
        found = built.rule_differences(rule_groups(server))
        return [each for each in found if each.name in (*names, NO_RULES.name)]

    def of_config(server: Server) -> list[Difference]:
        return built.config_differences(server.json("/api/v2/status")["config"]["original"])

    return [
        _Place("Prometheus", servers.prometheus, of_rules, "prometheus"),
        _Place("Alertmanager", servers.alertmanager, of_config, "alertmanager"),
    ]


def _ask(place: _Place) -> str | None:
    """Ask a server to reload itself: None if it did, else why it did not; empty if `look` has already said why."""
    if place.server is None:
        return ""
    try:
        page = place.server.page("/-/reload", body={})
    except OSError:
        return ""
    if page.status == 200:
        return None
    answer = next((line.strip()[:200] for line in page.text.splitlines() if line.strip()), "no reason given")
    return f"{place.name} does not reload when asked ({page.status}): {answer}"


def _by_command(command: tuple[str, ...]) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return [f"the reload command cannot be run: {type(error).__name__}"]
    if done.returncode:
        return [f"the reload command failed with exit code {done.returncode}"]
    return []


def _wait(places: Sequence[_Place], seconds: float) -> dict[_Place, str]:
    """Wait `seconds` at most until all have loaded it. Returns those that have not, with what they lack."""
    until = time.monotonic() + seconds
    while (missing := {place: text for place in places if (text := place.look())}) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return missing


def _fix(place: _Place) -> str:
    service = place.service
    return (
        f"reload {place.name}: docker compose kill --signal SIGHUP {service}, or systemctl reload {service}; "
        "then run `verify` to check"
    )
