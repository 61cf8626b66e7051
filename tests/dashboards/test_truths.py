"""What a glance at a page says is so: each case is a state of the world, and what the panels must show of it."""

import json
import re
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.command import rendered
from dashboards.render import each_panel
from tests.support import ROOT
from tests.support.grafana import SETTINGS, View, promql, targets
from tests.support.panel_queries import Series, evaluated

pytestmark = pytest.mark.slow

Json = dict[str, Any]

DASHBOARDS = rendered(SETTINGS)
VIEW = View(0, 7 * 86400, rate_interval="5m", interval="10m")
OWN = 'job="ai", instance="a:1"'
UP = (f"ai_operation_log_up{{{OWN}}}", "1x1500")
DAY = [
    (f'ai_spend_window_start_timestamp_seconds{{{OWN}, window="day"}}', "0x1500"),
    (f'ai_spend_window_end_timestamp_seconds{{{OWN}, window="day"}}', "86400x1500"),
]


def panel_of(uid: str, title: str) -> Json:
    (found,) = [each for each in each_panel(DASHBOARDS[uid]) if each["title"] == title]
    return found


def asked(uid: str, title: str, letter: str = "A", view: View = VIEW) -> str:
    (found,) = [each["expr"] for each in panel_of(uid, title)["targets"] if each["refId"] == letter]
    return promql(found, view)


def color_of(panel: Json, value: float, letter: str = "A") -> str:
    """The colour of a number of one of a panel's queries."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byFrameRefID", "options": letter}:
            for each in override["properties"]:
                steps = each["value"]["steps"] if each["id"] == "thresholds" else steps
    return str([step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1])


# The limit


def spending(dollars: float, limit: float | None = 60, month: float | None = 1000) -> Series:
    labels = f'{OWN}, operation="o", model="m"'
    found = [UP, *DAY, (f"ai_spend_today_usd{{{labels}}}", f"{dollars}x1500")]
    found += [(f"ai_spend_month_usd{{{labels}}}", f"{2 * dollars}x1500")]
    found += [] if limit is None else [(f"ai_daily_limit_usd{{{OWN}}}", f"{limit}x1500")]
    return [*found, *([] if month is None else [(f"ai_monthly_limit_usd{{{OWN}}}", f"{month}x1500")])]


@pytest.mark.parametrize(
    ("spent", "at", "limit", "projected", "share", "color"),
    [
        (29.23, "6h", 60, 116.92, 1.948667, "red"),
        (16, "6h", 60, 64, 1.066667, "red"),
        (14, "6h", 60, 56, 0.933333, "orange"),
        (3, "6h", 60, 12, 0.2, "green"),
        (250, "6h", 2000, 1000, 0.5, "yellow"),
        (30, "12h", 60, 60, 1, "red"),
    ],
)
def test_a_limit_that_will_be_broken_is_red_hours_before(
    spent: float, at: str, limit: float, projected: float, share: float, color: str
) -> None:
    panel = panel_of("ai-cost", "Team by midnight")
    expected = [
        (asked("ai-cost", "Team by midnight"), {"{}": projected}),
        (asked("ai-cost", "Team by midnight", "B"), {"{}": share}),
    ]
    evaluated(spending(spent, limit), at, expected)
    assert color_of(panel, share, "B") == color
    # money alone is never said to be good
    assert color_of(panel, projected) != "green"


def test_the_days_and_the_months_limit_stand_in_the_first_line() -> None:
    for title, share in (("Team today", 0.5), ("Team this month", 0.06)):
        assert panel_of("ai-cost", title)["gridPos"]["y"] == 0
        evaluated(spending(30), "6h", [(asked("ai-cost", title, "B"), {"{}": share})])


def test_no_limit_and_too_early_are_said_and_not_drawn_as_good() -> None:
    without = spending(30, None, None)
    none = {"{}": -1.0}
    for title in ("Team today", "Team by midnight", "Team this month"):
        evaluated(without, "6h", [(asked("ai-cost", title, "B"), none)])
        overrides = json.dumps(panel_of("ai-cost", title)["fieldConfig"]["overrides"])
        assert "no limit" in overrides
    evaluated(spending(30), "1h", [(asked("ai-cost", "Team by midnight"), none)])
    evaluated(spending(30), "1h", [(asked("ai-cost", "Team by midnight", "B"), {})])


FORECAST = (f'ai_spend_forecast_usd{{{OWN}, window="day", bound="expected"}}', "80x1500")
REACHED = (f'ai_spend_limit_reached_timestamp_seconds{{{OWN}, window="day"}}', "36000x1500")


@pytest.mark.parametrize(
    ("series", "at", "shown", "said"),
    [
        ([*spending(30), FORECAST, REACHED], "6h", 14400.0, None),
        ([*spending(30), FORECAST, REACHED], "11h", 0.0, "Reached"),
        ([*spending(3), FORECAST], "6h", -1.0, "Not expected"),
        # in the first days there is no forecast: nothing is expected, and nothing is ruled out
        (spending(3), "6h", -2.0, "No forecast"),
        ([*spending(3, None), FORECAST], "6h", -3.0, "No limit"),
        ([(UP[0], "0x1500"), *spending(30)[1:], FORECAST, REACHED], "6h", None, "Not read"),
        ([(UP[0], "0x1500"), *spending(3)[1:], FORECAST], "6h", None, "Not read"),
    ],
    ids=["in four hours", "reached", "not expected", "first days", "no limit", "unread", "unread below"],
)
def test_the_first_screen_says_when_the_limit_will_be_reached(
    series: Series, at: str, shown: float | None, said: str | None
) -> None:
    panel = panel_of("ai-cost", "Team day limit hit in")
    assert panel["gridPos"]["y"] <= 3
    evaluated(series, at, [(asked("ai-cost", "Team day limit hit in"), {} if shown is None else {"{}": shown})])
    mapped, absent = panel["fieldConfig"]["defaults"]["mappings"]
    text = absent["options"]["result"]["text"] if shown is None else mapped["options"].get(f"{shown:g}", {}).get("text")
    assert text == said
    # the same fact as a share over 100% in Team by midnight
    assert color_of(panel, 14400.0) == "red"


# A model that is down


def calls(model: str, count: str, failures: str, operation: str = "o") -> Series:
    labels = f'{OWN}, operation="{operation}", model="{model}"'
    return [
        (f"ai_operations_total{{{labels}}}", count),
        (f'ai_operation_failures_total{{{labels}, error_class="provider"}}', failures),
    ]


BUSY = [UP, *calls("deepseek", "0+100x90", "0+1x90"), *calls("gemini", "0+100x90", "0+2x90")]
WORST_TITLE = "Worst model, calls failed"
WORST = [("ai-performance", WORST_TITLE), ("ai-health", WORST_TITLE)]


@pytest.mark.parametrize(
    ("series", "shown"),
    [
        # down for eight minutes: of all calls in the past hour, some two percent have failed
        ([*BUSY, *calls("claude", "0+10x90", "0x80 0+10x10")], {'{model="claude"}': 1.0}),
        # seldom called: no call in most five minutes, all six of the past hour have failed
        (
            [*BUSY, *calls("claude", "0x29 1x9 2x9 3x9 4x9 5x9 6x9", "0x29 1x9 2x9 3x9 4x9 5x9 6x9")],
            {'{model="claude"}': 1.0},
        ),
        # callers have given up for five minutes: of the few calls that are left all fail, and before all went well
        (
            [
                *BUSY,
                *calls("gem", "0+10x90", "0+3x90"),
                *calls("claude", "0+9x80 720x4 721 722 723 724 724", "0x85 1 2 3 4 4"),
            ],
            {'{model="claude"}': 1.0},
        ),
        # all calls of the past quarter of an hour have failed, one every four minutes
        (
            [
                *BUSY,
                *calls("gem", "0+10x90", "0+3x90"),
                *calls("claude", "0+9x60 540x10 541x3 542x3 543x3 544x3 545x2", "0x71 1x3 2x3 3x3 4x3 5x2"),
            ],
            {'{model="claude"}': 1.0},
        ),
        # one failure of two calls is no outage
        ([*BUSY, *calls("claude", "0x60 1x10 2x20", "0x60 0x10 1x20")], {'{model="gemini"}': 0.02}),
        (BUSY, {'{model="gemini"}': 0.02}),
        # two failures of seven calls in the hour are chance, and not nothing
        (
            [*BUSY[:3], *calls("claude", "0x50 0+1x7 7x90", "0x50 0 1 2x90")],
            {'{model="claude"}': round(2 / 57, 6)},
        ),
        # of many models one fails a little, in two of fifteen calls
        (
            [
                UP,
                *calls("a", "0+3x90", "0x90"),
                *calls("claude", "0+3x90", "0x86 1 1 2 2"),
                *calls("z", "0+3x90", "0x90"),
            ],
            {'{model="claude"}': round(2 / 65, 6)},
        ),
        ([UP, *calls("claude", "0+10x90", "0x90"), *calls("gemini", "0+10x90", "0x90")], {'{model="None"}': 0.0}),
        # what is over is over
        ([UP, *calls("claude", "0+10x90", "0x40 0+10x20 200x90")], {'{model="None"}': 0.0}),
        ([UP, *calls("claude", "0x50 0+1x4 4x90", "0x50 0+1x4 4x90")], {'{model="Few calls"}': -1.0}),
        ([UP, *calls("claude", "0x90", "0x90")], {'{model="No calls"}': -2.0}),
        ([UP], {'{model="No calls"}': -2.0}),
        ([(UP[0], "0x90"), *BUSY[1:]], {}),
    ],
    ids=[
        *("down", "seldom", "given up", "one in four minutes", "one of two", "calm", "two of seven", "two of fifteen"),
        *("none", "over", "few", "silent", "no calls", "not read"),
    ],
)
def test_a_model_that_is_down_is_named_on_the_first_screen(series: Series, shown: dict[str, float]) -> None:
    for uid, title in WORST:
        panel = panel_of(uid, title)
        assert panel["gridPos"]["y"] == 0
        assert panel["options"]["textMode"] == "value_and_name"
        evaluated(series, "90m", [(asked(uid, title), shown)])
        for value in shown.values():
            assert color_of(panel, value) == ("red" if value == 1 else "green")


def test_the_worst_model_is_judged_as_by_the_alert() -> None:
    for uid, title in WORST:
        panel = panel_of(uid, title)
        colors = [color_of(panel, share) for share in (0.0, 0.049, 0.05, 0.099, 0.1, 1.0)]
        assert colors == [*["green"] * 2, *["orange"] * 2, *["red"] * 2]
        assert "`high_error_rate`" in panel["description"]
        texts = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        assert {texts[value]["color"] for value in ("-1", "-2")} == {"text"}


def test_the_chart_says_what_the_tile_says() -> None:
    few = calls("claude", "0+9x80 720x4 721 722 723 724 724", "0x85 1 2 3 4 4")
    charts = (
        ("ai-performance", "Error rate by model", 1.0),
        ("ai-health", "Success of calls by model", 0.0),
    )
    for uid, title, shown in charts:
        evaluated([UP, *few], "90m", [(asked(uid, title), {'{model="claude"}': shown})])


_MINUTES = st.lists(st.integers(0, 4), min_size=90, max_size=90)


@st.composite
def _worlds(draw: st.DrawFn) -> dict[str, tuple[list[int], list[int]]]:
    """Calls and failures of each minute by model: of those that are up, at most half of the calls fail."""
    worlds = {}
    for model in draw(st.sets(st.sampled_from("abcde"), min_size=1)):
        made = draw(_MINUTES)
        share = draw(st.sampled_from((0, 0.1, 0.5)))
        failed = [int(each * share) for each in made]
        since = draw(st.sampled_from((0, 0, 7, 11, 20)))
        made = made[: 90 - since] + [int(draw(st.integers(0, 2)) > 0) for _ in range(since)]
        worlds[model] = made, failed[: 90 - since] + made[90 - since :]
    return worlds


def _sums(minutes: list[int]) -> str:
    return " ".join(str(each) for each in accumulate(minutes, initial=0))


@settings(max_examples=30)
@given(_worlds())
def test_a_model_without_a_success_always_wins_and_one_without_a_failure_never(
    world: dict[str, tuple[list[int], list[int]]],
) -> None:
    series = [
        UP,
        *(each for model, (made, failed) in world.items() for each in calls(model, _sums(made), _sums(failed))),
    ]
    worst = asked("ai-performance", WORST_TITLE)
    named = f"({worst}) and on (model) ai_operations_total"
    # samples are a minute apart: of a window, as many count as it has minutes or one less
    down = [model for model, (made, failed) in world.items() if made[-6:] == failed[-6:] and any(failed[-6:])]
    expected: list[tuple[str, dict[str, float]]] = [(f"count({named} <= 0)", {})]
    if any(sum(world[model][1][-4:]) >= 3 for model in down):
        is_down = f'ai_operations_total{{model=~"{"|".join(down)}"}}'
        expected.append((f"count(({worst}) and on (model) {is_down})", {"{}": 1.0}))
    elif any(sum(failed[-4:]) for made, failed in world.values() if sum(made[-4:]) >= 13):
        expected.append((f"count({named} > 0)", {"{}": 1.0}))
    evaluated(series, "90m", expected)


# Short outages


def timelines() -> list[Any]:
    return [
        pytest.param(panel, id=f"{uid} {panel['title']}")
        for uid, made in DASHBOARDS.items()
        for panel in each_panel(made)
        if panel["type"] == "state-timeline"
    ]


@pytest.mark.parametrize("panel", timelines())
def test_states_look_at_the_whole_of_each_step(panel: Json) -> None:
    for target in panel["targets"]:
        selectors = re.findall(r"\b(?:ai_\w+|pg_up|probe_success|ALERTS)\{[^}]*\}(\S*)", target["expr"])
        looked = [each for each in selectors if each.startswith("[$__interval])")]
        # what only says that the rules are loaded may be of a moment
        assert len(selectors) - len(looked) == target["expr"].count('severity="none"}')
        assert looked
    assert panel["interval"] == "1m"


@pytest.mark.parametrize("interval", ["10m", "20m", "2h"])
def test_a_stop_of_three_minutes_is_seen_at_any_step(interval: str) -> None:
    view = replace(VIEW, interval=interval)
    series = [
        ('pg_up{job="postgres", instance="db"}', "1x92 0x2 1x500"),
        ('probe_success{job="blackbox", instance="https://api"}', "1x92 0x2 1x500"),
        (f"ai_operation_log_up{{{OWN}}}", "1x92 0x2 1x500"),
        (f'ai_exporter_collector_success{{{OWN}, collector="log"}}', "1x92 0x2 1x500"),
        ('ALERTS{alertname="x", alertstate="firing", severity="critical", channel="d"}', "_x92 1x2 _x500"),
    ]
    at = "2h"
    expected = [
        (asked("ai-health", "Database reached", view=view), {'{instance="db"}': 0.0}),
        (asked("ai-health", "Probe history", view=view), {'{instance="https://api"}': 0.0}),
        (asked("ai-health", "Parts of the scrape", view=view), {'{collector="log"}': 0.0}),
        (asked("ai-health", "Parts of the scrape", "B", view), {'{job="ai"}': 0.0}),
        (asked("ai-health", "Alert history", view=view), {'{alertname="x"}': 4.0}),
    ]
    within = {"10m": "100m", "20m": "100m", "2h": at}[interval]
    evaluated(series, within, expected)


def test_every_beginning_of_an_alert_is_marked_once_at_any_step() -> None:
    (mark,) = [each for each in DASHBOARDS["ai-cost"]["annotations"]["list"] if "expr" in each]
    series = [('ALERTS{alertname="x", alertstate="firing", severity="critical", channel="d"}', "_x33 1x2 _x90 1x200")]
    # a step may be shorter than the time between two evaluations of the rules, here a minute
    for interval, steps in (
        ("10s", range(1, 300)),
        ("1m", range(1, 300)),
        ("5m", range(5, 300, 5)),
        ("30m", range(30, 300, 30)),
    ):
        expr = promql(mark["expr"], replace(VIEW, interval=interval))
        begun = f"count_over_time(({expr})[299m:{interval}])"
        labels = '{alertname="x", severity="critical"}'
        evaluated(series, f"{steps[-1]}m", [(begun, {labels: 2.0})])
    assert "step" not in mark


# Few calls, and who is asked


@pytest.mark.parametrize("title", ["Error rate by operation", "Error rate by model"])
def test_one_failure_of_two_calls_is_no_rate(title: str) -> None:
    label = title.split()[-1]
    series = [UP, *calls("m", "0x60 1x10 2x20", "0x60 0x10 1x20"), *calls("busy", "0+100x90", "0+10x90", "p")]
    name = {"operation": "p", "model": "busy"}[label]
    evaluated(series, "90m", [(asked("ai-performance", title), {f'{{{label}="{name}"}}': 0.1})])


def test_one_failed_call_is_no_share_in_the_table_of_the_hour() -> None:
    failed = asked("ai-performance", "The last hour by operation and model")
    series = [
        UP,
        *calls("m", "0x60 1x30", "0x60 1x30"),
        *calls("m", "0x60 0+1x10 10x30", "0x60 0+1x2 2x30", "two of ten"),
        *calls("m", "0x60 0+1x4 4x30", "0x60 0+1x4 4x30", "four of four"),
        *calls("m", "0x60 0+1x25 25x30", "0x60 0+1x1 1x30", "one of many"),
    ]
    shown = {
        '{operation="four of four", model="m"}': 1.0,
        '{operation="one of many", model="m"}': 0.04,
        # failures that are there are not hidden behind a green dash
        '{operation="o", model="m"}': -1.0,
        '{operation="two of ten", model="m"}': -1.0,
    }
    evaluated(series, "90m", [(failed, shown)])


def test_nothing_to_judge_is_not_drawn_as_good() -> None:
    overrides = panel_of("ai-performance", "The last hour by operation and model")["fieldConfig"]["overrides"]
    found = {each["matcher"]["options"]: json.dumps(each) for each in overrides}
    for name in ("Failed", "Average"):
        assert '"match": "null+nan", "result": {"color": "text", "index": 99, "text": "\\u2013"}' in found[name]
    assert '"-1": {"color": "text", "index": 0, "text": "1 or 2"}' in found["Failed"]


def test_text_does_not_say_that_an_alert_fires_where_it_may_wait() -> None:
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            said = re.findall(r"`(?:high_error_rate|slow_operations)` fires", panel["description"])
            assert not said, panel["title"]


def test_availability_is_of_the_users_api_alone() -> None:
    series = [
        ('probe_success{job="blackbox", instance="https://api.example.com/health"}', "0x90"),
        ('probe_success{job="blackbox", instance="http://exporter:9867/-/healthy"}', "1x90"),
        ('probe_success{job="blackbox", instance="http://prometheus:9090/-/ready"}', "1x90"),
        ('probe_success{job="websites", instance="https://example.com"}', "1x90"),
    ]
    evaluated(series, "80m", [(asked("ai-health", "API, past hour"), {"{}": 0.0})])
    evaluated(series[1:], "80m", [(asked("ai-health", "API, past hour"), {})])
    databases = [
        ('pg_stat_database_numbackends{job="postgres", instance="ours", datname="d"}', "10x90"),
        ('pg_settings_max_connections{job="postgres", instance="ours"}', "100x90"),
        ('pg_stat_database_numbackends{job="others", instance="theirs", datname="d"}', "99x90"),
        ('pg_settings_max_connections{job="others", instance="theirs"}', "100x90"),
    ]
    evaluated(databases, "80m", [(asked("ai-health", "Connections"), {"{}": 0.1})])
    # a database that is down is not one that nobody has set up
    down = [('pg_up{job="postgres", instance="ours"}', "0x90"), ('pg_up{job="others", instance="theirs"}', "1x90")]
    evaluated(down, "80m", [(asked("ai-health", "Connections"), {"{}": -1.0})])
    evaluated(down[1:], "80m", [(asked("ai-health", "Connections"), {})])
    assert '"-1": {"color": "red", "index": 0, "text": "Not reached"}' in json.dumps(
        panel_of("ai-health", "Connections")["fieldConfig"]["defaults"]["mappings"]
    )


def test_the_jobs_of_others_are_a_setting() -> None:
    made = rendered(replace(SETTINGS, api_job="probes|pings", postgres_job="pg.*"))["ai-health"]
    text = "\n".join(target["expr"] for _, target in targets(made) if "expr" in target)
    assert 'probe_success{job=~"probes|pings"' in text
    assert len(re.findall(r"\bpg_\w+\{", text)) == len(re.findall(r'\bpg_\w+\{job=~"pg\.\*"', text)) > 4


@pytest.mark.parametrize(
    ("address", "targets"),
    [("", []), ("https://api.example.com:8443/health?deep=1", ["https://api.example.com:8443/health?deep=1"])],
)
def test_nothing_is_probed_until_an_address_is_given(address: str, targets: list[str]) -> None:
    content = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["configs"]["api-targets"]["content"]
    written = "${API_HEALTH_URL:+'${API_HEALTH_URL:-}'}"
    assert written in content
    assert yaml.safe_load(content.replace(written, f"'{address}'" if address else "")) == [{"targets": targets}]


# Five kinds of nothing


LOG = f'ai_exporter_collector_success{{{OWN}, collector="log"}}'


@pytest.mark.parametrize(
    ("series", "shown"),
    [
        ([UP, (LOG, "1x90")], 1),
        ([(UP[0], "0x90"), (LOG, "1x90")], 2),
        ([(UP[0], "0x90"), (LOG, "0x90")], 0),
        ([(UP[0], "0x90"), (LOG, "0x90"), ('pg_up{job="postgres"}', "1x90")], 0),
        ([(UP[0], "0x90"), (LOG, "0x90"), ('pg_up{job="postgres"}', "0x90")], -2),
        ([(UP[0], "0x90"), (LOG, "0x90"), ('pg_up{job="elsewhere"}', "0x90")], 0),
        ([(UP[0], "1x50")], -1),
        ([(UP[0], "0x50")], -1),
        ([(UP[0], "0x90"), ('ai_operation_log_up{job="ai", instance="b:1"}', "1x90")], 1),
        ([], None),
    ],
)
def test_the_first_screen_says_whether_figures_are_current_and_why_not(series: Series, shown: float | None) -> None:
    texts = set()
    for uid in DASHBOARDS:
        panel = panel_of(uid, "Figures")
        # one of the first two lines of numbers
        assert panel["gridPos"]["y"] <= 3
        evaluated(series, "80m", [(asked(uid, "Figures"), {} if shown is None else {"{}": shown})])
        mapped, absent = panel["fieldConfig"]["defaults"]["mappings"]
        text = mapped["options"][f"{shown:g}"]["text"] if shown is not None else absent["options"]["result"]["text"]
        texts.add(text)
    assert len(texts) == 1
    assert texts.pop() not in ("", "No data")


def test_costs_that_are_known_to_be_wrong_are_not_called_current() -> None:
    read = [UP, (LOG, "1x90")]
    wrong = alert("cost_tracking_inaccurate", "warning", scope="team")
    pending = alert("cost_tracking_inaccurate", "warning", "pending", scope="team")
    down = [(UP[0], "0x90"), (LOG, "0x90")]
    for series, shown in (
        ([*read, wrong], 3),
        ([*read, wrong, alert("cost_tracking_inaccurate", "warning", scope="user", user="u")], 3),
        ([*read, pending], 1),
        ([*read, alert("high_error_rate", "critical")], 1),
        # a worse reason is the one that is said
        ([*down, wrong], 0),
        ([wrong], None),
    ):
        for uid in DASHBOARDS:
            evaluated(series, "80m", [(asked(uid, "Figures"), {} if shown is None else {"{}": float(shown)})])
            mapped = panel_of(uid, "Figures")["fieldConfig"]["defaults"]["mappings"][0]["options"]
            assert (mapped["3"]["text"], mapped["3"]["color"]) == ("Check costs", "orange")


@pytest.mark.parametrize(
    ("series", "state"),
    [
        ([(UP[0], "0x90"), (LOG, "0x90")], 0),
        ([(UP[0], "0x90"), (LOG, "0x90"), ('pg_up{job="postgres"}', "0x90")], -2),
        ([(UP[0], "1x50")], -1),
    ],
    ids=["log", "database", "exporter"],
)
def test_the_first_screen_says_since_when_figures_are_not_current(series: Series, state: int) -> None:
    last = (f"ai_exporter_last_success_timestamp_seconds{{{OWN}}}", "1200x50")
    for uid in DASHBOARDS:
        shown = {"{}": float(state), '{line="last read"}': 1200000.0}
        evaluated([*series, last], "80m", [(asked(uid, "Figures"), shown)])
        evaluated([UP, (LOG, "1x90"), last], "80m", [(asked(uid, "Figures"), {"{}": 1.0})])
        (override,) = panel_of(uid, "Figures")["fieldConfig"]["overrides"]
        assert override["matcher"]["options"] == "last read"
        assert {"id": "unit", "value": "dateTimeFromNow"} in override["properties"]


def _limits(users: int | None, groups: int | None, *periods: tuple[str, float]) -> Series:
    found = [UP]
    for metric, number in (("users", users), ("groups", groups)):
        found += [] if number is None else [(f'ai_budget_{metric}{{{OWN}, state="exceeded"}}', f"{number}x90")]
    for whose, spent in periods:
        found.append((f'ai_budget_spend_usd{{{OWN}, {whose}, period="month"}}', f"{spent}x90"))
        found.append((f'ai_budget_limit_usd{{{OWN}, {whose}, period="month"}}', "10x90"))
    return found


@pytest.mark.parametrize(
    ("series", "shown"),
    [
        (_limits(None, None), -1),
        (_limits(0, None), 0),
        (_limits(2, None), 2),
        (_limits(2, 1), 3),
        (_limits(None, None, ('user="", group="g"', 18.6), ('user="a", group=""', 17.7), ('user="", group=""', 9)), 2),
        (_limits(1, None, ('user="", group=""', 13)), 2),
        (_limits(None, None, ('user="a", group=""', 10)), 0),
    ],
    ids=["none", "within", "users", "groups", "periods", "both", "at the limit"],
)
def test_limits_of_any_kind_that_are_exceeded_are_counted(series: Series, shown: float) -> None:
    evaluated(series, "80m", [(asked("ai-cost", "Over limit"), {"{}": float(shown)})])
    replica = [(name.replace('"a:1"', '"b:1"'), values) for name, values in series]
    evaluated([*series, *replica], "80m", [(asked("ai-cost", "Over limit"), {"{}": float(shown)})])


def test_what_is_not_odd_is_not_called_no_calls() -> None:
    overrides = panel_of("ai-cost", "What else is odd")["fieldConfig"]["overrides"]
    columns = [each for each in overrides if each["matcher"]["options"].startswith("More ")]
    assert len(columns) == 5
    assert all('"0": {"color": "text", "index": 0, "text": "usual"}' in json.dumps(each) for each in columns)


def test_an_empty_log_has_cost_nothing() -> None:
    empty = [UP, *DAY, (f"ai_daily_limit_usd{{{OWN}}}", "60x1500")]
    zero = {"{}": 0.0}
    for title in ("Team today", "Team by midnight"):
        evaluated(empty, "6h", [(asked("ai-cost", title, letter), zero) for letter in "AB"])
    evaluated(empty, "6h", [(asked("ai-cost", "Team this month"), zero)])
    unread = [(UP[0], "0x1500"), *DAY]
    for title in ("Team today", "Team by midnight", "Team this month"):
        evaluated(unread, "6h", [(asked("ai-cost", title, letter), {}) for letter in "AB"])


def test_no_panel_is_empty_without_saying_why() -> None:
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            assert panel["fieldConfig"]["defaults"]["noValue"] not in ("", "No data"), panel["title"]


WATCHDOG = ('ALERTS{alertname="watchdog", alertstate="firing", severity="none", channel="d"}', "1x90")


def test_a_quiet_history_is_quiet_and_without_rules_nothing() -> None:
    history = asked("ai-health", "Alert history")
    evaluated([WATCHDOG], "80m", [(history, {'{alertname="all is well"}': 0.0})])
    evaluated([], "80m", [(history, {})])
    firing = ('ALERTS{alertname="x", alertstate="pending", severity="info", channel="d"}', "1x90")
    evaluated([WATCHDOG, firing], "80m", [(history, {'{alertname="x"}': 1.0})])


# What fires, as a person counts


def alert(name: str, severity: str, state: str = "firing", **labels: str) -> tuple[str, str]:
    more = "".join(f', {key}="{value}"' for key, value in labels.items())
    return (
        f'ALERTS{{alertname="{name}", alertstate="{state}", severity="{severity}", channel="d", job="ai"{more}}}',
        "1x90",
    )


EXCEEDED = [
    alert("budget_exceeded", "critical", scope="user", user="u"),
    alert("budget_used", "warning", scope="user", user="u", rung="80"),
    alert("budget_used", "warning", scope="user", user="u", rung="50"),
]


@pytest.mark.parametrize(
    ("firing", "critical", "warning", "info"),
    [
        ([], 0, 0, 0),
        (EXCEEDED, 1, 0, 0),
        (EXCEEDED[1:], 0, 1, 0),
        ([*EXCEEDED, alert("budget_used", "warning", scope="user", user="v", rung="50")], 1, 1, 0),
        ([alert("budget_exceeded", "critical", scope="team"), alert("budget_will_not_last", "warning")], 1, 0, 0),
        ([*EXCEEDED, alert("budget_will_not_last", "warning")], 1, 1, 0),
        ([alert("x", "critical", model="m"), alert("x", "warning", model="m"), alert("x", "info", model="n")], 1, 0, 1),
        ([alert("user_without_limit", "info", user=each) for each in "abc"], 0, 0, 3),
        ([alert("x", "critical", state="pending")], 0, 0, 0),
    ],
    ids=["none", "over", "rungs", "two users", "team", "other scope", "severities", "infos", "pending"],
)
def test_alerts_are_counted_as_a_person_counts_them(
    firing: list[tuple[str, str]], critical: int, warning: int, info: int
) -> None:
    counts = {"A": critical, "B": warning, "C": info}
    expected = [(asked("ai-health", "Alerts firing", letter), {"{}": float(n)}) for letter, n in counts.items()]
    expected += [(asked("ai-cost", "Alerts", letter), {"{}": float(counts[letter])}) for letter in "AB"]
    evaluated([WATCHDOG, *firing], "80m", expected)
    evaluated(firing[:0], "80m", [(expr, {}) for expr, _ in expected])
    colors = [color_of(panel_of("ai-health", "Alerts firing"), 1, letter) for letter in "ABC"]
    assert colors == ["red", "orange", "blue"]


def test_a_critical_alert_that_is_about_to_fire_is_said_beside_none_that_fires() -> None:
    about = [alert("log_unreadable", "critical", state="pending"), alert("slow", "warning", state="pending")]
    for uid, title, letter in (("ai-health", "Alerts firing", "D"), ("ai-cost", "Alerts", "C")):
        panel = panel_of(uid, title)
        evaluated([WATCHDOG, *about], "80m", [(asked(uid, title, letter), {"{}": 1.0})])
        evaluated([WATCHDOG, about[1]], "80m", [(asked(uid, title, letter), {"{}": 0.0})])
        evaluated([WATCHDOG, alert("x", "critical")], "80m", [(asked(uid, title, letter), {"{}": 0.0})])
        evaluated([], "80m", [(asked(uid, title, letter), {})])
        assert color_of(panel, 1, letter) == "orange"


def test_cost_says_that_something_is_down_and_leads_to_it() -> None:
    panel = panel_of("ai-cost", "Alerts")
    assert panel["gridPos"]["y"] <= 3
    assert panel["links"][0]["url"].startswith("/d/ai-health?")
    assert [color_of(panel, 1, letter) for letter in "AB"] == ["red", "orange"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"model": "claude"}, "claude"),
        ({"operation": "chat"}, "chat"),
        ({"operation": "chat", "model": "claude"}, "chat claude"),
        ({"scope": "user", "user": "anna@example.com"}, "user anna@example.com"),
        ({"scope": "group", "group": "search"}, "group search"),
        ({"scope": "team"}, "team"),
        ({}, ""),
    ],
)
def test_the_table_of_alerts_says_right_after_the_name_what_it_is_about(labels: dict[str, str], said: str) -> None:
    name, values = alert("x", "critical", **labels)
    since = name.replace("ALERTS{", "ALERTS_FOR_STATE{").replace(', alertstate="firing"', "")
    table = f"count by (about) ({asked('ai-health', 'Alerts now')})"
    shown = f'{{about="{said}"}}' if said else "{}"
    evaluated([WATCHDOG, (name, values), (since, "120x90")], "80m", [(table, {shown: 1.0})])
    (organized,) = [each for each in panel_of("ai-health", "Alerts now")["transformations"] if each["id"] == "organize"]
    order = sorted(organized["options"]["indexByName"], key=organized["options"]["indexByName"].get)
    assert order[:4] == ["rank", "alertname", "about", "Value"]
    assert not {"operation", "model", "name", "scope"} & set(order)


def test_the_table_of_alerts_has_the_worst_first_and_since_when() -> None:
    exceeded = EXCEEDED[0][0]
    since = exceeded.replace("ALERTS{", "ALERTS_FOR_STATE{").replace(', alertstate="firing"', "")
    series = [WATCHDOG, *EXCEEDED, (since, "120x90")]
    chosen = 'operation_or_all="All", model_or_all="All", user_or_all="u"'
    labels = f'{exceeded.removeprefix("ALERTS").removesuffix("}")}, rank="1", name="%s", about="user %s", {chosen}}}'
    evaluated(series, "80m", [(asked("ai-health", "Alerts now"), {labels % ("u", "u"): 120000.0})])
    info = (f'ai_user_info{{{OWN}, user="u", name="Anna"}}', "1x90")
    evaluated([*series, info], "80m", [(asked("ai-health", "Alerts now"), {labels % ("Anna", "Anna"): 120000.0})])
    panel = panel_of("ai-health", "Alerts now")
    assert panel["options"]["sortBy"][0] == {"desc": False, "displayName": "Severity"}


def test_an_alert_about_nobody_is_listed_and_its_empty_cells_are_no_links() -> None:
    team = alert("budget_exceeded", "critical", scope="team")
    since = (team[0].replace("ALERTS{", "ALERTS_FOR_STATE{").replace(', alertstate="firing"', ""), "60x90")
    chosen = 'operation_or_all="All", model_or_all="All", user_or_all="All"'
    labels = f'{team[0].removeprefix("ALERTS").removesuffix("}")}, rank="1", about="team", {chosen}}}'
    evaluated([WATCHDOG, team, since], "80m", [(asked("ai-health", "Alerts now"), {labels: 60000.0})])
    panel = panel_of("ai-health", "Alerts now")
    linked = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "links"
    }
    # each alert has a name, and not each an operation, a model or a user
    assert linked == {"Alert"}


# What users are called


UUID = "1a2b3c4d-0000-4000-8000-00000000000%d"


def _users(*numbers: int) -> Series:
    return [(f'ai_user_spend_today_usd{{{OWN}, user="{UUID % number}"}}', f"{number}x90") for number in numbers]


def _called(user: int, name: str, instance: str = "a:1", values: str = "1x90") -> tuple[str, str]:
    return f'ai_user_info{{job="ai", instance="{instance}", user="{UUID % user}", name="{name}"}}', values


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ([], "1a2b3c4d"),
        ([_called(1, "Anna")], "Anna"),
        # another user's name
        ([_called(2, "Ben")], "1a2b3c4d"),
        # the name that is no more has ended
        ([_called(1, "Anna", values="1x40 stale"), _called(1, "Anna B.", values="_x40 1x50")], "Anna B."),
        # two replicas, one of which has not seen the change
        ([_called(1, "Anna"), _called(1, "Anna", "b:1")], "Anna"),
    ],
    ids=["no names", "named", "another's", "renamed", "two replicas"],
)
def test_users_are_called_by_their_names_or_short_ids(info: Series, name: str) -> None:
    series = [UP, *_users(1), *info]
    for title in ("Budget utilization by user", "Where the day will end by user, all operations"):
        evaluated(series, "80m", [(asked("ai-cost", title), {f'{{user="{UUID % 1}", name="{name}"}}': 1.0})])


def test_two_names_for_a_user_break_no_panel() -> None:
    series = [UP, *_users(1, 2), _called(1, "Anna"), _called(1, "Anna B.", "b:1")]
    one = f"count by (user) ({asked('ai-cost', 'Budget utilization by user')})"
    evaluated(series, "80m", [(one, {f'{{user="{UUID % number}"}}': 1.0 for number in (1, 2)})])


def test_users_without_a_uuid_are_called_as_they_are() -> None:
    names = ("anna@example.com", "7", "unattributed", "1a2b3c4d-short")
    series = [UP, *((f'ai_user_spend_today_usd{{{OWN}, user="{name}"}}', "1x90") for name in names)]
    expected = {f'{{user="{name}", name="{name}"}}': 1.0 for name in names}
    evaluated(series, "80m", [(asked("ai-cost", "Budget utilization by user"), expected)])


def test_a_table_of_users_links_by_the_id_behind_the_name() -> None:
    found = 0
    for uid, made in DASHBOARDS.items():
        for panel in each_panel(made):
            properties = {
                override["matcher"]["options"]: {each["id"]: each["value"] for each in override["properties"]}
                for override in panel["fieldConfig"]["overrides"]
            }
            if panel["type"] == "table" and "Id" in properties:
                found += 1
                assert properties["Id"]["custom.hidden"] is True, (uid, panel["title"])
                assert "var-user=${__data.fields.Id}" in properties["User"]["links"][0]["url"]
    assert found == 5


def test_the_dropdown_shows_names_and_chooses_ids() -> None:
    (users,) = [each for each in DASHBOARDS["ai-cost"]["templating"]["list"] if each["name"] == "user"]
    # JavaScript's named groups
    pattern = users["regex"].strip("/").replace("(?<text>", "(?P<text>").replace("(?<value>", "(?P<value>")
    for name, user in (("Anna", "1a2b"), ('An "x" na', "a,b"), ("a", 'x"y'), ("{}", "other 2"), ("other", '"other"')):
        found = re.search(pattern, f'{{name="{name}",user="{user}"}} 1.5 1700000000000')
        assert found
        assert (found["text"], found["value"]) == (name, user)
    assert not re.search(pattern, '{name="other",user="other"} 1.5 1700000000000')
    (expr,) = re.findall(r"query_result\((.+)\)", users["query"]["query"])
    series = [UP, *_users(1), (_users(2)[0][0], "2x10 stale"), _called(1, "Anna")]
    view = replace(VIEW, until=86400)
    expected = {f'{{user="{UUID % 1}", name="Anna"}}': 1.0, f'{{user="{UUID % 2}", name="1a2b3c4d"}}': 2.0}
    evaluated(series, "80m", [(promql(expr, view), expected)])


def _budgets(metric: str, *labels: str) -> Series:
    return [(f"{metric}{{{OWN}, {each}}}", f"{number}x90") for number, each in enumerate(labels, 1)]


def test_budgets_with_a_period_are_everybodys_and_called_by_their_names() -> None:
    whose = (
        f'user="{UUID % 1}", group="", period="week"',
        f'user="{UUID % 2}", group="", period="week"',
        f'user="{UUID % 3}", group="", period="month"',
        'user="", group="search", period="week"',
        'user="", group="", period="week"',
    )
    # two users of one name have a line each
    series = [UP, _called(1, "Anna"), _called(2, "Anna")]
    series += [*_budgets("ai_budget_spend_usd", *whose), *_budgets("ai_budget_limit_usd", *whose)]
    title = "Budgets by user or group and period, and the team's"
    shown = {
        f'{{key="{UUID % 1}//week", budget="Anna, week"}}': 1.0,
        f'{{key="{UUID % 2}//week", budget="Anna, week"}}': 2.0,
        f'{{key="{UUID % 3}//month", budget="1a2b3c4d, month"}}': 3.0,
        '{key="/search/week", budget="group search, week"}': 4.0,
        '{key="//week", budget="team, week"}': 5.0,
    }
    used = {re.sub(r", budget=.*}", "}", labels): 1.0 for labels in shown}
    named = f"sum by (key, budget) ({asked('ai-cost', title, 'B')})"
    evaluated(series, "80m", [(named, shown), (f"sum by (key) ({asked('ai-cost', title)})", used)])


def test_a_choice_of_a_user_keeps_the_budgets_of_groups_and_of_the_team() -> None:
    whose = tuple(f'user="{user}", group="{group}", period="week"' for user, group in (("a", ""), ("b", ""), ("", "g")))
    title = "Budgets by user or group and period, and the team's"
    chosen = asked("ai-cost", title, "B", replace(VIEW, chosen={"user": ("a",)}))
    expected = {'{budget="a, week"}': 1.0, '{budget="group g, week"}': 3.0}
    evaluated([UP, *_budgets("ai_budget_spend_usd", *whose)], "80m", [(f"sum by (budget) ({chosen})", expected)])


# Names


def test_a_single_bar_has_its_name() -> None:
    bars = [panel for made in DASHBOARDS.values() for panel in each_panel(made) if panel["type"] == "bargauge"]
    assert bars
    for panel in bars:
        assert "${__field.labels." in panel["fieldConfig"]["defaults"]["displayName"]


def test_other_is_not_offered_where_the_log_does_not_know_it() -> None:
    for made in DASHBOARDS.values():
        for variable in made["templating"]["list"]:
            if variable["type"] == "query" and variable["name"] != "user":
                pattern = variable["regex"].strip("/")
                assert [name for name in ("other", "another", "others", "o", "") if re.match(pattern, name)] == [
                    "another",
                    "others",
                    "o",
                    "",
                ]
    (users,) = {target["expr"] for target in panel_of("ai-cost", "Budget utilization by user")["targets"][:1]}
    assert 'user!="other"' in users


def _url(text: str) -> list[str]:
    return re.findall(r"/d/ai-[a-z]+\?[^\"]*", text)


def test_links_between_pages_keep_what_was_chosen() -> None:
    found = [url for made in DASHBOARDS.values() for panel in each_panel(made) for url in _url(json.dumps(panel))]
    assert len(found) > 10
    for url in found:
        for name in ("datasource", "postgres", "job", "operation", "model"):
            assert f"${{{name}:queryparam}}" in url or f"var-{name}=" in url, url
        assert "${__url_time_range}" in url


STATES = {"Over limit": "counts users", "Figures": "of the exporter", "Alerts": "of Prometheus"}


def test_what_a_choice_does_not_narrow_says_so() -> None:
    """On the page with a dropdown for users: in the title of the panel or of its row."""
    row = ""
    for each in DASHBOARDS["ai-cost"]["panels"]:
        row = each["title"] if each["type"] == "row" else row
        for panel in each["panels"] if each["type"] == "row" else [each]:
            source = [of for of in each_panel(DASHBOARDS["ai-cost"]) if of["id"] == panel["targets"][0].get("panelId")]
            asked = json.dumps([target for one in (source or [panel]) for target in one["targets"]])
            narrowed = {name for name in ("operation", "model", "user") if f"${name}" in asked or f"{{{name}:" in asked}
            said = f"{panel['title']} / {row}"
            if panel["title"] in STATES:
                continue
            if narrowed >= {"operation", "model", "user"}:
                assert not re.search("[Tt]eam|all ", said), said
            elif "user" in narrowed:
                assert "all operations" in said, said
            elif narrowed:
                assert "all users" in said, said
            else:
                assert re.search(r"[Tt]eam", said), said


# What a page costs

SECONDS = {"1m": 60, "2m": 120}


def test_an_open_page_asks_at_most_twenty_queries_a_minute() -> None:
    for uid, made in DASHBOARDS.items():
        open_panels = [each for each in made["panels"] if each["type"] != "row"]
        queries = sum("panelId" not in target for panel in open_panels for target in panel["targets"])
        queries += sum("expr" in each for each in made["annotations"]["list"])
        assert 60 / SECONDS[made["refresh"]] * queries <= 20, (uid, queries)


def test_a_phone_shows_few_screens() -> None:
    """At 400 pixels panels stand one below the other: the rows that are open make less than seven screens of 800."""
    for uid, made in DASHBOARDS.items():
        heights = [1 if each["type"] == "row" else each["gridPos"]["h"] for each in made["panels"]]
        assert 38 * sum(heights) < 7 * 800, uid


def test_a_phones_first_screen_says_whether_the_limit_holds_and_what_is_down() -> None:
    """At 400 pixels, the header and the dropdowns of Grafana 13 were seen to take 265, and a gap 16 with its edge."""
    first = sorted((each["gridPos"]["y"], each["gridPos"]["x"], each) for each in DASHBOARDS["ai-cost"]["panels"][:4])
    assert [panel["title"] for _, _, panel in first] == [
        *("Team today", "Team by midnight", "Team this month", "Figures"),
    ]
    assert 265 + sum(38 * panel["gridPos"]["h"] + 8 for _, _, panel in first) <= 800


@pytest.mark.parametrize("title", ["Today by operation", "Today by model"])
def test_the_ten_largest_and_all_others_stand_there_without_scrolling(title: str) -> None:
    panel = panel_of("ai-cost", title)
    # a table of ten units was seen to show eight rows of 36 pixels
    assert panel["gridPos"]["h"] * 38 - 8 >= 32 + 16 + 36 * (1 + 11) - 2


@pytest.mark.parametrize(
    ("uid", "title"), [("ai-cost", "What has changed"), ("ai-performance", "The last hour by operation and model")]
)
def test_calls_are_counted_to_the_call(uid: str, title: str) -> None:
    (column,) = [
        each["properties"]
        for each in panel_of(uid, title)["fieldConfig"]["overrides"]
        if each["matcher"]["options"] == "Calls"
    ]
    # the unit for counts writes 1.98 K, beside 951
    assert {"id": "unit", "value": "none"} in column


def test_titles_are_whole_beside_grafanas_menu() -> None:
    """At 1280 pixels, Grafana 13 with its menu has 40 for a column; beside a title are its mark and its own range."""
    for made in DASHBOARDS.values():
        seen_first = [panel["id"] for panel in made["panels"]]
        for panel in each_panel(made):
            # in rows that are closed at first, a title may lose its end there: at 1600 pixels it is whole
            beside = (
                (112 if panel["id"] in seen_first else 90) + 30 * bool(panel.get("links")) + 125 * ("timeFrom" in panel)
            )
            assert 6.8 * len(panel["title"]) <= 40 * panel["gridPos"]["w"] - beside, panel["title"]


@pytest.mark.parametrize(("uid", "title"), [("ai-cost", "Alerts"), ("ai-health", "Alerts firing")])
def test_the_severities_of_alerts_do_not_touch_beside_grafanas_menu(uid: str, title: str) -> None:
    panel = panel_of(uid, title)
    assert (40 * panel["gridPos"]["w"] - 24) / len(panel["targets"]) >= 8 * len("critical")


def widths_of(uid: str, title: str) -> dict[str, int]:
    """The least widths of a table's columns, in pixels; Grafana's own is 150."""
    found = {}
    for override in panel_of(uid, title)["fieldConfig"]["overrides"]:
        properties = {each["id"]: each["value"] for each in override["properties"]}
        if override["matcher"]["id"] == "byName" and not properties.get("custom.hidden"):
            found[override["matcher"]["options"]] = next(
                (properties[key] for key in ("custom.width", "custom.minWidth") if key in properties), 150
            )
    return found


def test_alerts_are_whole_beside_grafanas_menu_up_to_their_state_and_on_a_phone_up_to_what_they_are_about() -> None:
    widths = widths_of("ai-health", "Alerts now")
    names = ("Severity", "Alert", "What", "Since", "State")
    assert sum(widths[name] for name in names) <= 40 * panel_of("ai-health", "Alerts now")["gridPos"]["w"] - 26
    assert sum(widths[name] for name in names[:3]) <= 350


@pytest.mark.parametrize("title", ["What else is odd", "Is the bill right"])
def test_a_table_shows_all_its_columns_at_1600_pixels(title: str) -> None:
    assert sum(widths_of("ai-cost", title).values()) <= 65 * panel_of("ai-cost", title)["gridPos"]["w"] - 26


def test_what_a_form_for_imports_needs_is_said() -> None:
    for made in DASHBOARDS.values():
        needed = {each["id"] for each in made["__requires"]}
        assert {panel["type"] for panel in each_panel(made)} <= needed
        assert {"grafana", "prometheus", "grafana-postgresql-datasource"} <= needed


def test_each_exclusion_of_the_linter_has_its_reason() -> None:
    rules = yaml.safe_load((ROOT / "dashboards" / "generated" / ".lint").read_text())["exclusions"]
    # of one rule, the linter's own name lacks the ending
    assert all(re.search("-rule$|^uneditable-dashboard$", rule) for rule in rules)
    assert all(each["reason"].endswith(".") for each in rules.values())


def test_lines_of_alerts_are_not_drawn_over_a_panel_with_its_own_time_range() -> None:
    for made in DASHBOARDS.values():
        own = [panel["id"] for panel in each_panel(made) if "timeFrom" in panel]
        for each in made["annotations"]["list"]:
            if "expr" in each:
                assert each["filter"] == {"exclude": True, "ids": own}


def test_durations_of_calls_have_a_logarithmic_axis() -> None:
    """To the base of 2: between the powers of 10, Grafana writes the text for no value on the axis."""
    titles = set()
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            defaults = panel["fieldConfig"]["defaults"]
            if panel["type"] == "timeseries" and defaults["custom"]["scaleDistribution"]["type"] == "log":
                titles.add(panel["title"])
                assert defaults["custom"]["scaleDistribution"]["log"] == 2
                assert defaults.get("min") is None
                # with a fixed number of decimals, two marks of the axis may look alike
                assert defaults["unit"] in {"si:s", "currencyUSD"}
    assert {"Response times", "Average by operation", "p95 by operation", "p95 by model"} <= titles


def test_charts_of_nothing_have_an_axis_for_little() -> None:
    """Grafana's own axis ends at 100, or at $100, where all values are 0."""
    found = 0
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            defaults = panel["fieldConfig"]["defaults"]
            linear = panel["type"] == "timeseries" and defaults["custom"]["scaleDistribution"]["type"] == "linear"
            if linear and defaults["unit"] in {"short", "currencyUSD"} and len(defaults["thresholds"]["steps"]) == 1:
                found += 1
                assert defaults["custom"]["axisSoftMax"] <= 5, panel["title"]
    assert found > 10


# No calls


_TILES = [
    ("ai-performance", "Errors, hour"),
    ("ai-performance", "Average, hour"),
    ("ai-performance", "p95, hour"),
    ("ai-health", "Success, hour"),
]
# as the exporter has them before the first call
_NO_CALLS = [
    *calls("m", "0x1500", "0x1500"),
    *(
        (f'ai_operation_latency_seconds_{part}{{{OWN}, operation="o", model="m"{edge}}}', "0x1500")
        for part, edge in (("count", ""), ("sum", ""), ("bucket", ', le="1"'), ("bucket", ', le="+Inf"'))
    ),
]


@pytest.mark.parametrize(("uid", "title"), _TILES)
@pytest.mark.parametrize("series", [[UP], [UP, *_NO_CALLS]], ids=["nothing", "zeros"])
def test_an_hour_without_calls_is_not_called_unread(uid: str, title: str, series: Series) -> None:
    evaluated(series, "2h", [(asked(uid, title), {"{}": -1.0})])
    evaluated([(UP[0], "0x1500"), *series[1:]], "2h", [(asked(uid, title), {})])
    assert '"-1": {"color": "text", "index": 0, "text": "No calls"}' in json.dumps(
        panel_of(uid, title)["fieldConfig"]["defaults"]["mappings"]
    )


def test_tables_and_charts_of_durations_hold_nothing_that_is_no_number() -> None:
    table: list[tuple[str, dict[str, float]]] = [
        (asked("ai-performance", "The last hour by operation and model", letter), {}) for letter in "ABCE"
    ]
    evaluated([UP, *_NO_CALLS], "2h", [*table, (asked("ai-performance", "Response times"), {})])
