"""Read a plan (EXPLAIN, FORMAT JSON, VERBOSE): which tables it scans, and how."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config import QualifiedName

# The plan has parentheses around each comparison, and an alias before a column.
_WINDOW = re.compile(r"\(([^']+) >= .+?\) AND \(\1 < ", re.DOTALL)


@dataclass(frozen=True)
class Scans:
    """Tables that are read whole, indexes that are used by a column, and foreign tables.

    `conditions` has every index that is scanned, with its condition (empty: all of it is read). `sifted` are those
    tables of `whole` whose rows are looked through for a window; `passed` the indexes, with their tables, of which that
    is true.
    """

    whole: tuple[QualifiedName, ...]
    indexes: tuple[str, ...]
    foreign: tuple[QualifiedName, ...]
    conditions: tuple[tuple[str, str], ...] = ()
    sifted: tuple[QualifiedName, ...] = ()
    passed: tuple[tuple[str, QualifiedName], ...] = ()


def read_plan(plan: Mapping[str, Any], column: str, *, leading: bool = False) -> Scans:
    """The scans of a plan, which is the value of `Plan` in EXPLAIN's first element.

    With `leading`, only indexes that begin with the column count as used by it.
    """
    whole: list[QualifiedName] = []
    indexes: list[str] = []
    foreign: list[QualifiedName] = []
    conditions: list[tuple[str, str]] = []
    sifted: list[QualifiedName] = []
    # PostgreSQL prints quotes if the name needs them
    in_quotes = '"' + column.replace('"', '""') + '"'
    # the conditions are in the order of the index's columns
    before = r"^\(*([^ .]+\.)*" if leading else ""
    named = re.compile(rf"{before}(?<![\w\"])({re.escape(column)}|{re.escape(in_quotes)})(?![\w\"])")
    for node in _nodes(plan):
        kind = node["Node Type"]
        if kind == "Seq Scan":
            whole.append(_table(node))
            if asks_for_window(str(node.get("Filter", ""))):
                sifted.append(_table(node))
        elif kind == "Foreign Scan" and "Relation Name" in node:
            foreign.append(_table(node))
        elif "Index Name" in node:
            name, condition = str(node["Index Name"]), str(node.get("Index Cond", ""))
            conditions.append((name, condition))
            if named.search(condition):
                indexes.append(name)
    return Scans(tuple(whole), tuple(dict.fromkeys(indexes)), tuple(foreign), tuple(conditions), tuple(sifted))


def asks_for_window(condition: str) -> bool:
    """Whether a condition of a plan asks for a stretch of some value, whatever it is called there."""
    return _WINDOW.search(condition) is not None


def is_sought(condition: str, key: str) -> bool:
    """Whether an index condition asks for a stretch of this key, as `pg_get_indexdef` writes it."""
    # the plan has the table's alias before a column, and parentheses of its own
    plain, sought = (re.sub(r"[()\s]", "", re.sub(r'([\w$]+|"([^"]|"")+")\.', "", text)) for text in (condition, key))
    # of a domain, the plan has the type beneath it
    return re.search(rf"(^|AND){re.escape(sought)}(::[^<>=]+)?(<|>)=?(?!.*OR)", plain) is not None


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _table(node: Mapping[str, Any]) -> QualifiedName:
    return QualifiedName(node.get("Schema"), node["Relation Name"])
