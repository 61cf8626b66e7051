"""The queries of a dashboard's panels, from its JSON in Grafana, with "All" selected."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

MOST_POINTS = 300
"""The points per series of a range query: enough to run every expression as the page does."""

_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")


@dataclass(frozen=True)
class PanelRequest:
    """A panel's title, the uids of its data sources, and the request for `/api/ds/query`."""

    title: str
    sources: frozenset[str]
    request: Json


def panels(dashboard: Json) -> list[PanelRequest]:
    """Every panel with a query, including those in collapsed rows.

    Grafana's server expands macros ($__timeFrom(), $__rate_interval). Raises KeyError, TypeError or AttributeError for
    what is no dashboard.
    """
    values = {each["name"]: _value(each) for each in dashboard["templating"]["list"]}
    span = dashboard["time"]
    asking = (each for each in _flat(dashboard["panels"]) if each.get("targets"))
    return [_panel(each, values, span) for each in asking if not _shows_answers_of_another(each)]


def _flat(listed: list[Json]) -> Iterator[Json]:
    for each in listed:
        yield each
        yield from _flat(each.get("panels") or [])


def _shows_answers_of_another(panel: Json) -> bool:
    return any("panelId" in target for target in panel["targets"])


def _panel(panel: Json, values: Mapping[str, str], span: Json) -> PanelRequest:
    own = panel.get("timeFrom")
    queries = [
        {
            **_put_in(target, values),
            "datasource": _put_in(target.get("datasource") or panel["datasource"], values),
            "maxDataPoints": MOST_POINTS,
        }
        for target in panel["targets"]
        if not target.get("hide")
    ]
    return PanelRequest(
        title=str(panel.get("title") or f"panel {panel.get('id')}"),
        sources=frozenset(query["datasource"]["uid"] for query in queries),
        request={"from": f"now-{own}" if own else span["from"], "to": span["to"], "queries": queries},
    )


def _value(variable: Json) -> str:
    """The initial value of a variable; a provisioned data source's uid is its type."""
    if variable.get("includeAll"):
        return str(variable.get("allValue") or ".*")
    chosen = variable.get("current", {}).get("value")
    return str(chosen or variable.get("query") or "")


def _put_in(value: Any, values: Mapping[str, str]) -> Any:
    """A query with the values of the dashboard's variables; other words with a dollar stay."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), value)
    if isinstance(value, Mapping):
        return {key: _put_in(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_put_in(each, values) for each in value]
    return value
