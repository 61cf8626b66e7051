"""Ask the running Prometheus and Alertmanager, and find out which alerts Prometheus has loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from alert_rules.loaded.differences import NOT_LOADED, Built

UNANSWERED = (OSError, KeyError, TypeError, ValueError, AttributeError)
"""What is raised where a server does not answer, or another program answers in its place."""


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
    """The servers that load the rules; None for one without an address."""

    prometheus: Server | None
    alertmanager: Server | None


@dataclass(frozen=True)
class RuleState:
    """Whether Prometheus has loaded an alert as it is built, None if that is not known; and what is different."""

    loaded: bool | None
    difference: str = ""


def rule_states(built: Built, server: Server | None) -> Callable[[str], RuleState]:
    """A function from an alert's name to its state in Prometheus; without an answer, no state is known."""
    if server is None:
        return lambda _: RuleState(None)
    try:
        groups = rule_groups(server)
        different = {each.name: each.found for each in built.rule_differences(groups)}
        loaded = {rule["name"] for group in groups for rule in group["rules"]}
    except UNANSWERED:
        return lambda _: RuleState(None)

    def state(name: str) -> RuleState:
        if name not in loaded:
            return RuleState(False, different.get(name, NOT_LOADED))
        return RuleState(name not in different, different.get(name, ""))

    return state


def rule_groups(server: Server) -> Sequence[Mapping[str, Any]]:
    """The rule groups that Prometheus lists. Raises `OSError`, `KeyError` or `TypeError` where it does not."""
    groups: Sequence[Mapping[str, Any]] = server.json("/api/v1/rules")["data"]["groups"]
    return groups
