"""Names as SQL text."""

import re
from collections.abc import Iterable

from psycopg import sql

from exporter.config import QualifiedName
from exporter.config.expressions import Expression
from exporter.config.names import RESERVED

LONGEST_NAME = 63
"""Bytes of a name that PostgreSQL keeps."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def identifier(*parts: str) -> sql.Identifier:
    """A name for a composed statement that has parameters: in one, a percent sign is written twice."""
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


def literal(text: str) -> sql.Literal:
    """A text for a composed statement that has parameters, likewise."""
    return sql.Literal(text.replace("%", "%%"))


def texts(words: Iterable[str]) -> sql.Composed:
    """Texts for a composed statement that has parameters, with commas between them."""
    return sql.SQL(", ").join(map(literal, words))


def written(expression: Expression) -> sql.SQL:
    """An expression of the configuration for a composed statement that has parameters.

    `parse_expression` has seen that there is nothing in it but an expression.
    """
    return sql.SQL(expression.sql.replace("%", "%%"))


def quoted(name: str) -> str:
    """An SQL identifier, in double quotes where it needs them."""
    if _PLAIN.fullmatch(name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def table_sql(name: QualifiedName) -> str:
    """A table's name in SQL."""
    return ".".join(quoted(part) for part in name.parts)


def columns_sql(names: Iterable[str]) -> str:
    """Columns in SQL, with commas between them."""
    return ", ".join(quoted(name) for name in names)
