"""Write recommendations into the application's table: new ones only, and for people to decide on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from exporter.advisor.model import Recommendation
from exporter.config import Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, MissingGrant, SchemaProblem, role_name, translate
from exporter.database.layout import RECOMMENDATION_COMPARED, RECOMMENDATION_WRITTEN, WRITTEN_ROLES, find_columns
from exporter.database.names import columns_sql, table_sql
from exporter.database.one_session import one_session
from exporter.database.tables import PENDING, Table
from exporter.database.writing import Writer, writing

FILE = "deploy/sql/role_recommendations.sql"

_SECONDS = 60.0
_NAME = "recommend"
_LOCKS = 0x61696F65 << 32
"""Above the table's number: whoever else takes locks by number does not take ours."""

# Whatever a person has decided on the same proposal stands, too.
_INSERT = sql.SQL("""
INSERT INTO {table} ({columns})
SELECT {values}
WHERE NOT EXISTS (
  SELECT FROM {table}
  WHERE {operation} = %(of_operation)s AND lower({type}) = %(of_type)s
    AND coalesce({current}::jsonb, '{{}}') @> ANY (%(subjects)s::jsonb[])
    AND (lower({status}) = {pending} OR coalesce({proposed}::jsonb, '{{}}') @> %(same_proposal)s::jsonb)
)
RETURNING {status}
""")


@dataclass(frozen=True)
class Stored:
    """How many recommendations were written, and how many were there already."""

    new: int
    known: int


def store(config: Config, info: ConnInfo, recommendations: Sequence[Recommendation]) -> Stored:
    """Write those whose matter is not open and that nobody has decided on. Raises `DatabaseError`.

    Either all of them are written, or none. Two runs at once wait for each other.
    """
    table, row_security = _find(config, info)
    statement = _statement(table)
    failure: DatabaseError
    try:
        name = f"ai-operation-exporter-{_NAME}"
        with writing(info, config.database.connect_timeout, name, _SECONDS, row_security) as writer:
            writer.wait_for_others(_LOCKS | table.relation.oid)
            new = sum(_insert(writer, table, statement, config, each) for each in recommendations)
        return Stored(new, len(recommendations) - new)
    except psycopg.Error as error:
        failure = _refused(error, info, table)
    raise failure


def _find(config: Config, info: ConnInfo) -> tuple[Table, str]:
    """The table, and the `row_security` by which the role sees all of its rows, which is proven."""
    setting = "tables.recommendations"
    with one_session(config, info, _NAME, _SECONDS) as session:
        name = config.tables.recommendations
        relation = None if name is None else session.neighbour(name, setting, config.tables.log)
        if relation is None:
            what = "is switched off by null" if name is None else f"names {name}, which is not in this database"
            raise SchemaProblem(f"--store: {setting} {what}", "name a table to write to, or leave --store out")
        explicit = config.columns.recommendations.model_dump()
        columns = find_columns(relation, "recommendations", WRITTEN_ROLES, explicit)
        for role in ("current_config", "proposed_config"):
            if columns[role].type not in ("json", "jsonb"):
                raise SchemaProblem(
                    f"{relation.name}: {columns[role].name} is of type {columns[role].shown_type}, not jsonb",
                    f"name a column of type jsonb: columns.recommendations.{role}",
                )
        # a row that is hidden would be written again
        session.prove_visible(relation, "recommendations", [columns[role] for role in RECOMMENDATION_COMPARED])
        return Table(relation, columns), session.row_security


def _statement(table: Table) -> sql.Composed:
    return _INSERT.format(
        table=table.name,
        columns=sql.SQL(", ").join(map(table.column, RECOMMENDATION_WRITTEN)),
        values=sql.SQL(", ").join(map(sql.Placeholder, RECOMMENDATION_WRITTEN)),
        operation=table.value("operation"),
        type=table.value("type"),
        current=table.column("current_config"),
        proposed=table.column("proposed_config"),
        status=table.value("status"),
        pending=sql.Literal(PENDING),
    )


def _insert(writer: Writer, table: Table, statement: sql.Composed, config: Config, each: Recommendation) -> int:
    values = row(each)
    # a value that is written takes the column's type, and one that is compared does not
    compared = {
        "of_operation": each.operation,
        "of_type": each.kind,
        "subjects": _subjects(config, each),
        "same_proposal": values["proposed_config"],
    }
    written = writer.run(statement, values | compared)
    for (status,) in written:
        if status is None or status.lower() != PENDING:
            column = columns_sql([table.columns["status"].name])
            raise SchemaProblem(
                f"{table.relation.name}: {column} of a new row is {status or 'NULL'}, and not {PENDING.upper()}: "
                "nothing was written",
                f"ALTER TABLE {table_sql(table.relation.name)} ALTER COLUMN {column} SET DEFAULT 'PENDING';",
            )
    return len(written)


def row(each: Recommendation) -> dict[str, Any]:
    """The values by role: the saving is in USD a day."""
    return {
        "operation": each.operation,
        "type": each.kind,
        "current_config": _json({**each.subject, **each.figures}),
        "proposed_config": _json(each.proposal),
        "savings": round(each.saving, 6),
        "confidence": each.confidence,
        "reasoning": f"{each.title}. {each.reasoning}\n\n{each.evidence}",
    }


def _subjects(config: Config, each: Recommendation) -> list[str]:
    """What the matter is, in every spelling of a model that may be in the table."""
    model = each.subject.get("model")
    loose = [name for name, known in config.models.aliases.items() if known == model] if model else []
    return [_json(each.subject), *(_json({"model": name}) for name in loose)]


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, default="{:f}".format, ensure_ascii=False)


def _refused(error: psycopg.Error, info: ConnInfo, table: Table) -> DatabaseError:
    """An error of the transaction in our words."""
    name, role = table_sql(table.relation.name), role_name(info)
    if not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return translate(error, info, table.relation.name)
    # the message is in the server's language; the place in its source is not
    if error.diag.source_file == "execMain.c":
        return MissingGrant(
            f"row-level security refuses new rows of {name} from {role} (SQLSTATE 42501)",
            f"CREATE POLICY ai_recommender_writes ON {name} FOR INSERT TO {role} WITH CHECK (true);",
        )
    both = RECOMMENDATION_COMPARED, RECOMMENDATION_WRITTEN
    reads, writes = (columns_sql(table.columns[each].name for each in roles) for roles in both)
    return MissingGrant(
        f"{role} may not write into {name} (SQLSTATE 42501)",
        f"GRANT SELECT ({reads}), INSERT ({writes}) ON {name} TO {role}; -- as {FILE} does",
    )
