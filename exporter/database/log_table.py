"""The log: the columns that it has or that stand for them, and the names of a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from psycopg import sql

from exporter.config.columns import TimeUnit
from exporter.config.expressions import Expression
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.labels import READ_LENGTH
from exporter.database.layout import OUTCOMES, Relation
from exporter.database.names import identifier, written


@dataclass(frozen=True)
class LogTable:
    """The log: where it is, and the columns of `layout.LOG_ROLES` that it has, or expressions for them.

    `outcomes` says how a call ended by the word in `status` (None: NULL), `time_unit` what the time column counts,
    `where` which rows are calls (None: all), `rates` what one of a currency is in US dollars: costs are converted.
    """

    relation: Relation
    columns: Mapping[str, Column]
    outcomes: Mapping[str | None, str] = field(default_factory=lambda: OUTCOMES)
    time_unit: TimeUnit = "timestamp"
    where: Expression | None = None
    rates: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def has_status(self) -> bool:
        """Whether rows change from pending to final (layout "status")."""
        return "status" in self.columns

    @property
    def outcome_role(self) -> str:
        """The role that says how a call ended."""
        return "status" if self.has_status else "success"

    @property
    def has_zone(self) -> bool:
        """Whether the time column tells an instant by itself."""
        return self.time_unit != "timestamp" or self.columns["time"].has_zone

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The table's own columns that are read, those in expressions among them."""
        expressions = [column.expression for column in self.columns.values()] + [self.where]
        within = (name for expression in expressions if expression is not None for name in expression.columns)
        plain = (column.name for column in self.columns.values() if column.expression is None)
        return tuple(self.relation.columns[name] for name in dict.fromkeys((*plain, *within)))

    def source(self, *more: Column) -> sql.Composable:
        """What to read from: the table, or a sub-select that has an expression's value by the name of its column.

        PostgreSQL pulls it up, so that the table's index serves. `more` are further columns of the table.
        """
        table = identifier(*self.relation.name.parts)
        made = [
            _MADE.format(written(column.expression), identifier(column.name))
            for column in self.columns.values()
            if column.expression is not None
        ]
        if not made and self.where is None:
            return table
        plain = [column for column in self.columns.values() if column.expression is None]
        names = dict.fromkeys(column.name for column in (*plain, *more))
        return _SOURCE.format(
            sql.SQL(", ").join([*map(identifier, names), *made]),
            table,
            sql.SQL("") if self.where is None else _WHERE.format(written(self.where)),
        )

    def column(self, role: str) -> sql.Identifier:
        """The column that has a role, quoted."""
        return identifier(self.columns[role].name)

    def text(self, role: str) -> sql.Composable:
        """The value of the column that has a role, as text; NULL where there is none."""
        return values.text(self.columns[role]) if role in self.columns else sql.SQL("NULL::text")

    def number(self, role: str) -> sql.Composable:
        """The value of the column that has a role, as NUMERIC; NULL where there is none."""
        return values.number(self.columns[role]) if role in self.columns else sql.SQL("NULL::numeric")

    def message(self) -> sql.Composable:
        """The beginning of the error's message; NULL where the log has none."""
        column = self.columns.get("error_message")
        return sql.SQL("NULL::text") if column is None else values.message(column)


_SOURCE = sql.SQL("(SELECT {} FROM {}{}) AS log")
_WHERE = sql.SQL(" WHERE ({})")
_MADE = sql.SQL("({}) AS {}")

# most ids begin with a character that can be seen, which is quicker to tell than whether they have one
_TYPE_IF_NEEDED = sql.SQL("CASE WHEN {0} BETWEEN '!' AND '~' OR {0} ~ '[!-~]' THEN NULL ELSE {1} END")


def name_column(log: LogTable, role: str) -> sql.Composed:
    """The column that has a role, as text that is not cleaned and has `READ_LENGTH` characters at most."""
    return cut(log.text(role))


def cut(text: sql.Composable) -> sql.Composed:
    """The first `READ_LENGTH` characters of a text: as much as a label can be made of, and blanks around it."""
    return sql.SQL("left({}, {})").format(text, sql.Literal(READ_LENGTH))


def operation_type(log: LogTable) -> sql.Composable:
    """The operation's type where its id may have nothing that can be seen, else NULL: few rows need both."""
    if not {"operation", "operation_type"} <= log.columns.keys():
        return sql.SQL("NULL::text")
    return _TYPE_IF_NEEDED.format(log.text("operation"), log.text("operation_type"))


def operation_columns(log: LogTable) -> tuple[sql.Composable, sql.Composable]:
    """What `labels.operation_name` takes: the operation's id, and its type where that may be needed."""
    return name_column(log, "operation" if "operation" in log.columns else "operation_type"), cut(operation_type(log))
