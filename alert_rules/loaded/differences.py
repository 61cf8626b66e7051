"""Compare what running servers have loaded with what the sources build, and name each difference. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from alert_rules.model.conventions import BUILTIN_GROUP, RULES_GROUP
from alert_rules.model.rules import Rule, RuleGroup
from alert_rules.quantities.promql import shape

_GROUPS = (RULES_GROUP, BUILTIN_GROUP)
_TIMES = ("group_wait", "group_interval", "repeat_interval")


@dataclass(frozen=True, order=True)
class Difference:
    """What differs for one name: an alert, a recording, a route or a receiver."""

    name: str
    found: str

    def __str__(self) -> str:
        return f"{self.name}: {self.found}"


NOT_LOADED = "not loaded"
NO_RULES = Difference("rules.yml", "not loaded: Prometheus has none of its groups")


@dataclass(frozen=True)
class Built:
    """What is built: rules, and Alertmanager's configuration."""

    groups: tuple[RuleGroup, ...]
    config: Mapping[str, Any]

    def rule_differences(self, groups: Iterable[Mapping[str, Any]]) -> list[Difference]:
        """The differences from the groups that /api/v1/rules lists; see `rule_differences`."""
        return rule_differences(self.groups, groups)

    def config_differences(self, text: str) -> list[Difference]:
        """The differences from what /api/v2/status shows; see `config_differences`."""
        return config_differences(self.config, text)


class _Facts(NamedTuple):
    """A rule, however it was printed; rules of one name are paired in the order of their labels."""

    labels: Sequence[tuple[str, str]]
    expression: Sequence[str]
    for_: float
    keep_firing_for: float
    texts: Sequence[tuple[str, str]]


def rule_differences(built: Iterable[RuleGroup], groups: Iterable[Mapping[str, Any]]) -> list[Difference]:
    """How the groups that /api/v1/rules lists differ from those that are built; groups of others do not count.

    Raises `KeyError` or `TypeError` where they have another form.
    """
    wanted: dict[str, list[_Facts]] = {}
    for rule in (rule for group in built for rule in group.rules):
        wanted.setdefault(rule.name, []).append(_of_rule(rule))
    listed = [group for group in groups if group["name"] in _GROUPS]
    if not listed:
        return [NO_RULES]
    found: dict[str, list[_Facts]] = {}
    for loaded in (rule for group in listed for rule in group["rules"]):
        found.setdefault(loaded["name"], []).append(_of_loaded(loaded))
    names = dict.fromkeys([*wanted, *found])
    changed = [Difference(name, text) for name in names if (text := _changed(wanted.get(name), found.get(name)))]
    return [*_twice(listed), *changed]


def _twice(listed: Iterable[Mapping[str, Any]]) -> Iterator[Difference]:
    for name, count in Counter(group["name"] for group in listed).items():
        if count > 1:
            yield Difference(f"group {name}", f"loaded from {count} files: each alert is there {count} times")


def _changed(wanted: list[_Facts] | None, found: list[_Facts] | None) -> str:
    if found is None:
        return NOT_LOADED
    if wanted is None:
        return "loaded, and not built from alerts.yaml"
    if Counter(wanted) == Counter(found):
        return ""
    if len(wanted) != len(found):
        return f"{len(found)} rules are loaded, {len(wanted)} built"
    different = {
        f"different {part.rstrip('_')}"
        for one, other in zip(sorted(wanted), sorted(found), strict=True)
        for part in _Facts._fields
        if getattr(one, part) != getattr(other, part)
    }
    return ", ".join(sorted(different))


def _of_rule(rule: Rule) -> _Facts:
    expression = tuple(shape(rule.expr))
    return _Facts(_pairs(rule.labels), expression, rule.for_, rule.keep_firing_for, _pairs(rule.annotations))


def _of_loaded(rule: Mapping[str, Any]) -> _Facts:
    try:
        expression = tuple(shape(rule["query"]))
    except ValueError:
        expression = (str(rule["query"]),)
    return _Facts(
        _pairs(rule.get("labels") or {}),
        expression,
        float(rule.get("duration", 0)),
        float(rule.get("keepFiringFor", 0)),
        _pairs(rule.get("annotations") or {}),
    )


def _pairs(texts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(texts.items()))


def config_differences(built: Mapping[str, Any], text: str) -> list[Difference]:
    """How Alertmanager's configuration, as /api/v2/status shows it, differs from the one that is built.

    It shows every default and no secret, and the templates by name only: what cannot be seen is not compared. What a
    setting holds is not repeated. Raises `yaml.YAMLError`, `KeyError`, `TypeError`, `ValueError` or `AttributeError`
    where the text is no configuration.
    """
    wanted, found = _config_facts(built), _config_facts(yaml.safe_load(text))
    return [
        Difference(name, NOT_LOADED if name not in found else "not built from alerts.yaml")
        if name not in found or name not in wanted
        else Difference(name, f"different {_settings(wanted[name], found[name])}")
        for name in dict.fromkeys([*wanted, *found])
        if wanted.get(name) != found.get(name)
    ]


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return ", ".join(sorted(key for key in {*one, *other} if one.get(key) != other.get(key)))


def _config_facts(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the configuration settles, by a name for each thing."""
    facts = dict(_route_facts(config["route"], ""))
    for receiver in config["receivers"]:
        facts[f"receiver {receiver['name']}"] = _receiver_facts(receiver)
    rules = Counter(_inhibition(rule) for rule in config.get("inhibit_rules") or ())
    facts |= {f"inhibit rule {rule}": {"number": count} for rule, count in rules.items()}
    facts["templates"] = {"names": sorted(PurePosixPath(path).name for path in config.get("templates") or ())}
    return facts


def _route_facts(route: Mapping[str, Any], above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    matchers = ", ".join(route.get("matchers") or ())
    name = f"{above}, {matchers}" if above and above != "route" else f"route {matchers}".strip()
    inner = route.get("routes") or ()
    own = {key: value for key, value in route.items() if value and key not in ("routes", "matchers")}
    for key in _TIMES:
        if key in route:
            own[key] = _seconds(str(route[key]))
    order = [", ".join(each.get("matchers") or ()) for each in inner]
    yield name, {**own, **({"order of routes": order} if order else {})}
    for each in inner:
        yield from _route_facts(each, name)


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def _seconds(text: str) -> float:
    """A duration as Alertmanager writes it, `1d` or `1h30m`."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


_SEEN = ("webhook_url_file", "url_file", "username", "title", "message", "send_resolved")


def _receiver_facts(receiver: Mapping[str, Any]) -> dict[str, Any]:
    """Each kind of integration, with what the build sets of it; an integration's own defaults are not compared."""
    return {
        kind: [{key: each[key] for key in _SEEN if each.get(key) not in (None, "")} for each in integrations]
        for kind, integrations in receiver.items()
        if kind != "name" and integrations
    }


def _inhibition(rule: Mapping[str, Any]) -> str:
    source, target = (" ".join(sorted(rule.get(f"{side}_matchers") or ())) for side in ("source", "target"))
    return f"{source} over {target} by {', '.join(sorted(rule.get('equal') or ()))}"
