"""The tests of the rules are tested: every mutant of every generated rule must turn one of them red.

A run hunts those that are new, and a tenth of those that have been caught before; `make soak` hunts all.

After a change of rules or scenarios, `python -m tests.alerts.test_mutations` notes what catches the mutants that are
new: the tests do not rest on these notes, but take longer without them.
"""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.alerts.cases.common import watched
from tests.alerts.cases.said import companion
from tests.alerts.equivalent import EQUIVALENT
from tests.support.catching import Notes, key, note, noted
from tests.support.generate import generated_groups, scenarios
from tests.support.hunting import Hunt, Rules, case_of, cases
from tests.support.mutations import Mutant, Rule, identity, mutants
from tests.support.promtool import promtool
from tests.support.scenario import JOB, MINUTE, Replica, Scenario
from tests.support.thorough import IS_THOROUGH

pytestmark = pytest.mark.slow

PARTS = 2
"""What the mutants are divided into, for several processes."""

SHARE = 1 if IS_THOROUGH else 10
"""Of the mutants of a rule with a note of what catches them, one in so many is hunted: a scenario that catches nothing
any more was noted for dozens.
"""


def _rules() -> Rules:
    return Rules(generated_groups())


def _mutants(rules: Rules) -> list[Mutant]:
    """Those that a scenario has to catch."""
    return [mutant for rule in rules.all for mutant in mutants(rule) if str(mutant) not in EQUIVALENT]


def _wanted(mutants: list[Mutant], notes: Notes) -> list[Mutant]:
    """Those that are hunted in this run: of each rule, the first that is known among them."""
    known, wanted = Counter[str](), []
    for mutant in mutants:
        if key(mutant) in notes:
            known[mutant.of] += 1
        if key(mutant) not in notes or known[mutant.of] % SHARE == 1 % SHARE:
            wanted.append(mutant)
    return wanted


def _hunt(part: int, of: int) -> tuple[Hunt, list[Mutant]]:
    """The hunt for a part of the mutants, and what it has left alive."""
    rules, notes = _rules(), noted()
    every = _wanted(_mutants(rules), notes)
    # what one scenario catches is looked at together; the sort keeps together what rests on the same figures
    every.sort(key=lambda mutant: min(notes.get(key(mutant), [""])))
    size = -(-len(every) // of)
    hunt = Hunt(promtool(), rules, cases(), notes)
    return hunt, hunt.survivors(every[part * size : (part + 1) * size])


@pytest.mark.parametrize("part", range(PARTS))
def test_every_mutant_is_caught(part: int, report_figure: Callable[[str], None]) -> None:
    hunt, left = _hunt(part, PARTS)
    assert not left, "\n".join(sorted(map(str, left)))
    notes = noted()
    as_noted = sum(scenario in notes.get(key(mutant), ()) for mutant, scenario in hunt.caught)
    report_figure(f"{as_noted} of {len(hunt.caught)} mutants caught by the scenario that is noted")


def test_a_mutant_that_is_new_is_hunted_in_each_run_and_some_of_each_rule() -> None:
    every = _mutants(_rules())
    assert _wanted(every, {}) == every
    assert {mutant.of for mutant in _wanted(every, noted())} == {mutant.of for mutant in every}


def test_every_mutant_that_is_excused_is_one(report_figure: Callable[[str], None]) -> None:
    rules = _rules()
    every = [str(mutant) for rule in rules.all for mutant in mutants(rule)]
    report_figure(f"{len(every)} mutants of {len(rules.all)} rules, {len(EQUIVALENT)} equivalent")
    assert not EQUIVALENT.keys() - set(every), "no such mutants any more"


def test_a_batch_tells_mutants_apart() -> None:
    rules = _rules()
    rule: Rule = next(rule for rule in rules.all if rule.get("record") == "job:ai_daily_limit_usd:min")
    harmless = Mutant(str(rule["record"]), "the same", {**rule, "expr": f"({rule['expr']})"})
    harmful = Mutant(str(rule["record"]), "another", {**rule, "expr": f"{rule['expr']} * 2"})
    broken = Mutant(str(rule["record"]), "fails", {**rule, "expr": "up * on () group_left () up"})
    hunt = Hunt(promtool(), rules, [case_of(scenario) for scenario in scenarios("limits")])
    assert hunt.survivors([harmful, harmless, broken]) == [harmless]


@pytest.mark.parametrize("mutated", ["!=", "!~"])
@pytest.mark.parametrize("original", ["=", "=~"])
def test_no_mutant_takes_another_ones_alert_for_its_own(original: str, mutated: str) -> None:
    groups = generated_groups()
    rule = next(r for g in groups for r in g["rules"] if identity(r) == "figures_stale [catching_up warning]")
    matcher = f'alertname{original}"figures_stale"'
    rule["expr"] = rule["expr"].replace('alertname="figures_stale"', matcher)
    same = Mutant(identity(rule), "the same", {**rule, "expr": f"({rule['expr']})"})
    of_others = rule["expr"].replace(matcher, f'alertname{mutated}"figures_stale"')
    mutant = Mutant(identity(rule), "of others", {**rule, "expr": of_others})
    # nothing else fires: only the alert itself can hold it over the gap
    scenario = Scenario("holds what is not current over a gap", 50 * MINUTE)
    watched(scenario, Replica(catching_up=[(10 * MINUTE, 50 * MINUTE)], down=[(40 * MINUTE, 50 * MINUTE)]))
    said = f"The exporters of {JOB} are still catching up with the log of operations."
    labels = {"job": JOB, "reason": "catching_up"}
    stale = companion("figures_stale", "warning", "Figures are not current.", said, **labels)
    scenario.fires(49 * MINUTE, "figures_stale", stale)
    hunt = Hunt(promtool(), Rules(groups), [case_of(scenario)])
    assert hunt.survivors([mutant]) == []
    assert hunt.survivors([same, mutant]) == [same]


def _note_new() -> None:
    rules, notes = _rules(), noted()
    every = _mutants(rules)
    hunt = Hunt(promtool(), rules, cases())
    hunt.survivors([mutant for mutant in every if key(mutant) not in notes])
    note([(mutant, scenario) for mutant in every for scenario in notes.get(key(mutant), ())] + hunt.caught)


if __name__ == "__main__":
    _note_new()
