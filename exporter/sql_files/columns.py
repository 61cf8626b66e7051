"""What is read: the tables, and what their columns may be called."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from exporter.catalog import USER_NAMES
from exporter.config import Config, QualifiedName
from exporter.config.expressions import Expression
from exporter.database.layout import LOG_ROLES, ROLES, Role, roles_of
from exporter.sql_files.filling import array, json_text, literal

_WIDTH: Final = 120


def search_path(config: Config) -> str:
    """The schemas to look in: those that the configuration names, before those of the search path."""
    schemas = dict.fromkeys(name.schema for name in read_tables(config).values() if name.schema is not None)
    own = f"{array(schemas)}::pg_catalog.name[] OPERATOR(pg_catalog.||) " if schemas else ""
    return f"{own}pg_catalog.current_schemas(false)"


def read_tables(config: Config) -> dict[str, QualifiedName]:
    """The tables by their places in the configuration, without those that are switched off."""
    names = {section: getattr(config.tables, section) for section in ("log", *ROLES)}
    if config.users.names is not None:
        names[USER_NAMES] = config.users.names.table
    return {section: name for section, name in names.items() if name is not None}


def column_names(config: Config, section: str, roles: Mapping[str, Role]) -> dict[str, list[str]]:
    """What each role's column may be called: as the configuration has it, or as it is known."""
    columns = config.columns
    explicit: Mapping[str, Any] = roles_of(section, columns)[1] if section in ROLES else columns.log.model_dump()
    return {
        role: _written_columns(explicit[role]) if explicit.get(role) else list(known.names)
        for role, known in roles.items()
    }


def _written_columns(written: str) -> list[str]:
    return list(written.columns) if isinstance(written, Expression) else [written]


def wanted_columns(config: Config) -> str:
    """Each table with all columns that may be read, as a list in JSON within a text in SQL."""
    tables: dict[QualifiedName, list[str]] = {}
    for section, name in read_tables(config).items():
        if section == USER_NAMES and (names := config.users.names) is not None:
            known: Iterable[list[str]] = ([names.key], _written_columns(names.name))
        else:
            roles = LOG_ROLES if section == "log" else roles_of(section, config.columns)[0]
            known = column_names(config, section, roles).values()
        where = config.columns.log.where if section == "log" else None
        tables[name] = distinct([tables.get(name, []), *known, where.columns if where else ()])
    return literal("[\n" + ",\n".join(f"    {_wrapped(table, names)}" for table, names in tables.items()) + "\n]")


def distinct(names: Iterable[Iterable[str]]) -> list[str]:
    """All names in order, each once."""
    return list(dict.fromkeys(name for each in names for name in each))


def _wrapped(table: QualifiedName, names: Iterable[str]) -> str:
    """Schema, table and columns in JSON, on lines that are not too long below the template's own indentation."""
    start = f"[{json_text(table.schema)}, {json_text(table.name)}, ["
    margin = " " * (len(start) + 4)
    lines = [""]
    for name in names:
        word = f"{json_text(name)}, "
        if lines[-1] and 8 + len(margin) + len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += word
    return start + f"\n{margin}".join(line.rstrip() for line in lines).rstrip(",") + "]]"
