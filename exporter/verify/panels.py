"""A dashboard's panels, out of its JSON as Grafana keeps it: what each one asks with "All" chosen."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

MOST_POINTS = 300
"""A range query's points per series: enough to run every expression as the page runs it."""

_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")


@dataclass(frozen=True)
class Panel:
    """A panel's title, the uids of the data sources that it asks, and the request as `/api/ds/query` takes it."""

    title: str
    sources: frozenset[str]
    request: Json


def panels(dashboard: Json) -> list[Panel]:
    """Every panel that asks something, those in collapsed rows too.

    Macros ($__timeFrom(), $__rate_interval) are left to Grafana's server. Raises KeyError, TypeError or AttributeError
    where this is no dashboard.
    """
    values = {each["name"]: _value(each) for each in dashboard["templating"]["list"]}
    span = dashboard["time"]
    return [_panel(each, values, span) for each in _flat(dashboard["panels"]) if each.get("targets")]


def _flat(listed: list[Json]) -> Iterator[Json]:
    for each in listed:
        yield each
        yield from _flat(each.get("panels") or [])


def _panel(panel: Json, values: Mapping[str, str], span: Json) -> Panel:
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
    return Panel(
        title=str(panel.get("title") or f"panel {panel.get('id')}"),
        sources=frozenset(query["datasource"]["uid"] for query in queries),
        request={"from": f"now-{own}" if own else span["from"], "to": span["to"], "queries": queries},
    )


def _value(variable: Json) -> str:
    """What the page puts in for a variable when it is opened; a data source's uid is its type, as provisioned."""
    if variable.get("includeAll"):
        return str(variable.get("allValue") or ".*")
    chosen = variable.get("current", {}).get("value")
    return str(chosen or variable.get("query") or "")


def _put_in(value: Any, values: Mapping[str, str]) -> Any:
    """A query with the dashboard's own variables put in; other words with a dollar stay."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), value)
    if isinstance(value, Mapping):
        return {key: _put_in(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_put_in(each, values) for each in value]
    return value
