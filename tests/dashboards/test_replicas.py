"""Two exporters on one log show what one shows, also when they have folded different series; evaluated by promtool."""

import pytest

from dashboards.command import rendered
from tests.support.grafana import SETTINGS, View, promql, targets
from tests.support.panel_queries import evaluated

pytestmark = pytest.mark.slow

DASHBOARDS = rendered(SETTINGS)
VIEW = View(0, 3600, rate_interval="4m")
MINUTES = 90

# The second replica has no room for the second operation and counts it as `other`: the sums are the same.
NAMES = {"a:1": "email-compose", "b:1": "other"}


def series(instance: str) -> list[tuple[str, str]]:
    """What a replica exposes: $70 today, 60 calls an hour of which 6 fail, each of 3 seconds, in two operations."""
    own = f'job="ai", instance="{instance}"'
    found = [
        (f"ai_operation_log_up{{{own}}}", f"1x{MINUTES}"),
        (f'ai_spend_window_start_timestamp_seconds{{{own}, window="day"}}', f"0x{MINUTES}"),
        (f'ai_spend_window_end_timestamp_seconds{{{own}, window="day"}}', f"86400x{MINUTES}"),
        (f"ai_daily_limit_usd{{{own}}}", f"100x{MINUTES}"),
        (f'ai_budget_users{{{own}, state="exceeded"}}', f"2x{MINUTES}"),
    ]
    for operation, dollars in (("email-respond", 30), (NAMES[instance], 40)):
        labels = f'{own}, operation="{operation}", model="m"'
        found += [
            (f"ai_spend_today_usd{{{labels}}}", f"{dollars}x{MINUTES}"),
            (f"ai_operations_total{{{labels}}}", f"0+0.5x{MINUTES}"),
            (f'ai_operation_failures_total{{{labels}, error_class="timeout"}}', f"0+0.05x{MINUTES}"),
            (f"ai_operation_latency_seconds_sum{{{labels}}}", f"0+1.5x{MINUTES}"),
            (f"ai_operation_latency_seconds_count{{{labels}}}", f"0+0.5x{MINUTES}"),
        ]
    return found


WANTED = {
    ("ai-cost", "Team today"): 70,
    ("ai-cost", "Team today / B"): 0.7,
    ("ai-cost", "Over limit"): 2,
    ("ai-performance", "Errors, hour"): 0.1,
    ("ai-health", "Success, hour"): 0.9,
    ("ai-performance", "Average, hour"): 3,
    ("ai-performance", "Calls, hour"): 60,
}


def expression(uid: str, title: str) -> str:
    title, _, letter = title.partition(" / ")
    (found,) = [
        target["expr"]
        for panel, target in targets(DASHBOARDS[uid])
        if (panel["title"], target["refId"]) == (title, letter or "A")
    ]
    return promql(found, VIEW)


def evaluate(input_series: list[tuple[str, str]], at: str, expected: list[tuple[str, float | None]]) -> None:
    evaluated(input_series, at, [(expr, {} if value is None else {"{}": value}) for expr, value in expected])


@pytest.mark.parametrize("replicas", [["a:1"], ["b:1"], ["a:1", "b:1"]], ids=" ".join)
def test_two_replicas_show_what_one_shows(replicas: list[str]) -> None:
    given = [each for instance in replicas for each in series(instance)]
    evaluate(given, "80m", [(expression(*panel), value) for panel, value in WANTED.items()])


def test_a_replica_that_does_not_read_the_log_takes_no_part() -> None:
    """Its counters stand still and its gauges are gone; the other one's figures are shown."""
    blind = [
        (name, "0x90" if "_log_up" in name else values)
        for name, values in series("b:1")
        if not name.startswith(("ai_spend", "ai_budget"))
    ]
    evaluate(series("a:1") + blind, "80m", [(expression(*panel), value) for panel, value in WANTED.items()])


def test_nothing_is_projected_before_two_hours_and_the_day_counts_from_its_own_start() -> None:
    projected = expression("ai-cost", "Team by midnight")
    evaluate(series("a:1"), "80m", [(projected, -1)])
    late = [(name, values.replace("x90", "x500")) for name, values in series("a:1")]
    evaluate(late, "6h", [(projected, 280)])
    # a day of 25 hours, of which six have passed
    longer = [(name, values.replace("86400", "90000")) for name, values in late]
    evaluate(longer, "6h", [(projected, round(70 * 25 / 6, 6))])


def test_no_limit_is_said_and_an_outage_is_not_taken_for_it() -> None:
    share = expression("ai-cost", "Team today / B")
    without = [each for each in series("a:1") if "daily_limit" not in each[0]]
    evaluate(without, "80m", [(share, -1)])
    dark = [
        (name, "0x90" if "_log_up" in name else values)
        for name, values in series("a:1")
        if not name.startswith("ai_spend_today")
    ]
    evaluate(dark, "80m", [(share, None)])
