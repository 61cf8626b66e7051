"""Columns by the type beneath their domains, the kinds of value that are needed, and which types fit them exactly."""

import re
from dataclasses import dataclass
from enum import Enum

from exporter.config.expressions import Expression

INTEGERS = ("smallint", "integer", "bigint")
_NUMBER = re.compile(r"smallint|integer|bigint|real|double precision|money|numeric(\(\d+,-?\d+\))?")
_TIMESTAMP = re.compile(r"timestamp(\(\d\))? with(out)? time zone")
_NAMES = "SEUX"  # strings, enumerations, user-defined types (PostgreSQL counts uuid and jsonb among them), unknown
_NUMBERS = "N"


@dataclass(frozen=True)
class Column:
    """A column of the database.

    `type` is its type as PostgreSQL writes it, one that is not PostgreSQL's own with its schema; `category` is that
    type's category letter. Of a domain both are those of the type beneath it, as is `type_oid`; `declared` is the
    domain itself. With `folds_text` the column's collation calls texts equal that differ. With `expression` it is no
    column of a table, but what the configuration computes in its place. `number` is its place in the table, which it
    keeps when its name changes.
    """

    name: str
    type: str
    category: str
    declared: str = ""
    type_oid: int = 0
    folds_text: bool = False
    expression: Expression | None = None
    number: int = 0

    @property
    def shown(self) -> str:
        """The name, or the expression, as the configuration has it."""
        return self.name if self.expression is None else str(self.expression)

    @property
    def shown_type(self) -> str:
        """The type for people: of a domain with what is beneath it."""
        return f"{self.declared} ({self.type})" if self.declared not in ("", self.type) else self.type

    @property
    def has_zone(self) -> bool:
        """Whether this is a time that knows its zone."""
        return self.type.endswith("with time zone")


class Kind(Enum):
    """What kind of value a role needs; the value of each is what people call it."""

    NUMBER = "a number"
    TIME = "timestamp or timestamptz"
    FLAG = "boolean"
    NAME = "text"
    WORD = "text, an integer or boolean"
    KEY = "text, uuid or a number"
    MESSAGE = "any type"


def fits(column: Column, kind: Kind) -> bool:
    """Whether a column of this type is read exactly where such a value is needed."""
    match kind:
        case Kind.NUMBER:
            return _NUMBER.fullmatch(column.type) is not None
        case Kind.TIME:
            return _TIMESTAMP.fullmatch(column.type) is not None
        case Kind.FLAG:
            return column.type == "boolean"
        case Kind.NAME:
            return _is_name(column)
        case Kind.WORD:
            return _is_name(column) or column.type in (*INTEGERS, "boolean")
        case Kind.KEY:
            return _is_name(column) or column.category == _NUMBERS
        case Kind.MESSAGE:
            return True


def _is_name(column: Column) -> bool:
    if column.type in ("json", "bytea"):
        return False
    return column.category in _NAMES or column.type == '"char"'
