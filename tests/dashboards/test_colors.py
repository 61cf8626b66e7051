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
from dashboards.command import rendered
from dashboards.panels import MODELS, OPERATIONS
from dashboards.render import each_panel
from dashboards.settings import Settings
from dashboards.style import GREY
from exporter.config.models import DEFAULT_EXPECTED_OPERATIONS


def color_of(name: str, overrides: Sequence[dict[str, Any]]) -> str:
    """The colour that Grafana gives a series: the last override that matches counts."""
    found = ""
    for override in overrides:
        if re.search(override["matcher"]["options"].strip("/"), name):
            found = override["properties"][0]["value"]["fixedColor"]
    return found


def means_something(color: str) -> bool:
    """Whether a colour is a green, an orange or a red."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    return saturation > 0.2 and (360 * hue < 40 or 75 < 360 * hue < 170 or 360 * hue > 345)


def test_the_usual_operations_have_a_colour_each() -> None:
    colors = {color_of(name, OPERATIONS) for name in DEFAULT_EXPECTED_OPERATIONS}
    assert len(colors) == len(DEFAULT_EXPECTED_OPERATIONS)
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


def test_every_chart_by_operation_has_these_colours() -> None:
    pages = rendered(Settings(alert_lines(thresholds(FOLDER / "alerts.yaml"))))
    by_operation = [
        panel
        for page in pages.values()
        for panel in each_panel(page)
        if panel["type"] == "timeseries"
        and any(each.get("legendFormat") == "{{operation}}" for each in panel["targets"])
    ]
    assert len(by_operation) > 5
    for panel in by_operation:
        assert color_of("email-compose", panel["fieldConfig"]["overrides"][: len(OPERATIONS)]), panel["title"]
