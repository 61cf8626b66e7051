"""The kinds of panels, in the house style. `render` corrects what grafanalib gets wrong about them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import attr
from grafanalib import core

from dashboards import style
from dashboards.colors import in_order, of_series
from dashboards.promql import PROMETHEUS
from dashboards.style import Mappings, Steps


@dataclass(frozen=True)
class Panel:
    """A panel: what it shows, what to do when it looks bad, and grafanalib's object, which has no types."""

    title: str
    shows: str
    act: str
    widget: Any


@attr.s
class RawPanel(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """A panel of a type that grafanalib does not know in its present shape."""

    plugin: str = attr.ib(kw_only=True)
    options: dict[str, Any] = attr.ib(kw_only=True)

    def to_json_data(self) -> Any:
        """What grafanalib's encoder asks for."""
        return self.panel_json({"type": self.plugin, "options": self.options, "fieldConfig": {"overrides": []}})


def _panel(kind: Any, texts: tuple[str, str, str], targets: Sequence[Any], steps: Steps = (), **given: Any) -> Panel:
    title, shows, act = texts
    source = targets[0]["datasource"] if isinstance(targets[0], dict) else PROMETHEUS
    # the text behind the panel's (i)
    about = f"{shows}\n\n**What to do:** {act}"
    common = {"title": title, "description": about, "targets": list(targets), "dataSource": source}
    return Panel(*texts, kind(**common, maxDataPoints=None, thresholds=list(steps or style.NEUTRAL), **given))


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
    sizes: tuple[int, int] | None = None,
    absent: str = style.DIM,
    empty: str = style.NOT_READ,
    overrides: Sequence[dict[str, Any]] = (),
    links: Sequence[dict[str, Any]] = (),
) -> Panel:
    """One number, or a few with their names: of this moment, since a range's last value would outlive an outage.

    `empty` is shown where there is no number, in the colour `absent`. `sizes` are those of names and numbers in
    pixels; without it, Grafana makes them as large as fits.
    """
    text = {"titleSize": sizes[0], "valueSize": sizes[1]} if sizes else {}
    return _panel(
        core.Stat,
        (title, shows, act),
        targets,
        steps,
        format=unit,
        decimals=decimals,
        mappings=[*(mappings or []), *style.no_value(empty, absent)],
        noValue=empty,
        color={"mode": "thresholds"},
        colorMode="value",
        graphMode="none",
        reduceCalc="lastNotNull",
        textMode="value_and_name" if named else "value",
        overrides=list(overrides),
        links=list(links),
        extraJson={"options": {"text": text, "wideLayout": False}} if text else {},
    )


def of_query(letter: str, **properties: Any) -> dict[str, Any]:
    """An override for the answers of one of a panel's queries, which are lettered A, B and so on."""
    found = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byFrameRefID", "options": letter}, "properties": found}


def absolute(steps: Steps) -> dict[str, Any]:
    """Thresholds as a property of an override."""
    return {"mode": "absolute", "steps": [step.to_json_data() for step in steps]}


_LEAST: dict[str, dict[str, float]] = {style.COUNT: {"axisSoftMax": 5}, style.USD: {"axisSoftMax": 0.001}}
"""The least extent of axes. Where all values are 0, Grafana's own is 100."""


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
    log: bool = False,
    decimals: int | None = None,
    empty: str = style.NOTHING,
    transformations: Sequence[dict[str, Any]] = (),
    overrides: Sequence[dict[str, Any]] = (),
    colors: Sequence[dict[str, Any]] = (),
) -> Panel:
    """Lines over time, or bars, perhaps stacked. `steps` are drawn as lines; a gap stays a gap.

    `table_legend` is for long names. `back`, such as 30d, gives the panel a time range of its own, as long as
    the page has a relative one. `soft` holds the axis' least extent, such as {"axisSoftMin": 0.9}. With `log`, the axis
    is logarithmic, so that one large value does not flatten all others. `colors` are those of series that legends
    do not name.
    """
    axis = _log_axis(soft) if log else dict(soft or ({} if steps else _LEAST.get(unit, {})))
    return _panel(
        core.TimeSeries,
        (title, shows, act),
        targets,
        steps,
        unit=unit,
        valueMin=None if log else low,
        valueMax=high,
        interval=interval,
        timeFrom=back,
        **_drawn(bars=bars, stacked=stacked),
        pointSize=4,
        thresholdsStyleMode="dashed" if steps else "off",
        legendDisplayMode="table" if table_legend else "list",
        legendCalcs=["lastNotNull", "max"] if table_legend else [],
        tooltipMode="multi",
        tooltipSort="desc",
        transformations=list(transformations),
        overrides=[*(colors or of_series(targets, overrides)), *overrides],
        extraJson={"fieldConfig": {"defaults": {"noValue": empty, "decimals": decimals, "custom": axis}}},
    )


def _drawn(*, bars: bool, stacked: bool) -> dict[str, Any]:
    """How values are drawn: as lines or as bars, perhaps on top of each other."""
    return {
        "drawStyle": "bars" if bars else "line",
        "barAlignment": 1 if bars else 0,
        "lineWidth": 0 if bars else 1,
        "fillOpacity": 80 if bars else 25 if stacked else 0,
        "showPoints": "never" if bars else "auto",
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
    }


def _log_axis(soft: dict[str, float] | None) -> dict[str, Any]:
    # not to the base of 10, between whose powers Grafana writes the text for no value on the axis
    return {**(soft or {}), "scaleDistribution": {"type": "log", "log": 2}}


def bar_gauge(
    title: str,
    shows: str,
    act: str,
    *targets: Any,
    unit: str,
    decimals: int | None = None,
    empty: str = style.NOT_READ,
    transformations: Sequence[dict[str, Any]] = (),
    overrides: Sequence[dict[str, Any]] = (),
) -> Panel:
    """A bar for each series, called as in the query's legend, the largest first where the query sorts."""
    defaults = {"unit": unit, "min": 0, "decimals": decimals, "noValue": empty, "color": {"mode": "thresholds"}}
    # without it, Grafana leaves out the name of a single bar
    defaults["displayName"] = re.sub(r"\{\{(\w+)\}\}", r"${__field.labels.\1}", targets[0].legendFormat)
    return _panel(
        RawPanel,
        (title, shows, act),
        targets,
        style.CALMING,
        transformations=list(transformations),
        plugin="bargauge",
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 30,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "top",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showUnfilled": True,
            "sizing": "manual",
            "valueMode": "color",
        },
        extraJson={"fieldConfig": {"defaults": defaults, "overrides": list(overrides)}},
    )


def heatmap(title: str, shows: str, act: str, *targets: Any, unit: str) -> Panel:
    """How many calls lie in each bucket of a histogram, over time; `unit` is that of the buckets' edges."""
    return _panel(
        RawPanel,
        (title, shows, act),
        targets,
        plugin="heatmap",
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": style.COUNT},
            "color": {
                "exponent": 0.5,
                "fill": "dark-blue",
                "min": 0,
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Blues",
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
        extraJson={"fieldConfig": {"defaults": {"unit": style.COUNT, "noValue": style.NOTHING}}},
    )


def state_timeline(
    title: str, shows: str, act: str, *targets: Any, mappings: Mappings, empty: str = style.NOT_READ
) -> Panel:
    """States over time, one line each; where nothing is known, nothing is drawn.

    The queries look at the whole of each step of a minute or more: a state between two steps is not lost.
    """
    return _panel(
        core.StateTimeline,
        (title, shows, act),
        targets,
        mappings=mappings,
        showValue="never",
        rowHeight=0.8,
        mergeValues=True,
        overrides=[],
        interval="1m",
        extraJson={
            "fieldConfig": {"defaults": {"unit": style.PLAIN, "noValue": empty}},
            "options": {
                "alignValue": "left",
                "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
                "tooltip": {"mode": "single", "sort": "none"},
            },
        },
    )


def bar_chart(
    title: str,
    shows: str,
    act: str,
    *targets: Any,
    unit: str,
    x: str,
    columns: Sequence[str],
    stacked: bool = False,
    back: str | None = None,
    empty: str = style.NOTHING,
) -> Panel:
    """Bars of `columns` over the values of the column `x`."""
    custom = {"fillOpacity": 80, "lineWidth": 0, "axisSoftMin": 0, "hideFrom": _NOWHERE}
    return _panel(
        RawPanel,
        (title, shows, act),
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
                "defaults": {"unit": unit, "noValue": empty, "custom": custom, "color": {"mode": "palette-classic"}},
                # a label that is left out for want of room is no missing value
                "overrides": [{"matcher": {"id": "byName", "options": x}, "properties": [_BLANK]}, *in_order(columns)],
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
    then: str = "",
    rising: bool = False,
    empty: str = style.NOTHING,
) -> Panel:
    """A table, sorted by the column `sort` from the largest value down, or up where `rising`, and then by `then`.

    `columns` are overrides, see `column`.
    """
    order = [{"desc": not rising, "displayName": sort}] if sort else []
    order += [{"desc": True, "displayName": then}] if then else []
    return _panel(
        core.Table,
        (title, shows, act),
        targets,
        unit=style.TEXT,
        overrides=[_EMPTY_CELLS, *columns],
        transformations=list(transformations),
        filterable=False,
        extraJson={
            "fieldConfig": {"defaults": {"noValue": empty, "color": {"mode": "thresholds"}, "mappings": []}},
            "options": {
                "cellHeight": "sm",
                "footer": {"countRows": False, "fields": "", "reducer": ["sum"], "show": False},
                "showHeader": True,
                "sortBy": order,
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
    min_width: int | None = None,
    steps: Steps = (),
    bar: bool = False,
    high: float | None = None,
    colored: bool = False,
    mappings: Mappings | None = None,
    links: Sequence[dict[str, Any]] = (),
    hidden: bool = False,
    left: bool = False,
) -> dict[str, Any]:
    """How one column of a table looks.

    `min_width` replaces Grafana's 150 pixels; `bar` draws its value as a bar up to `high`; `colored`
    colours its text; `left` is for numbers that are written as words.
    """
    cell = (
        {"mode": "basic", "type": "gauge", "valueDisplayMode": "text"}
        if bar
        else {"type": "color-text", "wrapText": True}
    )
    given = {
        "unit": unit,
        "decimals": decimals,
        "custom.width": width,
        "custom.minWidth": min_width,
        "thresholds": absolute(steps) if steps else None,
        "custom.cellOptions": cell if bar or colored else None,
        "min": 0 if bar else None,
        "max": high,
        "mappings": mappings,
        "links": list(links) or None,
        "custom.hidden": hidden or None,
        "custom.align": "left" if left else None,
    }
    properties = [{"id": key, "value": value} for key, value in given.items() if value is not None]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def values(names: Iterable[str]) -> dict[str, str]:
    """The names of the columns with the values of a table's queries, which are lettered A, B and so on."""
    return {f"Value #{letter}": name for letter, name in zip(ascii_uppercase, names, strict=False)}


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


def where(name: str, value: str) -> dict[str, Any]:
    """A transformation that keeps the rows with this value in a column."""
    is_value = {"fieldName": name, "config": {"id": "equal", "options": {"value": value}}}
    return {"id": "filterByValue", "options": {"filters": [is_value], "match": "any", "type": "include"}}


DASHBOARD = {"type": "datasource", "uid": "-- Dashboard --"}
"""Grafana's own source for the answers that another panel of the page has got."""


def answers_of(panel: str) -> dict[str, Any]:
    """A target that asks nothing, and shows what the queries of another panel, by its title, have answered."""
    return {"datasource": DASHBOARD, "panel": panel}


def link(title: str, url: str) -> dict[str, Any]:
    """A data link."""
    return {"targetBlank": False, "title": title, "url": url}
