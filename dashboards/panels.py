"""The kinds of panels, in the house style. `render` corrects what grafanalib gets wrong about them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import attr
from grafanalib import core

from dashboards.promql import PROMETHEUS
from dashboards.sql import POSTGRES
from dashboards.style import CALMING, COUNT, DIM, NEUTRAL, NO_DATA, PLAIN, Mappings, Steps, no_data


@dataclass(frozen=True)
class PanelDoc:
    """What a panel says about itself: what it shows, and what to do when it looks bad."""

    title: str
    shows: str
    act: str

    @property
    def description(self) -> str:
        """The text behind the panel's (i)."""
        return f"{self.shows}\n\n**What to do:** {self.act}"


@dataclass(frozen=True)
class Panel:
    """A panel: its documentation, and grafanalib's object, which has no types."""

    doc: PanelDoc
    widget: Any


@attr.s
class RawPanel(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """A panel of a type that grafanalib does not know in its present shape."""

    plugin: str = attr.ib(kw_only=True)
    options: dict[str, Any] = attr.ib(kw_only=True)

    def to_json_data(self) -> Any:
        """What grafanalib's encoder asks for."""
        return self.panel_json({"type": self.plugin, "options": self.options, "fieldConfig": {"overrides": []}})


def _panel(kind: Any, doc: PanelDoc, targets: Sequence[Any], steps: Steps = (), **given: Any) -> Panel:
    source = POSTGRES if isinstance(targets[0], dict) else PROMETHEUS
    common = {"title": doc.title, "description": doc.description, "targets": list(targets), "dataSource": source}
    return Panel(doc, kind(**common, maxDataPoints=None, thresholds=list(steps or NEUTRAL), **given))


def stat(
    title: str,
    shows: str,
    act: str,
    *targets: Any,
    unit: str,
    steps: Steps = (),
    mappings: Mappings | None = None,
    decimals: int | None = None,
    named: bool = False,
    absent: str = DIM,
    links: Sequence[dict[str, Any]] = (),
) -> Panel:
    """One number, or a few with their names: of this moment, since a range's last value would outlive an outage.

    `absent` is the colour of "No data".
    """
    return _panel(
        core.Stat,
        PanelDoc(title, shows, act),
        targets,
        steps,
        format=unit,
        decimals=decimals,
        mappings=[*(mappings or []), *no_data(absent)],
        noValue=NO_DATA,
        color={"mode": "thresholds"},
        colorMode="value",
        graphMode="none",
        reduceCalc="lastNotNull",
        textMode="value_and_name" if named else "value",
        overrides=[],
        links=list(links),
    )


def timeseries(
    title: str,
    shows: str,
    act: str,
    *targets: Any,
    unit: str,
    steps: Steps = (),
    low: int | None = 0,
    high: int | None = None,
    stacked: bool = False,
    bars: bool = False,
    table_legend: bool = False,
    interval: str | None = None,
    back: str | None = None,
    soft: dict[str, float] | None = None,
    overrides: Sequence[dict[str, Any]] = (),
) -> Panel:
    """Lines over time, or bars, perhaps stacked. `steps` are drawn as lines; a gap stays a gap.

    `table_legend` is for long names. `back`, such as 30d, gives the panel a time range of its own, as long as
    the page has a relative one. `soft` holds the axis' least extent, such as {"axisSoftMin": 0.9}.
    """
    return _panel(
        core.TimeSeries,
        PanelDoc(title, shows, act),
        targets,
        steps,
        unit=unit,
        valueMin=low,
        valueMax=high,
        interval=interval,
        timeFrom=back,
        drawStyle="bars" if bars else "line",
        barAlignment=1 if bars else 0,
        lineWidth=0 if bars else 1,
        fillOpacity=80 if bars else 25 if stacked else 0,
        showPoints="never" if bars else "auto",
        pointSize=4,
        stacking={"group": "A", "mode": "normal" if stacked else "none"},
        thresholdsStyleMode="dashed" if steps else "off",
        legendDisplayMode="table" if table_legend else "list",
        legendCalcs=["lastNotNull", "max"] if table_legend else [],
        tooltipMode="multi",
        tooltipSort="desc",
        overrides=list(overrides),
        extraJson={"fieldConfig": {"defaults": {"noValue": NO_DATA, "custom": soft or {}}}},
    )


def bar_gauge(title: str, shows: str, act: str, *targets: Any, unit: str, decimals: int | None = None) -> Panel:
    """A bar for each series, the largest first where the query sorts."""
    defaults = {"unit": unit, "min": 0, "decimals": decimals, "noValue": NO_DATA, "color": {"mode": "thresholds"}}
    return _panel(
        RawPanel,
        PanelDoc(title, shows, act),
        targets,
        CALMING,
        plugin="bargauge",
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 22,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showUnfilled": True,
            "sizing": "manual",
            "valueMode": "color",
        },
        extraJson={"fieldConfig": {"defaults": defaults}},
    )


def heatmap(title: str, shows: str, act: str, *targets: Any, unit: str) -> Panel:
    """How many calls lie in each bucket of a histogram, over time; `unit` is that of the buckets' edges."""
    return _panel(
        RawPanel,
        PanelDoc(title, shows, act),
        targets,
        plugin="heatmap",
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": COUNT},
            "color": {
                "exponent": 0.5,
                "fill": "dark-orange",
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Turbo",
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
        extraJson={"fieldConfig": {"defaults": {"unit": COUNT, "noValue": NO_DATA}}},
    )


def state_timeline(title: str, shows: str, act: str, *targets: Any, mappings: Mappings) -> Panel:
    """States over time, one line each; where nothing is known, nothing is drawn."""
    return _panel(
        core.StateTimeline,
        PanelDoc(title, shows, act),
        targets,
        mappings=mappings,
        showValue="never",
        rowHeight=0.8,
        mergeValues=True,
        overrides=[],
        extraJson={
            "fieldConfig": {"defaults": {"unit": PLAIN, "noValue": NO_DATA}},
            "options": {
                "alignValue": "left",
                "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
                "tooltip": {"mode": "single", "sort": "none"},
            },
        },
    )


def bar_chart(
    title: str, shows: str, act: str, *targets: Any, unit: str, x: str, stacked: bool = False, back: str | None = None
) -> Panel:
    """Bars over the values of the column `x`."""
    custom = {"fillOpacity": 80, "lineWidth": 0, "axisSoftMin": 0, "hideFrom": _NOWHERE}
    return _panel(
        RawPanel,
        PanelDoc(title, shows, act),
        targets,
        timeFrom=back,
        plugin="barchart",
        options={
            "barRadius": 0,
            "barWidth": 0.9,
            "fullHighlight": False,
            "groupWidth": 0.8,
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "orientation": "auto",
            "showValue": "never",
            "stacking": "normal" if stacked else "none",
            "tooltip": {"mode": "multi", "sort": "none"},
            "xField": x,
            "xTickLabelRotation": 0,
            "xTickLabelSpacing": 0,
        },
        extraJson={
            "fieldConfig": {
                "defaults": {"unit": unit, "noValue": NO_DATA, "custom": custom, "color": {"mode": "palette-classic"}},
                # a label that is left out for want of room is no missing value
                "overrides": [{"matcher": {"id": "byName", "options": x}, "properties": [_BLANK]}],
            }
        },
    )


_BLANK = {"id": "noValue", "value": " "}
_NOWHERE = {"legend": False, "tooltip": False, "viz": False}


def table(
    title: str,
    shows: str,
    act: str,
    *targets: Any,
    columns: Iterable[dict[str, Any]] = (),
    transformations: Sequence[dict[str, Any]] = (),
    sort: str = "",
) -> Panel:
    """A table, sorted by the column `sort` from the largest value down; `columns` are overrides, see `column`."""
    return _panel(
        core.Table,
        PanelDoc(title, shows, act),
        targets,
        unit=PLAIN,
        overrides=[_EMPTY_CELLS, *columns],
        transformations=list(transformations),
        filterable=False,
        extraJson={
            "fieldConfig": {"defaults": {"noValue": NO_DATA, "color": {"mode": "thresholds"}, "mappings": []}},
            "options": {
                "cellHeight": "sm",
                "footer": {"countRows": False, "fields": "", "reducer": ["sum"], "show": False},
                "showHeader": True,
                "sortBy": [{"desc": True, "displayName": sort}] if sort else [],
            },
        },
    )


_EMPTY_CELLS = {"matcher": {"id": "byRegexp", "options": "/.*/"}, "properties": [{"id": "noValue", "value": "–"}]}
"""A cell without a value is not a panel without data."""


def column(
    name: str,
    *,
    unit: str | None = None,
    decimals: int | None = None,
    width: int | None = None,
    steps: Steps = (),
    bar: bool = False,
    high: float | None = None,
    colored: bool = False,
    mappings: Mappings | None = None,
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """How one column of a table looks; `bar` draws its value as a bar up to `high`, `colored` colours its text."""
    cell = {"mode": "basic", "type": "gauge", "valueDisplayMode": "text"} if bar else {"type": "color-text"}
    given = {
        "unit": unit,
        "decimals": decimals,
        "custom.width": width,
        "thresholds": {"mode": "absolute", "steps": [step.to_json_data() for step in steps]} if steps else None,
        "custom.cellOptions": cell if bar or colored else None,
        "min": 0 if bar else None,
        "max": high,
        "mappings": mappings,
        "links": list(links) or None,
    }
    properties = [{"id": key, "value": value} for key, value in given.items() if value is not None]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def only(renamed: dict[str, str]) -> list[dict[str, Any]]:
    """Transformations that keep these columns, in this order and with these names, and drop all others."""
    organized = {
        "excludeByName": {},
        "includeByName": {},
        "indexByName": {name: index for index, name in enumerate(renamed)},
        "renameByName": {old: new for old, new in renamed.items() if old != new},
    }
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(renamed)}}},
        {"id": "organize", "options": organized},
    ]


def joined(by: str, renamed: dict[str, str]) -> list[dict[str, Any]]:
    """Transformations that make one table of several instant queries, joined by a label."""
    return [{"id": "joinByField", "options": {"byField": by, "mode": "outer"}}, *only(renamed)]


def link(title: str, url: str) -> dict[str, Any]:
    """A data link."""
    return {"targetBlank": False, "title": title, "url": url}


def colored(name: str, color: str, **custom: Any) -> dict[str, Any]:
    """An override that gives a series a colour of its own, and perhaps another way of drawing it."""
    properties = [{"id": "color", "value": {"fixedColor": color, "mode": "fixed"}}]
    properties += [{"id": f"custom.{key}", "value": value} for key, value in custom.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}
