"""Compare what the servers have loaded with what alerts.yaml builds."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import yaml

from exporter.alerting import FAILURES, HEARTBEAT
from exporter.findings import Finding, Level, fail, ok, warn
from exporter.humanize import listing

RULES_AS_BUILT, ROUTING_AS_BUILT = "rules as built", "routing as built"

_RULES = (
    "run `rules build`, then reload Prometheus: docker compose kill --signal SIGHUP prometheus\n"
    "if that changes nothing, check that rule_files has the rules.yml that was built, and no older one"
)
_ROUTING = (
    "run `rules build`, then reload Alertmanager: docker compose kill --signal SIGHUP alertmanager\n"
    "if that changes nothing, check that Alertmanager runs with the alertmanager.yml that was built"
)

_OWN = "keep its routes and receivers as alert_rules/generated/alertmanager.yml shows them"


class Built(Protocol):
    """What the files build. Each method returns the differences of a server, one text for each."""

    def rule_differences(self, groups: Sequence[Mapping[str, Any]]) -> Sequence[object]:
        """Against the groups that Prometheus' /api/v1/rules lists."""

    def config_differences(self, text: str) -> Sequence[object]:
        """Against the configuration that Alertmanager's /api/v2/status shows."""


NO_FILES = Finding(RULES_AS_BUILT, Level.SKIPPED, "skipped: no alerts.yaml here (set its path with --alerts)")
"""The finding that there is no alerts.yaml in the working directory."""


def not_built(problem: str, more: int) -> Finding:
    """The finding that the files do not compile: the first problem, and how many more there are."""
    found = f"{problem} and {more} more" if more else problem
    return fail(RULES_AS_BUILT, found, "fix the files: `rules validate` lists all problems")


def evaluate_rules(built: Built, groups: Sequence[Mapping[str, Any]]) -> Finding:
    """Evaluate whether Prometheus has loaded the rules that the files build."""
    differences = built.rule_differences(groups)
    if differences:
        return fail(RULES_AS_BUILT, _listed(differences), _RULES)
    return ok(RULES_AS_BUILT, "Prometheus has loaded what alerts.yaml builds")


def evaluate_routing(built: Built, text: str) -> Finding:
    """Evaluate whether Alertmanager has loaded the configuration that the files build."""
    try:
        if not {str(each["name"]) for each in yaml.safe_load(text)["receivers"]} >= {FAILURES, HEARTBEAT}:
            return warn(ROUTING_AS_BUILT, "Alertmanager has a configuration of your own: not compared", _OWN)
        differences = built.config_differences(text)
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        return fail(ROUTING_AS_BUILT, "Alertmanager's configuration cannot be parsed", _ROUTING)
    if differences:
        return fail(ROUTING_AS_BUILT, _listed(differences), _ROUTING)
    return ok(ROUTING_AS_BUILT, "Alertmanager has loaded what alerts.yaml and channels.yaml build")


def _listed(differences: Sequence[object]) -> str:
    return listing([str(each) for each in differences], most=6)
