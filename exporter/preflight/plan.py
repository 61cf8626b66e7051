"""Read a plan (EXPLAIN, FORMAT JSON, VERBOSE): which tables it scans, and how."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config import QualifiedName


@dataclass(frozen=True)
class Scans:
    """Tables that are read whole, indexes that are used by a column, and foreign tables."""

    whole: tuple[QualifiedName, ...]
    indexes: tuple[str, ...]
    foreign: tuple[QualifiedName, ...]


def read_plan(plan: Mapping[str, Any], column: str, *, leading: bool = False) -> Scans:
    """The scans of a plan, which is the value of `Plan` in EXPLAIN's first element.

    With `leading`, only indexes that begin with the column count as used by it.
    """
    whole: list[QualifiedName] = []
    indexes: list[str] = []
    foreign: list[QualifiedName] = []
    # PostgreSQL prints quotes if the name needs them
    in_quotes = '"' + column.replace('"', '""') + '"'
    # the conditions are in the order of the index's columns
    before = r"^\(*([^ .]+\.)*" if leading else ""
    named = re.compile(rf"{before}(?<![\w\"])({re.escape(column)}|{re.escape(in_quotes)})(?![\w\"])")
    for node in _nodes(plan):
        kind = node["Node Type"]
        if kind == "Seq Scan":
            whole.append(_table(node))
        elif kind == "Foreign Scan" and "Relation Name" in node:
            foreign.append(_table(node))
        elif "Index Name" in node and named.search(node.get("Index Cond", "")):
            indexes.append(str(node["Index Name"]))
    return Scans(tuple(whole), tuple(dict.fromkeys(indexes)), tuple(foreign))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _table(node: Mapping[str, Any]) -> QualifiedName:
    return QualifiedName(node.get("Schema"), node["Relation Name"])
