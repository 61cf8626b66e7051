"""What every dashboard and panel keeps to: dashboard-linter's rules, the house's, and the alerts' thresholds.

Of dashboard-linter's rules one is not followed: there is no variable for the instance. Replicas are read together
everywhere (summed within one, then the highest), and a choice of one would show half a truth on a log read by two.
"""

import json
import re
from itertools import pairwise
from typing import Any

import promql_parser
import pytest

from dashboards.command import rendered
from dashboards.panels import DASHBOARD
from dashboards.render import each_panel
from dashboards.style import UNITS
from exporter.catalog import ALL as CATALOG
from exporter.catalog import COST, LATENCY, LOG_UP, Metric
from tests.support import ROOT
from tests.support.grafana import SETTINGS, View, promql, targets

Json = dict[str, Any]

DASHBOARDS = rendered(SETTINGS)
PANELS = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, dashboard in DASHBOARDS.items()
    for panel in each_panel(dashboard)
]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{uid}: {panel['title']} {target['refId']}")
    for uid, dashboard in DASHBOARDS.items()
    for panel, target in targets(dashboard)
    if "expr" in target
]
VIEW = View(0, 3600)
GENERATED = ROOT / "dashboards" / "generated"
THRESHOLDS = {"high_daily_spend": 200, "high_error_rate": 0.05, "slow_operations": 2, "spend_anomaly": 5}

TYPES = {"stat", "timeseries", "table", "bargauge", "heatmap", "state-timeline", "barchart"}
LEGACY_KEYS = {
    *("fieldOptions", "yaxes", "xaxis", "nullPointMode", "seriesOverrides", "aliasColors", "valueMaps", "styles"),
    *("intervalFactor", "displayMode", "gnetId", "rows", "sharedCrosshair", "hideControls", "__inputs", "useTags"),
}
FOREIGN = {
    "ALERTS",
    "ALERTS_FOR_STATE",
    "pg_settings_max_connections",
    "pg_stat_database_blks_hit",
    "pg_stat_database_blks_read",
    "pg_stat_database_numbackends",
    "pg_up",
    "probe_success",
}
"""Metrics of Prometheus itself, postgres_exporter 0.17 and blackbox_exporter 0.26."""


def exposed(metric: Metric) -> set[str]:
    if metric.kind == "histogram":
        return {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return {metric.name}


def nodes(expression: str) -> list[Any]:
    waiting, found = [promql_parser.parse(promql(expression, VIEW))], []
    while waiting:
        node = waiting.pop()
        found.append(node)
        parts = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
        waiting += [part for part in (*parts, *(getattr(node, "args", None) or ())) if part is not None]
    return [node for node in found if not isinstance(node, (str, int, float))]


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


@pytest.fixture(params=list(DASHBOARDS.values()), ids=list(DASHBOARDS))
def dashboard(request: pytest.FixtureRequest) -> Json:
    made: Json = request.param
    return made


def test_dashboards_are_provisioned_and_imported_without_a_clash() -> None:
    assert set(DASHBOARDS) == {"ai-cost", "ai-performance", "ai-health"}
    assert len({made["title"] for made in DASHBOARDS.values()}) == 3
    assert {path.stem for path in GENERATED.glob("*.json")} == set(DASHBOARDS)


def test_the_frame(dashboard: Json) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", dashboard["uid"])
    assert dashboard["id"] is None
    assert dashboard["editable"] is True
    assert dashboard["version"] == 1
    assert dashboard["timezone"] == "utc"
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["refresh"] == {"ai-cost": "2m"}.get(dashboard["uid"], "1m")
    assert dashboard["tags"] == ["ai-operations"]
    assert "do not edit" in dashboard["description"]
    others = {"ai-cost": "Cost", "ai-performance": "Performance", "ai-health": "Health"}
    del others[dashboard["uid"]]
    for link, (uid, title) in zip(dashboard["links"], others.items(), strict=True):
        wanted = {"type": "link", "url": f"/d/{uid}", "title": title, "includeVars": True, "keepTime": True}
        assert wanted.items() <= link.items()
    titles = [panel["title"] for panel in each_panel(dashboard)]
    assert len(titles) == len(set(titles))


def test_nothing_has_an_old_shape(dashboard: Json) -> None:
    def keys(value: Any, inside: str = "") -> set[str]:
        if isinstance(value, list):
            return {key for each in value for key in keys(each, inside)}
        if not isinstance(value, dict):
            return set()
        own = set(value) - ({"displayMode"} if inside in {"legend", "options"} else set())
        return own | {key for name, each in value.items() for key in keys(each, name)}

    assert not keys(dashboard) & LEGACY_KEYS
    assert {panel["type"] for panel in each_panel(dashboard)} <= TYPES
    # a list where nothing is mapped is what hides the unit from dashboard-linter
    assert all(panel["fieldConfig"]["defaults"].get("mappings") != [] for panel in each_panel(dashboard))


def test_data_sources_are_chosen_by_variables(dashboard: Json) -> None:
    source, postgres, *_ = dashboard["templating"]["list"]
    assert (source["name"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")
    assert (postgres["name"], postgres["query"]) == ("postgres", "postgres")
    assert {source["type"], postgres["type"]} == {"datasource"}


def test_query_variables_are_many_and_all_and_follow_the_time_range(dashboard: Json) -> None:
    variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
    wanted = ["job", "operation", "model"] + (["user"] if dashboard["uid"] == "ai-cost" else [])
    assert [each["name"] for each in variables] == wanted
    for each in variables:
        assert each["label"] == each["name"].capitalize()
        assert (each["multi"], each["includeAll"], each["allValue"], each["refresh"]) == (True, True, ".+", 2)
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        # a text that is null keeps dashboard-linter from expanding any query
        assert each["current"] == {"selected": True, "text": ["All"], "value": ["$__all"]}
        # users are offered by what they are called, which is no label of their series
        form = r"query_result\((.+)\)" if each["name"] == "user" else rf"label_values\((.+), {each['name']}\)"
        found = re.fullmatch(form, each["query"]["query"])
        assert found
        assert {selector.name for selector in selectors(found[1])} <= set(CATALOG)
        assert each["name"] == "job" or '"$job"' in found[1]


def test_alerts_are_annotations(dashboard: Json) -> None:
    expressions = [each["expr"] for each in dashboard["annotations"]["list"] if "expr" in each]
    assert len(expressions) == 1
    assert {selector.name for selector in selectors(expressions[0])} == {"ALERTS"}


def test_panels_lie_side_by_side_and_never_over_each_other(dashboard: Json) -> None:
    taken: set[tuple[int, int]] = set()
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    for panel in [*rows, *each_panel(dashboard)]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    heights = [panel["gridPos"]["y"] for panel in dashboard["panels"]]
    assert all(above <= below for above, below in pairwise(heights))
    ids = [panel["id"] for panel in [*rows, *each_panel(dashboard)]]
    assert len(ids) == len(set(ids))
    assert all(bool(row["panels"]) == row["collapsed"] for row in rows)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_what_to_do(panel: Json) -> None:
    assert panel["title"]
    shows, do = panel["description"].split("\n\n**What to do:** ")
    assert shows.endswith((".", "fires."))
    assert do.endswith(".")
    assert len(do) > 20


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_a_unit_and_tells_no_data_from_zero(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert defaults["noValue"]
    if panel["type"] == "stat":
        # or it would have the colour of the lowest value, and an outage would be green
        (absent,) = [each["options"] for each in defaults["mappings"] if each["type"] == "special"]
        assert absent["match"] == "null+nan"
        assert absent["result"]["color"] in {"text", "red"}
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    assert all(set(step) == {"color", "value"} for step in steps)
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            assert each["id"] != "unit" or each["value"] in UNITS
    # shares and amounts begin at 0; a share of what goes well ends at 1, so that what is missing shows; and a
    # logarithm has no 0
    if panel["type"] == "timeseries" and defaults["custom"]["scaleDistribution"]["type"] == "linear":
        assert defaults.get("min") == 0 or (defaults["unit"], defaults["max"]) == ("percentunit", 1)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_the_chosen_data_source(panel: Json) -> None:
    assert panel["targets"]
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
    if panel["datasource"] == DASHBOARD:
        (page,) = [made for made in DASHBOARDS.values() if panel in each_panel(made)]
        (source,) = [each for each in each_panel(page) if each["id"] == panel["targets"][0]["panelId"]]
        assert source["datasource"] != DASHBOARD
        return
    for target in panel["targets"]:
        kind = "prometheus" if "expr" in target else "grafana-postgresql-datasource"
        variable = "${datasource}" if "expr" in target else "${postgres}"
        assert panel["datasource"] == target["datasource"] == {"type": kind, "uid": variable}
    # with a number here, charts become silently coarse
    assert "maxDataPoints" not in panel


@pytest.mark.parametrize("panel", PANELS)
def test_a_number_is_of_this_moment(panel: Json) -> None:
    """A range's last value would be shown for as long as it lies in the range, over an outage and the next day."""
    if panel["type"] in {"stat", "bargauge", "table"}:
        assert all(target.get("instant", True) for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_threshold_that_is_said_to_be_an_alerts_is_the_alerts(panel: Json) -> None:
    steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]
    for name in re.findall(r"`(high_daily_spend)` fires|threshold of `(\w+)`", panel["description"]):
        name = "".join(name)
        assert THRESHOLDS[name] in steps or 1 - THRESHOLDS[name] in steps
    if "thresholds of `budget_used`" in panel["description"]:
        overrides = [each["value"]["steps"] for each in _properties(panel, "thresholds")]
        assert [0.5, 0.8, 1.0] in [steps, *([step["value"] for step in each[1:]] for each in overrides)]


def test_thresholds_of_alerts_are_shown_where_their_quantity_is() -> None:
    said = dict.fromkeys(("high_daily_spend", "high_error_rate", "slow_operations", "thresholds of `budget_used`"), 0)
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            for name in said:
                said[name] += name in panel["description"]
    assert min(said.values()) >= 2


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_reads_what_is_exported_of_the_chosen_jobs(expression: str) -> None:
    names = set().union(*map(exposed, CATALOG.values()))
    for selector in selectors(expression):
        assert selector.name in names | FOREIGN
    ours = re.findall(r"\bai_\w+\{([^}]*)\}", expression)
    assert all('job=~"$job"' in matchers for matchers in ours)
    assert len(ours) == sum(name in names for name in (selector.name for selector in selectors(expression)))
    for name in ("operation", "model", "user"):
        assert all(f'{name}=~"${name}"' in matchers for matchers in ours if f"{name}=" in matchers)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_counter_is_never_shown_raw_nor_while_the_log_is_not_read(expression: str) -> None:
    # which lines are drawn may be decided by what was not read, too
    expression = expression.replace("@ end()", "")
    expression = re.sub(r"topk\(10, sum by \([\w, ]+\) \(increase\([^)]*\)\)\)", "topk", expression)
    inside = re.findall(r"(\w+)\((ai_\w+)\{[^}]*\}\[([^\]]+)\]\)", expression)
    for function, name, window in inside:
        if CATALOG.get(name, LATENCY).kind == "gauge":
            assert (function, window) in {("min_over_time", "$__interval"), ("last_over_time", "1d")}
            continue
        assert function in {"rate", "increase"}
        assert window == "$__rate_interval" if function == "rate" else window in {"$__rate_interval", "1h", "15m", "5m"}
    counters = {name for metric in CATALOG.values() if metric.kind != "gauge" for name in exposed(metric)}
    read = [name for name in re.findall(r"ai_\w+", expression) if name in counters]
    assert sorted(read) == sorted(name for _, name, _ in inside if name in counters)
    if read:
        assert len(read) == expression.count(f'and on (job, instance) {LOG_UP.name}{{job=~"$job"}} == 1')


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_money_of_a_period_never_comes_from_a_counter(expression: str) -> None:
    if any(selector.name == COST.name for selector in selectors(expression)):
        root: Any = promql_parser.parse(promql(expression, VIEW))
        while not isinstance(root, promql_parser.BinaryExpr) or str(root.op) in ("*", "and"):
            of = "expr" if isinstance(root, promql_parser.ParenExpr) else "lhs" if str(root.op) == "and" else "rhs"
            root = getattr(root, of)
        assert isinstance(root, promql_parser.BinaryExpr)
        assert str(root.op) == "/"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_nothing_is_divided_by_zero(expression: str) -> None:
    for node in nodes(expression):
        if isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "/":
            below = node.rhs
            while isinstance(below, promql_parser.ParenExpr):
                below = below.expr
            text = str(below)
            assert re.search(r"> 0|>= (7200|5|10|20)", text) or "max_connections" in text, text


def test_every_exported_metric_is_charted() -> None:
    charted = {
        selector.name
        for made in DASHBOARDS.values()
        for _, target in targets(made)
        if "expr" in target
        for selector in selectors(target["expr"])
    }
    missing = {metric.name for metric in CATALOG.values() if not exposed(metric) & charted}
    assert not missing


def test_links_lead_to_dashboards_that_are_there() -> None:
    text = json.dumps(DASHBOARDS)
    linked = re.findall(r"/d/([a-z-]+)\?", text)
    assert set(linked) <= set(DASHBOARDS)
    assert len(set(linked)) > 1


TABLES = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, dashboard in DASHBOARDS.items()
    for panel in each_panel(dashboard)
    if panel["type"] == "table"
]
LEAD_ON = {"Operation": "operation", "Model": "model", "Primary model": "model", "Fallback": "model", "User": "user"}
"""Columns of tables whose names can be clicked, and the variable that a click sets."""


@pytest.mark.parametrize("panel", TABLES)
def test_every_name_in_a_table_leads_on(panel: Json) -> None:
    renamed = [
        set(each["options"]["renameByName"].values()) for each in panel["transformations"] if each["id"] == "organize"
    ]
    queried = {name for target in panel["targets"] for name in re.findall(r'AS "([^"]+)"', target.get("rawSql", ""))}
    overrides = {each["matcher"]["options"]: each["properties"] for each in panel["fieldConfig"]["overrides"]}
    if "Alert" in set().union(*renamed):
        # its names are what the alert is about, and often empty: the alert itself leads on
        assert {each["id"] for each in overrides["Alert"]} == {"links", "custom.minWidth"}
        return
    for name in set().union(queried, *renamed) & set(LEAD_ON):
        properties = {each["id"]: each["value"] for each in overrides.get(name, [])}
        (link,) = properties["links"]
        assert f"&var-{LEAD_ON[name]}=" in link["url"]
        if name == "User":
            # the cell says what the user is called, the link who it is
            assert link["url"].endswith(("var-user=${__data.fields.Id}", "var-user=${__data.fields.Chosen}"))


@pytest.mark.parametrize("panel", TABLES)
def test_a_name_that_looks_like_a_number_is_shown_as_it_is(panel: Json) -> None:
    """With a unit for numbers, Grafana showed the user 653588e7 as 6535880000000."""
    assert panel["fieldConfig"]["defaults"]["unit"] == "string"
    units = {
        override["matcher"]["options"]: each["value"]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "unit"
    }
    assert not set(units) & {*LEAD_ON, "Alert", "Group", "Name", "Id", "Type", "Message"}
    # and what is a number has one
    numbers = {
        new
        for each in panel["transformations"]
        if each["id"] == "organize"
        for old, new in each["options"]["renameByName"].items()
        if old.startswith("Value")
    }
    assert numbers - {"Enabled"} <= set(units)


def test_no_query_asks_for_prompts_or_answers() -> None:
    for made in DASHBOARDS.values():
        for _, target in targets(made):
            assert not re.search(r"request_metadata|\bresult\b|\*(?!\))\s+FROM", target.get("rawSql", ""))


def test_the_documentation_names_every_panel() -> None:
    text = (ROOT / "docs" / "panels.md").read_text()
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            assert f"| {panel['title']} |" in text


def _properties(panel: Json, name: str) -> list[Json]:
    overrides = panel["fieldConfig"]["overrides"]
    return [each for override in overrides for each in override["properties"] if each["id"] == name]
