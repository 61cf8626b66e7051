"""Scenarios as files of promtool tests. None of them is committed: each test writes those that it runs."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import yaml

from tests.alerts import cases
from tests.support import ROOT
from tests.support.scenario import Scenario

GENERATED = ROOT / "alert_rules" / "generated" / "rules.yml"
"""The rules that are committed."""

EVALUATION_INTERVAL = "1m"


def groups_of(rules: str) -> list[dict[str, Any]]:
    """The groups of a file of rules: read by libyaml, which takes a tenth of the time."""
    groups: list[dict[str, Any]] = yaml.load(rules, yaml.CSafeLoader)["groups"]
    return groups


def generated_groups() -> list[dict[str, Any]]:
    """The groups of the rules that are committed: the caller's own, to change."""
    return groups_of(GENERATED.read_text(encoding="utf-8"))


class _Dumper(yaml.CSafeDumper):
    """Writes what several tests share in each of them: promtool takes few aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def themes() -> dict[str, list[Scenario]]:
    """The scenarios of each theme that has some."""
    return {name: scenarios(name) for name in theme_names()}


def theme_names() -> list[str]:
    """The modules that make scenarios: found without making any."""
    names = [info.name for info in iter_modules(cases.__path__)]
    return [name for name in names if hasattr(import_module(f"{cases.__name__}.{name}"), "scenarios")]


def scenarios(theme: str) -> list[Scenario]:
    """The scenarios of one theme."""
    return list(import_module(f"{cases.__name__}.{theme}").scenarios())


def content(tests: Sequence[Mapping[str, Any]], rules: str) -> dict[str, Any]:
    """A file of promtool tests on the rules in a file that lies beside it, or at an absolute path."""
    return {"rule_files": [rules], "evaluation_interval": EVALUATION_INTERVAL, "tests": list(tests)}


def yaml_text(written: Mapping[str, Any]) -> str:
    """Rules or tests as promtool reads them."""
    return yaml.dump(written, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def file_text(scenarios: Sequence[Scenario], rules: str) -> str:
    """The file of some scenarios."""
    return yaml_text(content([scenario.written() for scenario in scenarios], rules))
