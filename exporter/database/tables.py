"""The optional tables: where each is, which column holds what, and how it is read.

Their readers return None where there is no such table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from psycopg import sql

from exporter.config import Config, QualifiedName
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.errors import TooManyRows
from exporter.database.layout import Relation, find_columns, roles_of
from exporter.database.names import identifier
from exporter.database.session import Session

_T = TypeVar("_T")
PENDING = "pending"


@dataclass(frozen=True)
class ReadPlan(Generic[_T]):
    """How to read a table whose rows are proven to be visible: a statement, and what its rows say.

    `finish` makes the value of the rows; it may read more.
    """

    statement: sql.Composed
    row_security: str
    finish: Callable[[Session, list[tuple[Any, ...]]], _T]


@dataclass(frozen=True)
class Table:
    """An optional table that can be read: where it is, and which column holds what."""

    relation: Relation
    columns: Mapping[str, Column]

    @property
    def owner(self) -> str:
        """The role of a budget's user or group."""
        return "group" if "group" in self.columns else "user"

    @property
    def name(self) -> sql.Identifier:
        """The table's name, quoted."""
        return identifier(*self.relation.name.parts)

    def column(self, role: str) -> sql.Identifier:
        """The column that has a role, quoted."""
        return identifier(self.columns[role].name)

    def value(self, role: str) -> sql.Composable:
        """The column that has a role: a number as NUMERIC, a flag as it is, else text; NULL where there is none."""
        if role not in self.columns:
            return sql.SQL("NULL::numeric") if role in _AMOUNTS else sql.SQL("NULL::text")
        if role == "enabled":
            return self.column(role)
        column = self.columns[role]
        return values.number(column) if role in _AMOUNTS else values.text(column)

    def group(self, role: str) -> sql.Composable:
        """The column that has a role: bare, so that an index serves, where it is compared exactly so; else as text."""
        column = self.columns[role]
        return self.column(role) if column.category in "SE" and not column.folds_text else self.value(role)


_AMOUNTS = tuple(
    """
    daily_limit monthly_limit limit soft_limit warning_threshold spent_today spent_month estimated_cost savings
    """.split()
)


def read_planned(session: Session, plan: ReadPlan[_T] | None) -> _T | None:
    """Read a table as planned; None where there is none."""
    return None if plan is None else plan.finish(session, session.run(plan.statement))


def find_table(session: Session, config: Config, section: str) -> Table | None:
    """An optional table, by its place in the configuration; None if it is switched off or absent.

    Raises `SchemaProblem` or `NotVisible` if it cannot be read.
    """
    name: QualifiedName | None = getattr(config.tables, section)
    relation = None if name is None else session.neighbour(name, f"tables.{section}", config.tables.log)
    if relation is None:
        return None
    columns = find_columns(relation, section, *roles_of(section, config.columns))
    session.prove_visible(relation, section, columns.values())
    return Table(relation, columns)


def bound(table: Table, rows: int, most: int) -> None:
    """Raise `TooManyRows` where a table has more rows than are read."""
    if rows > most:
        raise TooManyRows(
            f"{table.relation.name} has more than {most} rows, too many to read",
            "name a view with fewer in the configuration, or null to leave the table out: tables",
        )
