"""The calls of the log that have ended, in one form for both layouts: for the rules' queries, and for evidence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from psycopg import sql

from exporter.config import Classification
from exporter.database.labels import Names
from exporter.database.log_table import LogTable, name_column, operation_columns
from exporter.database.log_time import bounds, instant
from exporter.database.measures import is_read, measure_value, usable
from exporter.database.outcomes import final_and_failed, is_refund
from exporter.database.session import Session
from exporter.ledger.calendar import DAY
from exporter.ledger.model import TimeRange

LOCK = "SET search_path = pg_catalog, pg_temp;\n"
"""How evidence begins, so that it calls only what is the system's own, whoever runs it."""

_CALLS = sql.SQL("""\
SELECT * FROM (
  SELECT {instant}::float8 AS at, coalesce({operation}, '') AS operation,
    coalesce({operation_type}, '') AS operation_type, coalesce({model}, '') AS model,
    coalesce({user}, '') AS username, {failed} AS failed,
    {measures}
  FROM {table}
  WHERE {time} >= {lower} AND {time} < {upper} AND {final}
) AS ended
WHERE at >= {lo} AND at < {hi}""")


@dataclass(frozen=True)
class Spelling:
    """How the log writes an operation and its model; empty where a column is NULL or absent."""

    operation: str
    operation_type: str
    model: str


@dataclass(frozen=True)
class Calls:
    """The calls of a span that have ended: `at` in seconds, names, whether they failed, and usable measures.

    The measures are `cost` in USD, `input_tokens`, `output_tokens`, `cached_tokens` and `latency` in milliseconds.
    `with_refunds` adds rows that are no calls but refunds; `is_call` tells them apart then.
    """

    log: LogTable
    rules: Classification
    span: TimeRange
    with_refunds: bool = False

    @cached_property
    def names(self) -> Names:
        """The labels of the names."""
        return Names(self.rules)

    @property
    def days(self) -> float:
        """Days in the span."""
        return (self.span.hi - self.span.lo) / DAY

    def last(self, days: int) -> "Calls":
        """The calls of the last days alone."""
        return replace(self, span=TimeRange(self.span.hi - days * DAY, self.span.hi))

    def rows(self, *measures: str) -> sql.Composed:
        """A query for the calls, with these measures."""
        log, rules = self.log, self.rules
        operation, operation_type = operation_columns(log)
        lower, upper = bounds(log, rules, self.span)
        final, failed = final_and_failed(log)
        shown = [self._measure(name) for name in measures or ("cost",)]
        if self.with_refunds:
            shown.append(sql.SQL("{} AS is_call").format(final))
            final = sql.SQL("({} OR {})").format(final, is_refund(log))
        return _CALLS.format(
            instant=instant(log, rules),
            operation=operation,
            operation_type=operation_type,
            model=name_column(log, "model"),
            user=name_column(log, "user"),
            failed=failed,
            measures=sql.SQL(", ").join(shown),
            table=log.source(),
            time=log.column("time"),
            final=final,
            lower=sql.Literal(lower),
            upper=sql.Literal(upper),
            lo=sql.Literal(self.span.lo),
            hi=sql.Literal(self.span.hi),
        )

    def subquery(self, *measures: str) -> sql.Composed:
        """The same in brackets, named `calls`."""
        return sql.SQL("({}) AS calls").format(self.rows(*measures))

    def read(
        self, session: Session, query: sql.SQL, *measures: str, **values: object
    ) -> Iterator[tuple[Spelling, list[Any]]]:
        """What a query selects by operation, operation type and model, which come first; it may name `{values}`."""
        statement = query.format(calls=self.subquery(*measures), **values)
        for operation, operation_type, model, *figures in session.stream(statement):
            yield Spelling(operation, operation_type, model), figures

    def labels(self, spelled: Spelling) -> tuple[str, str]:
        """The labels of an operation and its model."""
        return self.names.operation(spelled.operation, spelled.operation_type), self.names.model(spelled.model)

    def _measure(self, name: str) -> sql.Composed:
        value: sql.Composable = sql.SQL("NULL::numeric")
        if is_read(self.log, self.rules, name):
            most = sql.Literal(self.rules.bounds[name])
            value = usable(self.rules, name, measure_value(self.log, self.rules, name), most)
        return sql.SQL("{} AS {}").format(value, sql.Identifier(name))

    def evidence(self, query: str, spelled: Iterable[Spelling], *measures: str, by_model: bool = True) -> str:
        """A query for people, in which `{calls}` stands for the calls of these names."""
        # a name with a percent sign has two in a statement that we send
        rows = self.rows(*measures).as_string(None).replace("%%", "%")
        named = "\nOR ".join(dict.fromkeys(_condition(each, by_model=by_model) for each in spelled)) or "false"
        return LOCK + query.strip().replace("{calls}", f"(\n{rows}\nAND ({named})\n) AS calls") + ";"


def _condition(spelled: Spelling, *, by_model: bool) -> str:
    pairs = {"operation": spelled.operation}
    if spelled.operation_type:
        pairs["operation_type"] = spelled.operation_type
    if by_model:
        pairs["model"] = spelled.model
    return " AND ".join(f"{name} = {_literal(text)}" for name, text in pairs.items())


def _literal(text: str) -> str:
    return sql.Literal(text.encode("utf-8", "replace").decode()).as_string(None)
