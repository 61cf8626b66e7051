"""Build PromQL from templates with the catalog's names, and read facts from an expression's tree."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from string import Template
from typing import Any

import promql_parser

from exporter import catalog

_MANY = 4096
"""Expressions whose results are kept, at most: changing one alert compiles all alerts several times."""

_METRICS = {name: metric.name for name, metric in vars(catalog).items() if isinstance(metric, catalog.Metric)}


def promql(template: str, by: Iterable[str] = (), **names: object) -> str:
    """A template's expression on one line, parsed once to be sure of it.

    `$OPERATIONS` and its like stand for the catalog's metrics, `$by` for further labels of a `by (job$by)`; other
    names are the caller's. Raises `ValueError` where the result is not PromQL.
    """
    filled = Template(" ".join(template.split())).substitute(_METRICS, by="".join(f", {name}" for name in by), **names)
    check(filled)
    return filled


def highest_replica(expr: str, by: Iterable[str] = (), *, when: str = "") -> str:
    """One figure from replicas that read the same log: the sum within each, then the highest, by `job` and `by`.

    Only replicas count for which `when` has a value, with the labels `job` and `instance`.
    """
    labels = "".join(f", {name}" for name in by)
    counting = f" and on (job, instance) {when}" if when else ""
    return f"max by (job{labels}) (sum by (job, instance{labels}) ({expr}){counting})"


def day_projected(start: str, end: str) -> str:
    """How many times the day's spend so far its spend at midnight will be, at the day's average pace.

    No value in the day's first two hours. `start` and `end` select the day's bounds, in seconds.
    """
    return f"({end} - {start}) / (time() - {start} >= 7200)"


@lru_cache(_MANY)
def check(expression: str) -> Any:
    """The tree of an expression. Raises `ValueError` where it is none."""
    return promql_parser.parse(expression)


@lru_cache(_MANY)
def pretty(expression: str) -> str:
    """The expression over several lines. It is the same one: both trees have been compared."""
    shaped = str(check(expression).prettify())
    if shape(shaped) != shape(expression):
        raise ValueError(f"the printed form differs from {expression}")
    return shaped


def shape(expression: str) -> list[str]:
    """What makes up an expression, node by node: equal for expressions that differ only in white space."""
    return [
        f"{type(node).__name__} "
        + " ".join(f"{name}={_plain(getattr(node, name))}" for name in _DETAILS if hasattr(node, name))
        for node in nodes(expression)
    ]


_DETAILS = ("op", "modifier", "name", "matchers", "range", "offset", "at", "step", "val", "func")


def _plain(detail: Any) -> str:
    if isinstance(detail, promql_parser.Matchers):
        return str(sorted(f"{matcher.name}{matcher.op}{matcher.value!r}" for matcher in detail.matchers))
    return str(getattr(detail, "name", detail))


def nodes(expression: str) -> Iterator[Any]:
    """Every node of an expression's tree, from the top."""
    return _below(check(expression))


def _below(node: Any) -> Iterator[Any]:
    yield node
    parts = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for part in (*parts, *(getattr(node, "args", None) or ())):
        if isinstance(part, _NODES):
            yield from _below(part)


_NODES = (
    promql_parser.AggregateExpr,
    promql_parser.BinaryExpr,
    promql_parser.Call,
    promql_parser.MatrixSelector,
    promql_parser.NumberLiteral,
    promql_parser.ParenExpr,
    promql_parser.StringLiteral,
    promql_parser.SubqueryExpr,
    promql_parser.UnaryExpr,
    promql_parser.VectorSelector,
)


def selectors(expression: str) -> list[Any]:
    """The vector selectors of an expression: each has a `name` and `matchers`."""
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]
