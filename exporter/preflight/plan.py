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
    # PostgreSQL prints quotes if the name needs them
    in_quotes = '"' + column.replace('"', '""') + '"'
    # the conditions are in the order of the index's columns
    before = r"^\(*([^ .]+\.)*" if leading else ""
    named = re.compile(rf"{before}(?<![\w\"])({re.escape(column)}|{re.escape(in_quotes)})(?![\w\"])")
    nodes = list(_nodes(plan))
    sequential = [node for node in nodes if node["Node Type"] == "Seq Scan"]
    foreign = [node for node in nodes if node["Node Type"] == "Foreign Scan" and "Relation Name" in node]
    conditions = [(str(node["Index Name"]), str(node.get("Index Cond", ""))) for node in nodes if "Index Name" in node]
    return Scans(
        whole=tuple(map(_table, sequential)),
        indexes=tuple(dict.fromkeys(name for name, condition in conditions if named.search(condition))),
        foreign=tuple(map(_table, foreign)),
        conditions=tuple(conditions),
        sifted=tuple(_table(node) for node in sequential if asks_for_window(str(node.get("Filter", "")))),
    )


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
