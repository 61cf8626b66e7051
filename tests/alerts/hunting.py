"""Hunts mutants: runs scenarios against many mutants of a rule at once, each under names of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alert_rules.promql import selectors
from tests.alerts.mutations import Mutant, Rule, identity
from tests.alerts.promtool import Promtool
from tests.alerts.scenario import Scenario
from tests.alerts.write import content, themes, yaml_text

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


def cases() -> list[Case]:
    """Every scenario."""
    return [case_of(scenario) for scenarios in themes().values() for scenario in scenarios]


def case_of(scenario: Scenario) -> Case:
    """One scenario."""
    written = scenario.written()
    alerts = {look["alertname"] for look in written.get("alert_rule_test", ())}
    records = {look["expr"] for look in written.get("promql_expr_test", ())}
    return Case(scenario, written, frozenset(alerts | records))


class Hunt:
    """Runs mutants against scenarios."""

    def __init__(self, tool: Promtool, rules: Rules, every: Sequence[Case]) -> None:
        self._tool, self._rules, self._cases = tool, rules, every

    def survivors(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Those of one rule that no scenario tells from it."""
        if not mutants:
            return []
        original = next(rule for rule in self._rules.all if identity(rule) == mutants[0].of)
        concerned = self._rules.resting_on(original)
        alone = [mutant for mutant in mutants if _sees_other_alerts(mutant)]
        batches = [[mutant for mutant in mutants if mutant not in alone], *([mutant] for mutant in alone)]
        left: list[Mutant] = []
        for batch in batches:
            alive = batch
            for case in self._of_interest(original, concerned):
                if not alive:
                    break
                alive = self._alive(alive, original, concerned, case)
            left += alive
        return left

    def _of_interest(self, original: Rule, concerned: set[str]) -> list[Case]:
        """What looks at the rule itself, then the shortest."""
        found = [case for case in self._cases if case.looks & concerned]
        found.sort(key=lambda case: (name_of(original) not in case.looks, case.scenario.length // case.scenario.step))
        return found

    def _alive(self, mutants: list[Mutant], original: Rule, concerned: set[str], case: Case) -> list[Mutant]:
        """Those that pass the scenario. Where a rule cannot be evaluated promtool ends: the rest is run again."""
        alive = mutants
        while alive:
            code, said = self._run(alive, original, concerned, case)
            if code == 0:
                return alive
            caught = {int(number) for number in _MARK.findall(said)}
            assert caught, said
            alive = [mutant for number, mutant in enumerate(alive) if number not in caught]
            if "err:" not in said:
                return alive
        return alive

    def _run(self, mutants: list[Mutant], original: Rule, concerned: set[str], case: Case) -> tuple[int, str]:
        rules: list[Rule] = []
        copies = [_Copy(number, concerned) for number in range(len(mutants))]
        for rule in self._rules.of(case.looks):
            if name_of(rule) not in concerned:
                rules.append(rule)
                continue
            for mutant, copy in zip(mutants, copies, strict=True):
                rules.append(copy.rule(mutant.rule if rule is original else rule))
        groups = {"groups": [{"name": "ai-operations", "rules": rules}]}
        tests = content([_looked_at(case.written, copies)], "rules.yml")
        with TemporaryDirectory() as folder:
            for name, written in (("rules.yml", groups), ("tests.yml", tests)):
                (Path(folder) / name).write_text(yaml_text(written))
            return self._tool.run("test", "rules", f"{folder}/tests.yml")


class _Copy:
    """Renames alerts and records, so that several mutants and what rests on them may stand side by side."""

    def __init__(self, number: int, names: set[str]) -> None:
        self.names, self._mark = names, f"__m{number}"
        words = "|".join(map(re.escape, names))
        self._words = re.compile(r"[\w:]+")
        self._alerts = re.compile(rf'(alertname(?:=~?|!=|!~)"(?:{words}))"')

    def rule(self, rule: Rule) -> Rule:
        """The rule under its new name."""
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
