"""An alert on a share or a mean fires where that is certain; `certainty: none` compares it as it is."""

import re
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.compiler.certainty import Z_WINDOW, Threshold, certainly
from alert_rules.compiler.thresholds import ALERTS_FILE
from alert_rules.language.channels import load_channels
from alert_rules.language.loading import Alerts, parse_alerts
from alert_rules.model.errors import RulesError
from alert_rules.model.quantities import RecordedSeries, WindowCounts
from alert_rules.output.building import compiled
from alert_rules.output.writer import rules_text
from bench import certainty as bench
from exporter import catalog
from tests.support import ROOT
from tests.support.generate import file_text
from tests.support.promtool import promtool
from tests.support.scenario import HOUR, JOB, MINUTE, Replica, Scenario, steps

pytestmark = pytest.mark.slow

SCRAPE = 25
DOCUMENT = ROOT / "docs" / "alerts.md"
CHANNELS = load_channels(ALERTS_FILE.with_name("channels.yaml"))


def written(**fields: str | int) -> Alerts:
    """One alert as a file has it."""
    text = yaml.safe_dump({"alerts": [{"name": "any", "channel": "discord", **fields}]})
    return parse_alerts(text.encode(), "alerts.yaml")


def expression(**fields: str | int) -> str:
    """The expression of its rule."""
    rules = compiled(written(**fields), CHANNELS).groups[0].rules
    return next(rule.expr for rule in rules if rule.is_alert)


def wilson(failed: int, calls: int, z: float) -> float:
    """The lower bound of Wilson's score interval, as he wrote it."""
    p = failed / calls
    centre, half = p + z * z / 2 / calls, z * (p * (1 - p) / calls + z * z / 4 / calls**2) ** 0.5
    return float((centre - half) / (1 + z * z / calls))


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.001, 0.999))
def test_the_rule_is_wilsons_lower_bound(calls: int, part: float, threshold: float) -> None:
    failed = round(part * calls)
    tally = WindowCounts(300, "calls", "failed")
    figure = RecordedSeries("share", (), tallies=(tally,), is_share=True)
    expr = certainly(figure, ">", Threshold(str(threshold), number=threshold))
    found = re.fullmatch(r"failed > (\S+) \* calls \+ (\S+) \* calls \^ 0\.5", expr)
    assert found
    bound = wilson(failed, calls, Z_WINDOW)
    # the rule's margin has three digits
    if abs(bound - threshold) > 0.01 * abs(failed / calls - threshold):
        assert (failed > float(found[1]) * calls + float(found[2]) * calls**0.5) == (bound > threshold)


@pytest.mark.parametrize("certainty", ["high", "none"])
@pytest.mark.parametrize(("rate", "each"), [(0.02, 4), (0.06, 1), (0.06, 25), (0.10, 4), (0.5, 2)])
def test_the_simulation_fires_as_the_rules_do(tmp_path: Path, certainty: str, rate: float, each: int) -> None:
    random = Random(f"{rate} {each}")
    ended = [random.randint(0, each) for _ in range(3 * HOUR // SCRAPE)]
    # failures come together, so that the alert comes and goes
    failed = [
        sum(random.random() < rate * 2 * (number % 200 < 100) for _ in range(n)) for number, n in enumerate(ended)
    ]
    counters = bench.Counters([0, *accumulate(ended)], [0, *accumulate(failed)])
    scenario = Scenario("as simulated", 3 * HOUR, SCRAPE)
    replica = scenario.replica(Replica())
    labels = {"operation": "chat", "model": "m1"}
    scenario.show(replica, catalog.OPERATIONS, lambda second: counters.calls[second // SCRAPE], **labels)
    failures = {**labels, "error_class": "auth"}
    scenario.show(replica, catalog.FAILURES, lambda second: counters.above[second // SCRAPE], **failures)
    rule = bench.Rule(certain=certainty == "high", closed=windows_are_closed())
    fires = as_expected(scenario, rule, counters)
    check(tmp_path, scenario, condition="error_rate > 5%", certainty=certainty)
    assert fires == {False, True} or rate == 0.02


@pytest.mark.parametrize("certainty", ["high", "none"])
@pytest.mark.parametrize(("mean", "each"), [(1.2, 4), (2.2, 1), (2.2, 8), (3.0, 4)])
def test_the_simulation_of_latencies_fires_as_the_rules_do(
    tmp_path: Path, certainty: str, mean: float, each: int
) -> None:
    random = Random(f"{mean} {each}")
    ended = [random.randint(0, each) for _ in range(3 * HOUR // SCRAPE)]
    # in eighths of a second, which are exact in a counter
    taken = [
        sum(round(random.expovariate(0.25 / mean / (1 + (number % 200 < 100)))) for _ in range(n)) / 8
        for number, n in enumerate(ended)
    ]
    counters = bench.Counters([0, *accumulate(ended)], [0.0, *accumulate(taken)])
    scenario = Scenario("as simulated", 3 * HOUR, SCRAPE)
    replica = scenario.replica(Replica())
    labels = {"operation": "chat", "model": "m1"}
    scenario.show(replica, catalog.LATENCY, lambda second: counters.calls[second // SCRAPE], "_count", **labels)
    scenario.show(replica, catalog.LATENCY, lambda second: counters.above[second // SCRAPE], "_sum", **labels)
    rule = bench.Rule(2, certainty == "high", windows_are_closed(), "avg_latency")
    fires = as_expected(scenario, rule, counters)
    check(tmp_path, scenario, condition="avg_latency > 2s", certainty=certainty)
    assert fires == {False, True} or mean == 1.2


@pytest.mark.parametrize("certainty", ["high", "none"])
@pytest.mark.parametrize(("rate", "each"), [(0.3, 1), (0.4, 3)])
def test_the_simulation_of_timeouts_fires_as_the_rules_do(
    tmp_path: Path, certainty: str, rate: float, each: int
) -> None:
    random = Random(f"{rate} {each} late")
    # on some scrapes only, so that many windows have few calls
    ended = [random.randint(0, each) * (random.random() < 0.3) for _ in range(3 * HOUR // SCRAPE)]
    late = [sum(random.random() < rate * 2 * (number % 200 < 100) for _ in range(n)) for number, n in enumerate(ended)]
    counters = bench.Counters([0, *accumulate(ended)], [0, *accumulate(late)])
    scenario = Scenario("as simulated", 3 * HOUR, SCRAPE)
    replica = scenario.replica(Replica())
    labels = {"operation": "chat", "model": "m1"}
    scenario.show(replica, catalog.OPERATIONS, lambda second: counters.calls[second // SCRAPE], **labels)
    scenario.show(replica, catalog.OVER_TIMEOUT, lambda second: counters.above[second // SCRAPE], **labels)
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, float, model="m1")
    rule = bench.Rule(0.5, certainty == "high", windows_are_closed(), "model_response_time")
    fires = as_expected(scenario, rule, counters, "model")
    check(tmp_path, scenario, condition="model_response_time > timeout", certainty=certainty)
    assert fires == {False, True}


@cache
def windows_are_closed() -> bool:
    """Whether windows hold the sample at their very beginning, as those of Prometheus 2 do."""
    scenario = Scenario("a window of a minute", 2 * MINUTE)
    scenario.raw("seen", {}, 1)
    scenario.figure(2 * MINUTE, "count_over_time(seen[1m])", {"{}": 2})
    with TemporaryDirectory() as folder:
        (Path(folder) / "rules.yml").write_text("groups: []\n")
        file = Path(folder) / "window.yml"
        file.write_text(file_text([scenario], "rules.yml"))
        return promtool().run("test", "rules", str(file))[0] == 0


def as_expected(scenario: Scenario, rule: bench.Rule, counters: bench.Counters, by: str = "operation") -> set[bool]:
    """Look at every minute whether the alert fires as the model does; what the model did at all."""
    fires = rule.firing(counters, SCRAPE)
    expected = f'{{job="{JOB}", {by}="{"chat" if by == "operation" else "m1"}"}}'
    for minute, firing in enumerate(fires):
        expr = f'count by (job, {by}) (ALERTS{{alertstate="firing"}})'
        scenario.figure(minute * MINUTE, expr, {expected: 1.0} if firing else {})
    return set(fires)


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ("daily_spend > $200", {}),
        ("operations_per_hour < 3", {}),
        ("queue_depth > 20", {}),
        ("budget_utilization >= 80%", {}),
        ("monthly_spend > $5", {"certainty": "high"}),
        ("projected_daily_spend > daily_limit", {}),
    ],
)
def test_certainty_is_refused_where_nothing_is_uncertain(condition: str, more: dict[str, str]) -> None:
    with pytest.raises(RulesError, match=r"alerts.yaml:\d+:\d+: certainty for \w+ — leave it out"):
        compiled(written(condition=condition, **{"certainty": "none", **more}), CHANNELS)


@pytest.mark.parametrize("certainty", ["low", "None", "95%", "wilson"])
def test_what_is_no_certainty_is_refused_with_those_that_are(certainty: str) -> None:
    with pytest.raises(RulesError, match=r"certainty: .* — write one of 'high' or 'none'"):
        compiled(written(condition="error_rate > 5%", certainty=certainty), CHANNELS)


@pytest.mark.parametrize(
    "condition",
    [
        "error_rate > 5%",
        "error_rate >= 5%",
        "error_rate < 5%",
        "avg_latency > 2s",
        "avg_latency <= 1s",
        "p95_latency > 10s",
        "model_response_time > 5s",
        "model_response_time > timeout",
        "cost_per_operation > $0.05",
    ],
)
def test_without_certainty_the_figure_is_compared_as_it_is(condition: str) -> None:
    plain, certain = (expression(condition=condition, certainty=certainty) for certainty in ("none", "high"))
    assert certain == expression(condition=condition)
    assert certain != plain
    counts = re.compile(r"ai_operations?(_latency_seconds_count)?:increase(5m|1h)")
    assert counts.search(certain)
    assert not counts.search(plain)


@pytest.mark.parametrize("condition", ["error_rate > 0%", "error_rate >= 100%"])
def test_at_the_ends_any_call_decides(condition: str) -> None:
    assert expression(condition=condition) == expression(condition=condition, certainty="none")


@pytest.mark.parametrize("threshold", [5, 20, 30, 40, 50, 80, 99])
def test_five_calls_that_all_failed_are_enough_at_any_threshold(tmp_path: Path, threshold: int) -> None:
    scenario = Scenario("five failed calls", HOUR, SCRAPE)
    for job, calls in (("five", 5), ("four", 4)):
        replica = scenario.replica(Replica(job=job))
        labels = {"operation": "chat", "model": "m1"}
        scenario.show(replica, catalog.OPERATIONS, steps((0, 0), (600, calls)), **labels)
        scenario.show(replica, catalog.FAILURES, steps((0, 0), (600, calls)), **labels, error_class="auth")
    firing = 'count by (job) (ALERTS{alertstate="firing"})'
    scenario.figure(10 * MINUTE, firing, {})
    scenario.figure(12 * MINUTE, firing, {'{job="five"}': 1.0})
    scenario.figure(40 * MINUTE, firing, {'{job="five"}': 1.0})
    check(tmp_path, scenario, condition=f"error_rate > {threshold}%")


def check(folder: Path, scenario: Scenario, **fields: str | int) -> None:
    """Run a scenario against the rules of one alert."""
    groups = compiled(written(**fields), CHANNELS).groups[:1]
    (folder / "rules.yml").write_text(rules_text(groups))
    (folder / "test.yml").write_text(file_text([scenario], "rules.yml"))
    code, said = promtool().run("test", "rules", str(folder / "test.yml"))
    assert code == 0, said[:3000]


def test_below_a_threshold_it_must_be_certain_too(tmp_path: Path) -> None:
    scenario = Scenario("few failures", HOUR, SCRAPE)
    # of a hundred calls none, and of twenty none: the one is certainly below 10 %, and the other may be chance
    for job, calls in (("certain", 1000), ("perhaps", 20)):
        replica = scenario.replica(Replica(job=job))
        labels = {"operation": "chat", "model": "m1"}
        scenario.show(replica, catalog.OPERATIONS, steps((0, 0), (600, calls)), **labels)
        scenario.show(replica, catalog.FAILURES, 0, **labels, error_class="auth")
    scenario.figure(12 * MINUTE, 'count by (job) (ALERTS{alertstate="firing"})', {'{job="certain"}': 1.0})
    check(tmp_path, scenario, condition="error_rate < 10%")


@pytest.mark.parametrize(
    ("seconds", "calls", "fires"), [(11, 20, False), (21, 20, False), (11, 200, True), (9.9, 20_000, False)]
)
def test_a_quantile_needs_calls_enough_too(tmp_path: Path, seconds: float, calls: int, fires: bool) -> None:
    # 7 % of calls take longer than ten seconds: so does the 95th percentile, of however many calls
    scenario = Scenario("slow calls", HOUR, SCRAPE)
    replica = scenario.replica(Replica())
    labels = {"operation": "chat", "model": "m1"}
    slow = round(calls * (0.3 if calls == 200 else 0.07))
    scenario.show(replica, catalog.LATENCY, steps((0, 0), (600, calls)), "_count", **labels)
    for edge in (*catalog.LATENCY.edges, None):
        within = calls if edge is None or seconds <= edge else calls - slow
        le = "+Inf" if edge is None else f"{edge:g}"
        scenario.show(replica, catalog.LATENCY, steps((0, 0), (600, within)), "_bucket", **labels, le=le)
    firing = 'count by (job) (ALERTS{alertstate="firing"})'
    scenario.figure(12 * MINUTE, firing, {f'{{job="{JOB}"}}': 1.0} if fires else {})
    check(tmp_path, scenario, condition="p95_latency > 10s")


@pytest.mark.parametrize(("rate", "calls"), [(0.02, 5), (0.02, 20), (0.04, 100), (0.10, 20)])
def test_the_documented_table_is_what_the_simulation_finds(rate: float, calls: int) -> None:
    before, after = bench.hours(rate, calls)
    found = (before.began, after.began) if rate < bench.THRESHOLD else (before.silent_hours, after.silent_hours)
    row = f"| {rate:.0%} | {calls} | {found[0]} | {found[1]} |"
    assert row in DOCUMENT.read_text()
    # the fault was a false alarm every other hour
    assert after.began <= 0.2 * before.began or rate > bench.THRESHOLD


@pytest.mark.parametrize(("rate", "calls", "later"), [(1.0, 5, 0), (1.0, 20, 0), (1.0, 1000, 0), (0.5, 20, 1)])
def test_an_outage_is_told_as_fast_as_without_certainty(rate: float, calls: int, later: int) -> None:
    before, after = (bench.minutes_to_fire(rule, rate, calls) for rule in (bench.BEFORE, bench.AFTER))
    assert before is not None
    assert after == before + later
    assert f"| {rate:.0%} | {calls:,} | {before:.0f} min | {after:.0f} min |" in DOCUMENT.read_text()


@pytest.mark.parametrize(("calls", "fires"), [(12, True), (11, False), (200, True)])
def test_a_median_of_slow_calls_alone_is_certain_from_twelve_on(tmp_path: Path, calls: int, fires: bool) -> None:
    scenario = Scenario("slow calls", HOUR, SCRAPE)
    replica = scenario.replica(Replica())
    labels = {"operation": "chat", "model": "m1"}
    # an hour of calls that were quick, so that the five minutes decide
    counted = steps((0, 0), (60, 1000), (1200, 1000 + calls))
    scenario.show(replica, catalog.LATENCY, counted, "_count", **labels)
    for edge, seen in (("5", steps((0, 0), (60, 1000))), ("10", counted), ("+Inf", counted)):
        scenario.show(replica, catalog.LATENCY, seen, "_bucket", **labels, le=edge)
    scenario.figure(
        22 * MINUTE, 'count by (job) (ALERTS{alertstate="firing"})', {f'{{job="{JOB}"}}': 1.0} if fires else {}
    )
    check(tmp_path, scenario, condition="model_response_time > 5s")
