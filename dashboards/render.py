"""From grafanalib's objects to the JSON that Grafana 10.4 to 13 read without migrating it.

grafanalib 0.7.1 writes the shapes of Grafana 6 to 9 in places. All corrections are here, and nowhere else:
ids and refIds, keys that are dead by now, thresholds, legends, table cells, variables, the schema's version.
"""

import json
from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

from grafanalib._gen import DashboardEncoder
from grafanalib.core import Dashboard

SCHEMA_VERSION = 39
"""Grafana 10.4's. Newer ones migrate from it; an older number would run migrations for shapes that are not here."""

PLUGIN_VERSION = "10.4.0"
"""Without it, some panels take their options for those of Grafana 6."""

Json = dict[str, Any]

_REQUIRES = [
    {"type": "grafana", "id": "grafana", "name": "Grafana", "version": PLUGIN_VERSION},
    {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
    {"type": "datasource", "id": "grafana-postgresql-datasource", "name": "PostgreSQL", "version": "1.0.0"},
    *(
        {"type": "panel", "id": kind, "name": kind, "version": ""}
        for kind in ("barchart", "bargauge", "heatmap", "stat", "state-timeline", "table", "timeseries")
    ),
]
"""What the form for imports, and catalogs of dashboards, say is needed."""

_DASHBOARD = ("__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style")
_PANEL = (
    *("cacheTimeout", "editable", "error", "height", "minSpan", "span", "repeat", "repeatDirection", "maxPerRow"),
    *("columns", "fontSize", "color", "mappings", "timeShift", "hideTimeOverride"),
)
_VARIABLE = ("useTags", "tagsQuery", "tagValuesQuery", "auto", "auto_min", "auto_count")


def render(dashboard: Dashboard) -> Json:
    """The dashboard as plain dictionaries and lists."""
    raw: Json = json.loads(json.dumps(dashboard.auto_panel_ids().to_json_data(), cls=DashboardEncoder))
    made = {key: value for key, value in raw.items() if key not in _DASHBOARD}
    made["__requires"] = _REQUIRES
    ids = {panel["title"]: panel["id"] for panel in each_panel(raw)}
    made["panels"] = [_panel(panel, ids) for panel in raw["panels"]]
    own_range = [panel["id"] for panel in each_panel(made) if "timeFrom" in panel]
    made["annotations"] = {"list": [_annotation(each, own_range) for each in raw["annotations"]["list"]]}
    made["templating"] = {"list": [_variable(each) for each in raw["templating"]["list"]]}
    made["links"] = [_without_none(each) for each in raw["links"]]
    made["timepicker"] = {"refresh_intervals": raw["timepicker"]["refresh_intervals"]}
    return made | {"schemaVersion": SCHEMA_VERSION, "version": 1, "weekStart": "", "fiscalYearStartMonth": 0}


def to_text(rendered: Json) -> str:
    """The same bytes for the same dashboard: sorted keys, two spaces, a newline at the end."""
    return json.dumps(rendered, indent=2, sort_keys=True) + "\n"


def each_panel(rendered: Json) -> Iterator[Json]:
    """Every panel but the rows, those in collapsed rows too."""
    for panel in rendered["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def _annotation(raw: Json, own_range: list[int]) -> Json:
    # lines of the last hours would cover today's bar of a panel that shows a month
    return {**raw, "filter": {"exclude": True, "ids": own_range}} if "expr" in raw else raw


def _panel(raw: Json, ids: dict[str, int]) -> Json:
    if raw["type"] == "row":
        return {
            "collapsed": raw["collapsed"],
            "gridPos": raw["gridPos"],
            "id": raw["id"],
            "panels": [_panel(each, ids) for each in raw["panels"]],
            "title": raw["title"],
            "type": "row",
        }
    made = {key: value for key, value in raw.items() if key not in _PANEL and value is not None}
    made["targets"] = [
        _target(target, letter, raw["datasource"], ids)
        for letter, target in zip(ascii_uppercase, raw["targets"], strict=False)
    ]
    made["pluginVersion"] = PLUGIN_VERSION
    defaults: Json = _without_none(raw["fieldConfig"]["defaults"])
    defaults["custom"] = _without_none(defaults.get("custom", {}))
    # an empty list of mappings keeps dashboard-linter from looking at the unit
    if not defaults.get("mappings"):
        defaults.pop("mappings", None)
    # what was lost with the other absent values: the first step of thresholds begins nowhere
    defaults["thresholds"] = raw["fieldConfig"]["defaults"]["thresholds"]
    made["fieldConfig"] = {"defaults": defaults, "overrides": raw["fieldConfig"].get("overrides", [])}
    _SHAPES.get(raw["type"], lambda _: None)(made)
    return made


def _timeseries(panel: Json) -> None:
    legend = panel["options"]["legend"]
    legend["showLegend"] = True
    custom = panel["fieldConfig"]["defaults"]["custom"]
    custom.setdefault("scaleDistribution", {"type": "linear"})
    custom["axisBorderShow"] = False
    custom["insertNulls"] = False


def _stat(panel: Json) -> None:
    del panel["fieldConfig"]["defaults"]["custom"]
    usual = {"percentChangeColorMode": "standard", "showPercentChange": False, "wideLayout": True}
    panel["options"] = usual | panel["options"]


def _table(panel: Json) -> None:
    custom = panel["fieldConfig"]["defaults"]["custom"]
    custom["cellOptions"] = {"type": custom.pop("displayMode"), "wrapText": True}
    custom["inspect"] = False


def _state_timeline(panel: Json) -> None:
    # with thresholds as the mode, values are merged by them and the mappings' colours are lost
    panel["fieldConfig"]["defaults"]["color"] = {"mode": "palette-classic"}


_SHAPES = {"timeseries": _timeseries, "stat": _stat, "table": _table, "state-timeline": _state_timeline}


def _target(raw: Json, letter: str, datasource: Json, ids: dict[str, int]) -> Json:
    if "rawSql" in raw:
        return {**raw, "refId": letter}
    if "panel" in raw:
        return {"datasource": raw["datasource"], "panelId": ids[raw["panel"]], "refId": letter}
    return {
        "datasource": datasource,
        "editorMode": "code",
        "expr": raw["expr"],
        "format": raw["format"],
        "instant": raw["instant"],
        "legendFormat": raw["legendFormat"],
        "range": not raw["instant"],
        "refId": letter,
    }


def _variable(raw: Json) -> Json:
    made = {key: value for key, value in raw.items() if key not in _VARIABLE and value is not None}
    if raw["type"] == "query":
        made["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
        made["definition"] = raw["query"]
        kind = 3 if raw["query"].startswith("query_result(") else 1
        made["query"] = {"qryType": kind, "query": raw["query"], "refId": "PrometheusVariableQueryEditor-VariableQuery"}
        made["regex"] = raw["regex"]
        made["skipUrlSync"] = False
        return made
    del made["refresh"], made["sort"]
    if raw["type"] == "constant":
        made["skipUrlSync"] = True
        del made["current"]["tags"]
        made["options"] = [{"selected": True, "text": raw["query"], "value": raw["query"]}]
        return made
    # without a choice of its own, Grafana takes its default data source of that kind
    made["current"] = {}
    made["regex"] = ""
    return made


def _without_none(raw: Json) -> Json:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in raw.items()
        if value is not None
    }
