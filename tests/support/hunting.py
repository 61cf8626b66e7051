"""Hunts mutants: runs scenarios against many mutants of a rule at once, each under names of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alert_rules.quantities.promql import selectors
from tests.support.catching import Notes
from tests.support.catching import key as key_of
from tests.support.generate import content, themes, yaml_text
from tests.support.mutations import Mutant, Rule, identity
from tests.support.promtool import Promtool
from tests.support.scenario import Scenario

_MARK = re.compile(r"__m(\d+)\b")


@dataclass(frozen=True)
class Case:
    """A scenario, the test that is written of it, and the alerts and records that it looks at."""

    scenario: Scenario
    written: Mapping[str, Any]
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
        self._reach = {id(rule): self._records(rule) for rule in self.all}

    def of(self, names: Iterable[str]) -> list[Rule]:
        """The rules of these names and all that they rest on, in order."""
        wanted = set(names)
        reach: set[str] = set()
        for rule in self.all:
            if name_of(rule) in wanted:
                reach |= {name_of(rule), *self._reach[id(rule)]}
        return [rule for rule in self.all if name_of(rule) in reach]

    def resting_on(self, rule: Rule) -> set[str]:
        """The alerts and records that a rule is part of, with its own."""
        name = name_of(rule)
        return {name} | {name_of(r) for r in self.all if name in self._reach[id(r)]}

    def _records(self, rule: Rule) -> set[str]:
        found: set[str] = set()
        texts = [rule["expr"], *rule.get("annotations", {}).values()]
        words = {word for text in texts for word in re.findall(r"[\w:]+", text)}
        todo = [name for name in self._needs if name in words]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += [needed for needed in self._needs[name] if needed in self._needs]
        return found


def name_of(rule: Rule) -> str:
    """Its name as an alert or a record."""
    return str(rule.get("alert") or rule["record"])


def looks_of(test: Mapping[str, Any]) -> frozenset[str]:
    """The alerts and records that a test looks at."""
    alerts = {look["alertname"] for look in test.get("alert_rule_test", ())}
    return frozenset(alerts | {look["expr"] for look in test.get("promql_expr_test", ())})


def write_apart(tests: Iterable[Mapping[str, Any]], rules: Rules, folder: Path) -> list[Path]:
    """The files of some tests, each with those that look at the same, on copies of the rules that these need.

    The other rules would only take time.
    """
    together: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for test in tests:
        together.setdefault(looks_of(test), []).append(test)
    files = []
    for number, (looks, some) in enumerate(together.items()):
        needed = folder / f"rules-{number}.yml"
        needed.write_text(yaml_text({"groups": [{"name": "ai-operations", "rules": rules.of(looks)}]}))
        files.append(folder / f"tests-{number}.yml")
        files[-1].write_text(yaml_text(content(some, needed.name)))
    return files


@cache
def cases() -> tuple[Case, ...]:
    """Every scenario: made once in a process."""
    return tuple(case_of(scenario) for scenarios in themes().values() for scenario in scenarios)


def case_of(scenario: Scenario) -> Case:
    """One scenario."""
    written = scenario.written()
    return Case(scenario, written, looks_of(written))


class Hunt:
    """Runs mutants against scenarios: of each, all mutants that are still alive at once.

    `notes` say what has caught them before: that runs first. `caught` is what has caught them now.
    """

    def __init__(self, tool: Promtool, rules: Rules, every: Sequence[Case], notes: Notes | None = None) -> None:
        self._tool, self._rules, self._notes = tool, rules, notes or {}
        self.caught: list[tuple[Mutant, str]] = []
        # the shortest kill most mutants before the long ones run
        self._cases = sorted(every, key=lambda case: case.scenario.length // case.scenario.step)

    def survivors(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Those that no scenario tells from their rules."""
        originals = {identity(rule): rule for rule in self._rules.all}
        copies = [self._copy(number, mutant, originals[mutant.of]) for number, mutant in enumerate(mutants)]
        alone = [copy for copy in copies if _sees_other_alerts(copy.mutant)]
        batches = [[copy for copy in copies if copy not in alone], *([copy] for copy in alone)]
        return [copy.mutant for batch in batches for copy in self._left(batch)]

    def _copy(self, number: int, mutant: Mutant, original: Rule) -> "_Copy":
        return _Copy(number, mutant, original, self._rules.resting_on(original))

    def _left(self, alive: list["_Copy"]) -> list["_Copy"]:
        """Those that pass every scenario."""
        for order in range(3):
            for case in self._cases:
                met = [copy for copy in alive if case.looks & copy.names and self._order(copy, case) == order]
                if met:
                    caught = self._caught(met, case)
                    self.caught += [(copy.mutant, case.scenario.does) for copy in met if copy.number in caught]
                    alive = [copy for copy in alive if copy.number not in caught]
        return alive

    def _order(self, copy: "_Copy", case: Case) -> int:
        """When a mutant meets a scenario: first the one that is noted, then what looks at its rule itself."""
        if case.scenario.does in self._notes.get(key_of(copy.mutant), ()):
            return 0
        return 1 if copy.name_of_rule in case.looks else 2

    def _caught(self, alive: list["_Copy"], case: Case) -> set[int]:
        """The numbers of those that fail. Where a rule cannot be evaluated promtool ends: the rest is run again."""
        found: set[int] = set()
        while left := [copy for copy in alive if copy.number not in found]:
            code, said = self._run(left, case)
            if code == 0:
                break
            caught = {int(number) for number in _MARK.findall(said)}
            assert caught, said
            found |= caught
            if "err:" not in said:
                break
        return found

    def _run(self, copies: list["_Copy"], case: Case) -> tuple[int, str]:
        rules: list[Rule] = []
        for rule in self._rules.of(case.looks):
            concerned = [copy for copy in copies if name_of(rule) in copy.names]
            # as it is for the copies that do not rest on it
            if len(concerned) < len(copies):
                rules.append(rule)
            rules += [copy.rule(rule) for copy in concerned]
        groups = {"groups": [{"name": "ai-operations", "rules": rules}]}
        tests = content([_looked_at(case.written, copies)], "rules.yml")
        with TemporaryDirectory() as folder:
            for name, written in (("rules.yml", groups), ("tests.yml", tests)):
                (Path(folder) / name).write_text(yaml_text(written))
            return self._tool.run("test", "rules", f"{folder}/tests.yml")


class _Copy:
    """A mutant and what rests on it, under names of their own: several may stand side by side."""

    def __init__(self, number: int, mutant: Mutant, original: Rule, names: set[str]) -> None:
        self.number, self.mutant, self.names = number, mutant, names
        self.name_of_rule = name_of(original)
        self._original, self._mark = original, f"__m{number}"
        words = "|".join(map(re.escape, names))
        self._words = re.compile(r"[\w:]+")
        self._alerts = re.compile(rf'(alertname(?:=~?|!=|!~)"(?:{words}))"')

    def rule(self, rule: Rule) -> Rule:
        """A rule under its new name, and changed if it is the one."""
        rule = self.mutant.rule if rule is self._original else rule
        changed = {**rule, "expr": self.text(rule["expr"])}
        for key in ("alert", "record"):
            if key in rule:
                changed[key] = rule[key] + self._mark
        if "annotations" in rule:
            changed["annotations"] = {key: self.text(text) for key, text in rule["annotations"].items()}
        return changed

    def text(self, text: str) -> str:
        """An expression or a template."""
        # a record has a colon in its name, and no word of an annotation but it has one in its middle
        found = self._words.sub(lambda word: word[0] + self._mark if self._is_record(word[0]) else word[0], text)
        return self._alerts.sub(lambda match: f'{match[1]}{self._mark}"', found)

    def _is_record(self, word: str) -> bool:
        return ":" in word and word in self.names

    def name(self, name: str) -> str:
        """The name of an alert."""
        return name + self._mark if name in self.names else name


def _looked_at(written: Mapping[str, Any], copies: Sequence[_Copy]) -> dict[str, Any]:
    """A test that looks at every copy of what it looks at."""
    series = list(written["input_series"])
    for one in written["input_series"]:
        named = {copy.text(one["series"]): one["values"] for copy in copies} if "alertname" in one["series"] else {}
        series += [{"series": text, "values": values} for text, values in named.items() if text != one["series"]]
    found: dict[str, Any] = {**written, "input_series": series}
    if "alert_rule_test" in written:
        found["alert_rule_test"] = [
            {**look, "alertname": copy.name(look["alertname"])}
            for look in written["alert_rule_test"]
            for copy in copies
            if look["alertname"] in copy.names
        ]
    if "promql_expr_test" in written:
        found["promql_expr_test"] = [
            {
                **look,
                "expr": copy.text(look["expr"]),
                "exp_samples": [{**s, "labels": copy.text(s["labels"])} for s in look["exp_samples"]],
            }
            for look in written["promql_expr_test"]
            for copy in copies
            if look["expr"] in copy.names
        ]
    return found


def _sees_other_alerts(mutant: Mutant) -> bool:
    """Whether it may take the alerts of other copies for its own: one of its selectors names no single alert."""

    def names_one(selector: Any) -> bool:
        return any(
            matcher.name == "alertname"
            and (
                str(matcher.op) == "MatchOp.Equal" or (str(matcher.op) == "MatchOp.Re" and matcher.value.isidentifier())
            )
            for matcher in selector.matchers.matchers
        )

    return not all(names_one(selector) for selector in selectors(mutant.rule["expr"]) if selector.name == "ALERTS")
