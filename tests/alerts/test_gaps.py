"""An outage of the database, or a restart of the exporter or of a replica, neither ends an alert nor begins one."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from exporter import catalog
from tests.alerts.cases.common import spend, user, users
from tests.alerts.cases.period_budgets import budget
from tests.support.generate import GENERATED, content, generated_groups, yaml_text
from tests.support.promtool import promtool
from tests.support.scenario import HOUR, MINUTE, Replica, Scenario, Value, Window, duration, steps
from tests.support.thorough import examples

# one process brings promtool up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("gaps")]

TODAY = Window(-10 * HOUR, 14 * HOUR)
AFTER = 20 * MINUTE

FIGURES = {
    "high_daily_spend": 1,
    # alice, the team, and users without a series
    "budget_exceeded": 3,
    "budget_used": 4,
    "budget_will_not_last": 1,
    # alice, a group and the team
    "period_budget_used": 3,
    "soft_limit_reached": 3,
    "spend_anomaly": 1,
    "high_error_rate": 1,
    "slow_operations": 1,
    "model_unavailable": 2,
    "rows_unusable": 1,
    "user_without_limit": 1,
    "cost_tracking_inaccurate": 1,
}
"""The alerts on figures, and how many of each fire in the job "ill"."""

FIRING = {
    **{(name, "ill"): count for name, count in FIGURES.items()},
    ("table_unreadable", "partial"): 1,
    ("figures_stale", "behind"): 1,
    ("figures_stale", "stuck"): 1,
    ("log_unreadable", "blind"): 1,
    ("notifications_failing", "alertmanager"): 1,
    ("rules_failing", "prometheus"): 1,
    ("watchdog", ""): 1,
}
"""By alert and job, what fires before a gap and has to be there after it."""

_OWN = (
    'alertname!~"exporter_down|log_unreadable|figures_stale"',
    'alertname="log_unreadable",job="blind"',
    'alertname="figures_stale",job=~"behind|stuck"',
)
"""What is looked at: not what a gap itself fires, where the log could be read before."""

WATCHES_GAPS = ("exporter_down",)
"""The alerts that are on gaps alone."""


@dataclass(frozen=True)
class Gap:
    """From when, how long and of which kind, in minutes; after a restart the exporter catches up for some."""

    kind: str
    start: int
    length: int
    catching_up: int = 0

    @property
    def end(self) -> int:
        """The second at which all is read again."""
        return (self.start + self.length + self.catching_up) * MINUTE

    def replica(self, instance: str, job: str, **more: Any) -> Replica:
        """A replica that has the gap, if it is one of those that do."""
        down = self.start * MINUTE, (self.start + self.length) * MINUTE
        if self.kind == "unread":
            more["unread"] = (*more.get("unread", ()), down)
        elif self.kind != "replica" or instance == "a:9867":
            more |= {"down": [down], "catching_up": (*more.get("catching_up", ()), (down[1], self.end))}
        return Replica(instance, job=job, **more)


GAPS = st.builds(
    Gap,
    st.sampled_from(["unread", "restart", "replica"]),
    st.integers(40, 60),
    st.integers(1, 40),
    st.integers(0, 8),
)


def rising(per_minute: float) -> Value:
    return lambda second: per_minute * (second // MINUTE)


def period_budgets(scenario: Scenario, replica: Replica, spent: float) -> None:
    """Budgets of 10 for a period, with a soft limit of 9: a user's, a group's and the team's."""
    for name, group in (("alice", ""), ("", "red"), ("", "")):
        budget(scenario, replica, name, "30d", spent, soft=9, group=group)


def ill(scenario: Scenario, replica: Replica) -> None:
    """Everything that can be wrong with figures is."""
    spend(scenario, replica, lambda second: 250 + second / HOUR)
    scenario.show(replica, catalog.DAILY_LIMIT, 200)
    user(scenario, replica, "alice", lambda second: 12 + second / HOUR, 10)
    user(scenario, replica, "bob", 5)
    users(scenario, replica, exceeded=3, unlimited=1)
    period_budgets(scenario, replica, 9)
    calls = {"operation": "chat", "model": "m1"}
    scenario.show(replica, catalog.OPERATIONS, rising(12), **calls)
    scenario.show(replica, catalog.FAILURES, rising(9), error_class="timeout", **calls)
    scenario.show(replica, catalog.LATENCY, rising(60), "_sum", **calls)
    scenario.show(replica, catalog.LATENCY, rising(12), "_count", **calls)
    scenario.show(replica, catalog.OVER_TIMEOUT, rising(9), **calls)
    scenario.show(replica, catalog.CHECKED, rising(12), **calls)
    scenario.show(replica, catalog.CHECKED_COST, rising(1), **calls)
    scenario.show(replica, catalog.EXPECTED_COST, rising(2), **calls)
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, float, model="m1")
    scenario.show(replica, catalog.ROWS_SKIPPED, rising(1), field="status", reason="unknown")
    scenario.show(replica, catalog.SPEND_ANOMALY, lambda second: 12 + second / HOUR, operation="chat")
    dead = {"operation": "email", "model": "m2"}
    scenario.show(replica, catalog.OPERATIONS, rising(1), **dead)
    scenario.show(replica, catalog.OVER_TIMEOUT, 0, **dead)
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, 60, model="m2")
    for model in ("m1", "m2"):
        scenario.show(replica, catalog.MODEL_TIMEOUT, 60, model=model)


def well(scenario: Scenario, replica: Replica) -> None:
    """The same figures, and nothing wrong with any."""
    spend(scenario, replica, lambda second: 20 + second / HOUR)
    scenario.show(replica, catalog.DAILY_LIMIT, 200)
    user(scenario, replica, "alice", 2, 10)
    users(scenario, replica, ok=1)
    period_budgets(scenario, replica, 2)
    calls = {"operation": "chat", "model": "m1"}
    scenario.show(replica, catalog.OPERATIONS, rising(12), **calls)
    scenario.show(replica, catalog.FAILURES, 0, error_class="timeout", **calls)
    scenario.show(replica, catalog.LATENCY, rising(6), "_sum", **calls)
    scenario.show(replica, catalog.LATENCY, rising(12), "_count", **calls)
    scenario.show(replica, catalog.OVER_TIMEOUT, 0, **calls)
    scenario.show(replica, catalog.ROWS_SKIPPED, 0, field="status", reason="unknown")
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, float, model="m1")
    scenario.show(replica, catalog.MODEL_TIMEOUT, 60, model="m1")
    scenario.show(replica, catalog.SPEND_ANOMALY, 0, operation="chat")


def world(gap: Gap) -> tuple[Scenario, int]:
    """Two replicas of each job, all with the gap, and the second at which to look back."""
    look = gap.end + AFTER
    scenario = Scenario(f"{gap}", look)
    always = [(0, look + MINUTE)]
    for instance in ("a:9867", "b:9867"):
        for job, fill in (("ill", ill), ("well", well)):
            fill(scenario, scenario.replica(gap.replica(instance, job), TODAY))
        scenario.replica(gap.replica(instance, "partial", no_budgets=always), TODAY)
        scenario.replica(gap.replica(instance, "behind", catching_up=always), TODAY)
        scenario.replica(gap.replica(instance, "blind", unread=always), TODAY)
    stuck = scenario.replica(gap.replica("a:9867", "stuck"), TODAY)
    scenario.replica(gap.replica("b:9867", "stuck"), TODAY)
    # what is not read is not written either
    at = range(0, look + 1, MINUTE)
    failures = steps(*((s, float(sum(stuck.reads(t) for t in at if t <= s))) for s in at))
    scenario.show(stuck, catalog.STATE_COMMIT_FAILURES, failures)
    others: dict[str, dict[str, Any]] = {
        "alertmanager_notifications_failed_total": {"job": "alertmanager", "integration": "discord", "reason": "other"},
        "alertmanager_notifications_total": {"job": "alertmanager", "integration": "discord"},
        "prometheus_rule_evaluation_failures_total": {"job": "prometheus", "rule_group": "g"},
    }
    for name, labels in others.items():
        scenario.raw(name, {**labels, "instance": "x:9"}, rising(1))
    return scenario, look


def expressions(gap: Gap, look: int) -> list[dict[str, Any]]:
    """What has to be there at the end, and that all that fires has fired all the time, and nothing else."""
    span = look - (gap.start - 2) * MINUTE + 30
    own = [f'ALERTS{{alertstate="firing",{told}}}' for told in _OWN]
    looks: list[dict[str, Any]] = [
        {
            "expr": f"count by (alertname, job) ({' or '.join(own)})",
            "eval_time": duration(look),
            "exp_samples": [
                {"labels": f'{{alertname="{name}"' + (f', job="{job}"' if job else "") + "}", "value": count}
                for (name, job), count in FIRING.items()
            ],
        }
    ]
    lasted = " or ".join(f"count_over_time({selector}[{duration(span)}])" for selector in own)
    broken = f"({lasted}) != {span // MINUTE + 1}"
    looks.append({"expr": broken, "eval_time": duration(look), "exp_samples": []})
    return looks


# promtool names the gap that fails: to look for a smaller one would take minutes
@settings(max_examples=examples(1), deadline=None, phases=[Phase.explicit, Phase.generate])
@example([Gap("unread", 50, 6), Gap("restart", 41, 1, 1), Gap("restart", 45, 40, 8), Gap("replica", 50, 30, 5)])
@given(st.lists(GAPS, min_size=2, max_size=2, unique_by=str))
def test_nothing_resolves_and_nothing_fires_anew_because_of_a_gap(gaps: list[Gap]) -> None:
    written = []
    for gap in gaps:
        scenario, look = world(gap)
        written.append(scenario.written() | {"promql_expr_test": expressions(gap, look)})
    with TemporaryDirectory() as folder:
        file = Path(folder) / "gaps.yml"
        file.write_text(yaml_text(content(written, str(GENERATED))))
        code, said = promtool().run("test", "rules", str(file))
    assert code == 0, said


def test_every_alert_is_among_those_that_fire() -> None:
    rules = [rule for group in generated_groups() for rule in group["rules"]]
    assert {rule["alert"] for rule in rules if "alert" in rule} - {name for name, _ in FIRING} == set(WATCHES_GAPS)
