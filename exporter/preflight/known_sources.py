"""Recognise the log of a public system by its table's name and columns."""

from collections.abc import Iterable

from exporter.config import Config
from exporter.config.expressions import Expression
from exporter.config.sections import LogColumns
from exporter.config.sources import SOURCES, SourceName
from exporter.database.errors import SchemaProblem
from exporter.database.session import Session

_TABLES = """
SELECT c.relname::text, pg_catalog.array_agg(a.attname::text)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relname = ANY(%(names)s::name[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY c.oid, c.relname
"""


def recognise(session: Session) -> list[SourceName]:
    """The sources whose log is in this database, with all columns that are read of it."""
    known = {source: Config(source=source) for source in SOURCES if source != "helix"}
    names = sorted({config.tables.log.name for config in known.values()})
    tables = [(name, frozenset(columns)) for name, columns in session.ask(_TABLES, {"names": names}) or ()]
    return [
        source
        for source, config in known.items()
        if any(name == config.tables.log.name and wanted(config.columns.log) <= columns for name, columns in tables)
    ]


def wanted(settings: LogColumns) -> frozenset[str]:
    """The columns that settings read, those in expressions among them."""
    written: Iterable[str] = settings.roles.values()
    names = {name for one in written for name in (one.columns if isinstance(one, Expression) else (one,))}
    return frozenset(names | set(settings.where.columns if settings.where else ()))


def with_source(session: Session, problem: SchemaProblem, chosen: SourceName) -> SchemaProblem:
    """The problem, whose hint names the source to write where there is one in this database."""
    if found := [source for source in recognise(session) if source != chosen]:
        settings = " or ".join(f"source: {source}" for source in found)
        problem.hint = f"write {settings}, whose log is here; or {problem.hint}"
    return problem
