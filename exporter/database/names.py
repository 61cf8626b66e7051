"""Names as SQL text."""

import re
from collections.abc import Iterable

from psycopg import sql

from exporter.config import QualifiedName

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

_KEYWORDS = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
references returning right select session_user similar some symmetric system_user table tablesample then to trailing
true union unique user using variadic verbose when where window with
"""
RESERVED = frozenset(_KEYWORDS.split())
"""PostgreSQL's keywords that cannot stand bare as a name."""


def identifier(*parts: str) -> sql.Identifier:
    """A name for a composed statement that has parameters: in one, a percent sign is written twice."""
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


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
