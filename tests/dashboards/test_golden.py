"""One panel of each kind, as Grafana gets it. A change of shape is seen here, and looked at, before it is committed.

`WRITE_GOLDEN=1 pytest tests/dashboards/test_golden.py` writes the files anew.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from grafanalib.core import Dashboard

from dashboards import panels, style
from dashboards.colors import colored
from dashboards.grid import Row, arrange, line
from dashboards.promql import prom
from dashboards.render import render
from dashboards.sql import sql
from tests.support.grafana import SETTINGS

FOLDER = Path(__file__).parent / "golden"
DOC = ("A title", "What it shows.", "What helps when it is bad.")

KINDS: dict[str, Any] = {
    "stat": lambda: panels.stat(
        *DOC,
        prom("up", instant=True),
        unit=style.USD,
        decimals=2,
        steps=style.worse_above(0.8, 1),
        mappings=style.not_set("No limit set"),
        links=[panels.link("Elsewhere", "/d/ai-cost")],
    ),
    "timeseries": lambda: panels.timeseries(
        *DOC,
        prom("up", "{{job}}"),
        prom("rate(x_total[$__rate_interval])", "x"),
        unit=style.SECONDS,
        steps=style.worse_above(2),
        interval="5m",
        log=True,
        overrides=[colored("x", style.BAD, lineWidth=2)],
    ),
    "timeseries_bars": lambda: panels.timeseries(
        *DOC, sql("SELECT 1", series=True), unit=style.USD, bars=True, stacked=True, back="30d", table_legend=True
    ),
    "bargauge": lambda: panels.bar_gauge(*DOC, prom("up", "{{job}}", instant=True), unit=style.USD),
    "heatmap": lambda: panels.heatmap(*DOC, prom("x_bucket", "{{le}}", heatmap=True), unit=style.SECONDS),
    "state-timeline": lambda: panels.state_timeline(*DOC, prom("up", "{{job}}"), mappings=style.YES_NO),
    "barchart": lambda: panels.bar_chart(
        *DOC, sql("SELECT 1"), unit=style.COUNT, x="Hour", columns=("Input",), stacked=True, back="7d"
    ),
    "table": lambda: panels.table(
        *DOC,
        prom("up", table=True),
        prom("down", table=True),
        sort="Used",
        transformations=panels.joined("user", {"user": "User", "Value #A": "Spent", "Value #B": "Used"}),
        columns=[
            panels.column("User", links=[panels.link("Elsewhere", "/d/ai-cost")]),
            panels.column("Used", unit=style.SHARE, bar=True, high=1, steps=SETTINGS.alerts.budget_steps()),
        ],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_panel_has_the_shape_that_was_looked_at(kind: str) -> None:
    made = render(Dashboard(title="x", panels=arrange([Row("", [line(8, KINDS[kind]())])])))
    (panel,) = made["panels"]
    text = json.dumps(panel, indent=2, sort_keys=True) + "\n"
    file = FOLDER / f"{kind}.json"
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_every_kind_has_one() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(KINDS)


def test_rows_hold_their_panels_only_when_collapsed() -> None:
    section = [line(8, KINDS["stat"](), KINDS["stat"]())]
    for collapsed in (False, True):
        made = render(Dashboard(title="x", panels=arrange([Row("A row", section, collapsed=collapsed)])))
        row, *after = made["panels"]
        inside, outside = (row["panels"], after) if collapsed else (after, row["panels"])
        assert [panel["title"] for panel in inside] == ["A title", "A title"]
        assert outside == []
