"""The tests of the rules are tested: every mutant of every generated rule must turn one of them red."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from threading import Lock
from typing import Any

import yaml

from alert_rules.promql import selectors
from tests.alerts.equivalent import EQUIVALENT
from tests.alerts.mutations import Mutant, Rule, identity, mutants
from tests.alerts.promtool import Promtool, promtool
from tests.alerts.scenario import Scenario
from tests.alerts.write import EVALUATION_INTERVAL, FOLDER, file_text, themes

GENERATED = FOLDER.parent / "generated" / "rules.yml"


@dataclass(frozen=True)
class Case:
    """A scenario and the alerts and records that it looks at."""

    scenario: Scenario
    file: Path
    looks: frozenset[str]


class Rules:
    """The generated rules, and which of them an alert needs."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self.all: list[Rule] = [rule for group in groups for rule in group["rules"]]
        self._needs: Mapping[str, set[str]] = {
            rule["record"]: {s.name for s in selectors(rule["expr"]) if s.name} - {rule["record"]}
            for rule in self.all
            if "record" in rule
        }

    def of(self, names: Iterable[str]) -> list[Rule]:
        """The rules of these names and all that they rest on, in order."""
        wanted = set(names)
        reach: set[str] = set()
        for rule in self.all:
            if _name(rule) in wanted:
                reach |= {_name(rule), *self._records(rule)}
        return [rule for rule in self.all if _name(rule) in reach]

    def resting_on(self, rule: Rule) -> set[str]:
        """The alerts and records that a rule is part of, with its own."""
        name = _name(rule)
        return {name} | {_name(r) for r in self.all if name in self._records(r)}

    def _records(self, rule: Rule) -> set[str]:
        found: set[str] = set()
        texts = [rule["expr"], *rule.get("annotations", {}).values()]
        todo = [name for name in self._needs if any(name in text for text in texts)]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += [needed for needed in self._needs[name] if needed in self._needs]
        return found


def _name(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


class Hunt:
    """Runs mutants against scenarios; those that have caught most come first."""

    def __init__(self, tool: Promtool, folder: Path, rules: Rules, cases: list[Case]) -> None:
        self._tool, self._folder, self._rules, self._cases = tool, folder, rules, cases
        self._caught: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def catches(self, mutant: Mutant) -> bool:
        """Whether a scenario turns red."""
        original = next(rule for rule in self._rules.all if identity(rule) == mutant.of)
        concerned = self._rules.resting_on(original)
        cases = [case for case in self._cases if case.looks & concerned]
        # what looks at the rule itself, then what has caught most of its mutants, then the shortest
        cases.sort(
            key=lambda case: (
                _name(original) not in case.looks,
                -self._caught[mutant.of, case.scenario.does],
                case.scenario.length,
            )
        )
        return any(self._fails(mutant, case) for case in cases)

    def _fails(self, mutant: Mutant, case: Case) -> bool:
        folder = self._folder / f"{abs(hash((str(mutant), case.scenario.does)))}"
        folder.mkdir()
        changed = [mutant.rule if identity(rule) == mutant.of else rule for rule in self._rules.of(case.looks)]
        written = {"groups": [{"name": "ai-operations", "rules": changed}]}
        (folder / "rules.yml").write_text(yaml.dump(written, Dumper=yaml.CSafeDumper, sort_keys=False))
        code, said = self._tool.run("test", "rules", str(self._linked(folder, case)))
        rmtree(folder)
        assert code == 0 or "FAILED" in said, said
        if code:
            with self._lock:
                self._caught[mutant.of, case.scenario.does] += 1
        return code != 0

    def _linked(self, folder: Path, case: Case) -> Path:
        target = folder / case.file.name
        target.symlink_to(case.file)
        return target


def _cases(folder: Path) -> list[Case]:
    found = []
    for theme, scenarios in themes().items():
        for number, scenario in enumerate(scenarios):
            file = folder / f"{theme}-{number}.yml"
            file.write_text(file_text([scenario], "rules.yml"))
            written = scenario.written()
            alerts = {look["alertname"] for look in written.get("alert_rule_test", ())}
            records = {look["expr"] for look in written.get("promql_expr_test", ())}
            found.append(Case(scenario, file, frozenset(alerts | records)))
    return found


def test_every_mutant_is_caught(tmp_path: Path, tell: Callable[[str], None]) -> None:
    rules = Rules(yaml.safe_load(GENERATED.read_text())["groups"])
    every = [mutant for rule in rules.all for mutant in mutants(rule)]
    hunt = Hunt(promtool(), tmp_path, rules, _cases(tmp_path))
    excused = {str(mutant) for mutant in every if str(mutant) in EQUIVALENT}
    hunted = [mutant for mutant in every if str(mutant) not in excused]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = list(pool.map(hunt.catches, hunted))
    survivors = [str(mutant) for mutant, was in zip(hunted, caught, strict=True) if not was]
    tell(f"{len(every)} mutants of {len(rules.all)} rules, {sum(caught)} caught, {len(excused)} equivalent")
    assert not survivors, "\n".join(survivors)
    assert not EQUIVALENT.keys() - excused, "no such mutants any more"
    assert EVALUATION_INTERVAL == "1m"
