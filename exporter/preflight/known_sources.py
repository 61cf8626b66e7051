"""Recognise the log of a public system by its table's name and columns."""

from collections.abc import Iterable, Iterator

from exporter.config import Config, QualifiedName
from exporter.config.columns import LogColumns
from exporter.config.expressions import Expression
from exporter.config.sources import SOURCES, SourceName
from exporter.database.errors import SchemaProblem
from exporter.database.layout import Relation
from exporter.database.session import Session

_TABLES = """
SELECT n.nspname::text, c.relname::text, pg_catalog.array_agg(a.attname::text)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relname = ANY(%(names)s::name[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY c.oid, n.nspname, c.relname
ORDER BY 1
"""


def with_source(
    session: Session, problem: SchemaProblem, chosen: SourceName, seen: Relation | None = None
) -> SchemaProblem:
    """The problem, whose hint names the settings to write where the log of a source is in this database.

    `seen` is the table that was read by those of the `chosen` source.
    """
    if found := list(dict.fromkeys(_settings(session, chosen, seen))):
        problem.hint = f"write {' or '.join(found)}, whose log is here; or {problem.hint}"
    return problem


def _settings(session: Session, chosen: SourceName, seen: Relation | None) -> Iterator[str]:
    """What to write for each source whose log is in this database, with all columns that are read of it."""
    known = {source: Config(source=source) for source in SOURCES if source != "helix"}
    asked = {"names": sorted({config.tables.log.name for config in known.values()})}
    tables = {QualifiedName(schema, name): columns for schema, name, columns in session.ask(_TABLES, asked) or ()}
    others = [] if seen is None else [seen.name]
    tables |= {} if seen is None else {seen.name: list(seen.columns)}
    for source, config in known.items():
        needed, usual = wanted(config.columns.log), config.tables.log.name
        named = [table for table in tables if table.name == usual]
        for table in dict.fromkeys([*named, *others]):
            # where the chosen settings fit the table that they have read, something else is wrong
            if needed <= set(tables[table]) and not (source == chosen and table in others):
                written = [] if source == chosen else [f"source: {source}"]
                written += [] if named == [table] and written else [f"tables.log: {table}"]
                yield " with ".join(written)


def wanted(settings: LogColumns) -> frozenset[str]:
    """The columns that settings read, those in expressions among them."""
    written: Iterable[str] = settings.roles.values()
    names = {name for one in written for name in (one.columns if isinstance(one, Expression) else (one,))}
    return frozenset(names | set(settings.where.columns if settings.where else ()))
