"""The configuration of each alternative around the same two queries."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LABELS = ("operation", "model", "status")
COUNTED = ("calls", "cost_usd", "input_tokens", "output_tokens")
"""The columns of `totals.sql`: labels, and what is counted by them."""


@cache
def query(name: str) -> str:
    """The text of `totals` or `spend_today`, without its comment: some exporters send that to the server."""
    lines = files(__package__).joinpath(f"{name}.sql").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def query_exporter(url: str) -> str:
    """For query-exporter: its queries run at each scrape, and its metrics are named like the columns."""
    counters = {
        column: {"type": "counter", "labels": list(LABELS), "description": f"{column} since the first row"}
        for column in COUNTED
    }
    spend = {"type": "gauge", "labels": ["username"], "description": "spend today", "expiration": "30s"}
    return _yaml(
        {
            "databases": {"log": {"dsn": url.replace("postgresql:", "postgresql+psycopg:", 1)}},
            "metrics": counters | {"spend_usd": spend},
            "queries": {
                "totals": {"databases": ["log"], "metrics": list(counters), "sql": query("totals")},
                "spend": {"databases": ["log"], "metrics": ["spend_usd"], "sql": query("spend_today")},
            },
        }
    )


def sql_exporter(url: str, interval: str) -> str:
    """For Debian's prometheus-sql-exporter: its queries run at an interval; a scrape gets the last result."""
    totals = {
        "name": "log",
        "help": "calls",
        "labels": list(LABELS),
        "values": list(COUNTED),
        "query": query("totals"),
    }
    spend = {
        "name": "log_spend_today",
        "help": "spend today",
        "labels": ["username"],
        "values": ["spend_usd"],
        "query": query("spend_today"),
    }
    job = {"name": "log", "interval": interval, "connections": [url], "queries": [totals, spend]}
    return _yaml({"jobs": [job]})


def postgres_exporter() -> str:
    """For Debian's prometheus-postgres-exporter: custom queries, which run at each scrape."""

    def metrics(labels: tuple[str, ...], values: tuple[str, ...], usage: str) -> list[Mapping[str, Any]]:
        used = dict.fromkeys(labels, "LABEL") | dict.fromkeys(values, usage)
        return [{name: {"usage": kind, "description": name}} for name, kind in used.items()]

    return _yaml(
        {
            "log": {"query": query("totals"), "metrics": metrics(LABELS, COUNTED, "COUNTER")},
            "log_spend_today": {
                "query": query("spend_today"),
                "metrics": metrics(("username",), ("spend_usd",), "GAUGE"),
            },
        }
    )


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)
