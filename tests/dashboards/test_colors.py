"""Colours of series by their names: each has its own where names are known, and none means good, warning or bad."""

import colorsys
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.command import FOLDER
from alert_rules.compiler.thresholds import thresholds
from dashboards.alerts import alert_lines
from dashboards.colors import MODELS, NAMES, OPERATIONS
from dashboards.command import rendered
from dashboards.render import each_panel
from dashboards.settings import Settings
from dashboards.style import GREY
from exporter.catalog import ERROR_CLASSES, USUAL_OPERATIONS


def color_of(name: str, overrides: Sequence[dict[str, Any]]) -> str:
    """The colour that Grafana gives a series: the last override that matches counts."""
    found = ""
    for override in overrides:
        matcher, colors = override["matcher"], [each for each in override["properties"] if each["id"] == "color"]
        named = matcher["options"] == name
        if colors and (re.search(matcher["options"].strip("/"), name) if matcher["id"] == "byRegexp" else named):
            found = colors[0]["value"]["fixedColor"]
    return found


def means_something(color: str) -> bool:
    """Whether a colour is a green, an orange or a red."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    return saturation > 0.2 and (360 * hue < 40 or 75 < 360 * hue < 170 or 360 * hue > 345)


def test_the_usual_operations_have_a_colour_each() -> None:
    colors = {color_of(name, OPERATIONS) for name in USUAL_OPERATIONS}
    assert len(colors) == len(USUAL_OPERATIONS)
    assert GREY not in colors


@given(st.from_regex(r"\A[A-Za-z0-9_.-]*[A-Za-z][0-9_.-]*\Z"))
def test_no_operation_is_green_orange_or_red(name: str) -> None:
    color = color_of(name, OPERATIONS)
    assert color
    assert not means_something(color)


@pytest.mark.parametrize(
    "kind", ["classify", "draft-reply", "extract-line-items", "Summary", "v2"], ids=lambda kind: f"ends with {kind}"
)
def test_operations_that_end_alike_are_told_apart(kind: str) -> None:
    of = ("billing", "contract-review", "customer-support", "email", "marketing", "search", "translation", "research")
    colors = {color_of(f"{area}-{kind}", OPERATIONS) for area in of}
    assert len(colors) > 5


@pytest.mark.parametrize("name", ["other", "all others"])
def test_what_is_left_over_is_grey_everywhere(name: str) -> None:
    assert color_of(name, OPERATIONS) == color_of(name, MODELS) == GREY


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("gemini-2.0-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash", "gemini-2.5-pro"),
        ("claude-opus-4.5", "claude-opus-4.1"),
        ("claude-opus-4.5", "claude-sonnet-4.5"),
        ("deepseek-v3.2", "deepseek-v3.1"),
        ("deepseek-chat", "deepseek-reasoner"),
        ("gpt-4o", "gpt-4.1"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4.1-mini", "gpt-4o-mini"),
        ("gpt-5", "gpt-4o"),
    ],
)
def test_two_models_of_a_family_differ(one: str, another: str) -> None:
    colors = [color_of(name, MODELS) for name in (one, another)]
    assert colors[0] != colors[1]
    assert not any(map(means_something, colors))


PAGES = rendered(Settings(alert_lines(thresholds(FOLDER / "alerts.yaml"))))
BY_PALETTE = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, page in PAGES.items()
    for panel in each_panel(page)
    if panel["fieldConfig"]["defaults"].get("color", {}).get("mode", "palette-classic").startswith("palette")
    and panel["type"] not in {"heatmap", "state-timeline"}
]
MEANT = {"Daily limit": "red", "Limit": "red", "ok": "green", "warning": "orange", "exceeded": "red"}
"""Series that are good, bad or a warning themselves, and the lines from which on things are bad."""
ANY_NAME = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1)


def possible_names(panel: dict[str, Any]) -> st.SearchStrategy[str]:
    """What the series of a chart may be called."""
    legends = [target.get("legendFormat", "") for target in panel["targets"]]
    if (sql := panel["targets"][0].get("rawSql", "")) and " AS metric" not in sql:
        columns = re.findall(r'AS "([^"]+)"', sql)
        return st.sampled_from([name for name in columns if name != panel["options"].get("xField")])
    known = [legend for legend in legends if legend and "{{" not in legend]
    if legends == ["{{line}}"]:
        known = re.findall(r'"line", "(\w+)"', panel["targets"][0]["expr"])
    elif legends == ["{{error_class}}"]:
        known = list(ERROR_CLASSES)
    elif len(known) < len(legends):
        return st.sampled_from(known) | ANY_NAME if known else ANY_NAME
    return st.sampled_from(known)


@pytest.mark.parametrize("panel", BY_PALETTE)
@given(data=st.data())
def test_no_series_has_a_color_of_grafanas_palette(panel: dict[str, Any], data: st.DataObject) -> None:
    """That palette begins with green, and has orange and red."""
    name = data.draw(possible_names(panel))
    color = color_of(name, panel["fieldConfig"]["overrides"])
    if name in MEANT and color == MEANT[name]:
        return
    assert color, f"{name} has a colour of Grafana's palette"
    assert color == "blue" or (color.startswith("#") and not means_something(color))


def test_states_over_time_have_the_colors_of_their_values() -> None:
    timelines = [each for page in PAGES.values() for each in each_panel(page) if each["type"] == "state-timeline"]
    assert timelines
    for panel in timelines:
        mappings = panel["fieldConfig"]["defaults"]["mappings"]
        assert all(option["color"] for mapping in mappings for option in mapping["options"].values())


def test_how_many_is_not_drawn_in_the_colors_of_how_good() -> None:
    (panel,) = [each for page in PAGES.values() for each in each_panel(page) if each["type"] == "heatmap"]
    assert panel["options"]["color"]["scheme"] == "Blues"


@pytest.mark.parametrize(
    ("names", "least"),
    [
        ([f"user-{number}" for number in range(1, 11)], 8),
        ([f"{name}@example.com" for name in ("ann", "bob", "carol", "dave", "eve", "frank", "grace", "heidi")], 7),
        ([f"team-{name}" for name in ("email", "calendar", "task", "analytics")], 4),
        (["653588e7", "142f1824", "9b1deb4d", "3f2504e0", "c9bf9e57", "16fd2706", "7d444840", "e902893a"], 5),
        (["pending", "running"], 2),
        (["log", "budgets", "routes", "recommendations", "approvals", "user_names"], 4),
    ],
    ids=["numbers", "e-mail", "teams", "identifiers", "states", "parts of the scrape"],
)
def test_names_are_told_apart(names: list[str], least: int) -> None:
    colors = {color_of(name, NAMES) for name in names}
    assert len(colors) >= least
    assert not any(map(means_something, colors))


def test_every_chart_by_operation_has_these_colors() -> None:
    by_operation = [
        panel
        for page in PAGES.values()
        for panel in each_panel(page)
        if panel["type"] == "timeseries"
        and any(each.get("legendFormat") == "{{operation}}" for each in panel["targets"])
    ]
    assert len(by_operation) > 5
    for panel in by_operation:
        assert color_of("email-compose", panel["fieldConfig"]["overrides"][: len(OPERATIONS)]), panel["title"]
