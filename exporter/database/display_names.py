"""What users are called: looked up by the ids in the log, in a table that the configuration names."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from exporter.catalog import USER_NAMES
from exporter.config import LABEL_LENGTH, Config
from exporter.config.expressions import Expression
from exporter.config.sections import DisplayNames
from exporter.database import values
from exporter.database.columns import INTEGERS, Column, Kind, fits
from exporter.database.errors import SchemaProblem
from exporter.database.labels import READ_LENGTH, user_name
from exporter.database.layout import Relation
from exporter.database.mapping import FORMS, made_column
from exporter.database.names import identifier, literal, written
from exporter.database.session import Session
from exporter.database.tables import ReadPlan, read_planned
from exporter.ledger.model import UNATTRIBUTED

SETTING = "users.names"
"""Where the configuration has them."""

UUID = re.compile("([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_WHOLE_NUMBER = re.compile("-?[0-9]{1,18}")

_NAMES = sql.SQL("""
SELECT asked.key, min(left({name}, {length}))
FROM pg_catalog.unnest(ARRAY[{keys}]::text[]) AS asked (key) JOIN {source} AS named ON {has_key}
GROUP BY asked.key
""")
_MADE = sql.SQL("(SELECT {key}, ({expression}) AS {name} FROM {table})")


@dataclass(frozen=True)
class NameTable:
    """A table of names that can be read: where it is, its key, and the column or expression that has the name."""

    relation: Relation
    key: Column
    name: Column

    @property
    def columns(self) -> tuple[Column, ...]:
        """The table's own columns that are read."""
        expression = self.name.expression
        names = (self.name.name,) if expression is None else expression.columns
        return tuple(self.relation.columns[name] for name in dict.fromkeys((self.key.name, *names)))

    def statement(self, keys: Iterable[str]) -> sql.Composed:
        """The query for the names of some keys. An index on the key serves."""
        source: sql.Composable = identifier(*self.relation.name.parts)
        if self.name.expression is not None:
            made = {"expression": written(self.name.expression), "name": identifier(self.name.name)}
            source = _MADE.format(key=identifier(self.key.name), table=source, **made)
        fit = (asked for asked in keys if self._can_have(asked))
        return _NAMES.format(
            name=values.text(self.name),
            length=sql.Literal(READ_LENGTH),
            source=source,
            has_key=self._has_key(),
            keys=sql.SQL(", ").join(map(literal, fit)),
        )

    def _can_have(self, key: str) -> bool:
        """Whether the key's type has such a value."""
        if self.key.type == "uuid":
            return UUID.fullmatch(key) is not None
        return self.key.type not in INTEGERS or _WHOLE_NUMBER.fullmatch(key) is not None

    def _has_key(self) -> sql.Composed:
        """The condition that a row has a key: on the bare column, so that an index serves, where that is exact."""
        column = sql.SQL("named.{}").format(identifier(self.key.name))
        if self.key.type == "uuid" or self.key.type in INTEGERS:
            kind = sql.SQL("uuid" if self.key.type == "uuid" else "bigint")
            return sql.SQL("{} = asked.key::{}").format(column, kind)
        if self.key.category != "S" or self.key.folds_text:
            column = values.text(self.key)
        return sql.SQL("{} = asked.key").format(column)


def find_names(session: Session, config: Config, names: DisplayNames, setting: str, collector: str) -> NameTable | None:
    """The table of names, None where there is none; `setting` is where the configuration has `names`.

    Raises `SchemaProblem` or `NotVisible` if it cannot be read.
    """
    relation = session.neighbour(names.table, f"{setting}.table", config.tables.log)
    if relation is None:
        return None
    key = _column(relation, names.key, f"{setting}.key", Kind.KEY)
    if isinstance(names.name, Expression):
        for each in names.name.columns:
            _column(relation, each, f"{setting}.name", Kind.MESSAGE)
        session.run(FORMS)
        name = made_column(session, relation, "name", names.name, setting)
    else:
        name = _column(relation, names.name, f"{setting}.name", Kind.MESSAGE)
    table = NameTable(relation, key, name)
    session.prove_visible(relation, collector, table.columns)
    return table


def plan_user_names(session: Session, config: Config, users: Iterable[str]) -> ReadPlan[Mapping[str, str]] | None:
    """How the names of some users, by their labels, are read; None where there is no table of names."""
    names = config.users.names
    table = None if names is None else find_names(session, config, names, SETTING, USER_NAMES)
    if table is None:
        return None
    return ReadPlan(table.statement(sorted(users)), session.row_security, lambda _, rows: take_names(rows))


def read_user_names(session: Session, config: Config, users: Iterable[str]) -> Mapping[str, str]:
    """The names of some users by their labels; those without one are left out. Raises `DatabaseError`."""
    return read_planned(session, plan_user_names(session, config, users)) or {}


def take_names(rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """Names by key, as labels; of several who are called alike, each has the key behind the name."""
    named = {key: name for key, text in rows if (name := user_name(text)) != UNATTRIBUTED}
    alike = Counter(named.values())
    shown = {key: name if alike[name] == 1 else _with_key(name, short(key)) for key, name in named.items()}
    still_alike = Counter(shown.values())
    return {key: name if still_alike[name] == 1 else _with_key(named[key], key) for key, name in shown.items()}


def _with_key(name: str, key: str) -> str:
    behind = f" ({key})"
    return name[: max(0, LABEL_LENGTH - len(behind))].rstrip() + behind


def short(key: str) -> str:
    """A UUID's first eight characters; any other key as it is."""
    found = UUID.fullmatch(key)
    return key if found is None else found[1]


def _column(relation: Relation, name: str, setting: str, kind: Kind) -> Column:
    column = relation.columns.get(name)
    if column is None:
        seen = ", ".join(relation.columns)
        raise SchemaProblem(f"table {relation.name}: no column {name}; columns seen: {seen}", f"correct {setting}")
    if not fits(column, kind):
        found = f"{column.shown} is of type {column.shown_type}, where {kind.value} is needed"
        raise SchemaProblem(f"table {relation.name}: {found}", f"correct {setting}")
    return column
