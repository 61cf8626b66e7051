"""Tables and columns as the catalog has them, however little of it is asked."""

from collections.abc import Iterator

import psycopg
import pytest

from exporter.config import Config, QualifiedName
from exporter.database import catalog
from exporter.database.conninfo import resolve_conninfo
from exporter.database.layout import Relation
from exporter.database.transactions import Database
from tests.support.harness import Log, fixed_layout

layout = fixed_layout("success")


@pytest.fixture
def database(log: Log) -> Iterator[Database]:
    """As the exporter has one, on the log's database."""
    config = Config.model_validate({"database": {"url": log.url}})
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    yield database
    database.close()


def found(database: Database, *names: str) -> list[Relation | None]:
    """The tables of these names, twice: the second time they are asked for together."""
    parts = [name.rpartition(".") for name in names]
    wanted = [QualifiedName(schema or None, table) for schema, _, table in parts]
    for _ in range(2):
        with database.session(20, tables=[(name, None) for name in wanted]) as session:
            relations = [session.relation(name, "tables.log") for name in wanted]
    return relations


def test_the_types_that_are_known_without_being_asked_for_are_those_of_the_server(log: Log) -> None:
    rows = log.execute(
        "SELECT t.oid::bigint, t.typcategory FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
        " WHERE n.nspname = 'pg_catalog' AND t.typtype = 'b' AND t.oid = ANY(%s::oid[])",
        list(catalog._OWN_TYPES),
    )
    assert dict(rows) == catalog._OWN_TYPES


def test_columns_are_the_same_whether_their_types_are_asked_for_or_not(
    log: Log, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = [
        row[0] for row in log.execute("SELECT format_type(t::oid, NULL) FROM unnest(%s) t", list(catalog._OWN_TYPES))
    ]
    more = ["numeric(12,6)", "varchar(40)", "char(3)", "timestamp(3) with time zone", 'text COLLATE "C"']
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate([*types, *more]))
    log.execute(f"CREATE TABLE every ({columns}); ALTER TABLE every DROP c3, ADD c3 integer")
    few = found(database, "every")
    monkeypatch.setattr(catalog, "_OWN_TYPES", {})
    assert found(database, "every") == few
    assert few[0] is not None
    assert len(few[0].columns) == len(types) + len(more)


@pytest.mark.parametrize(
    ("made", "kind", "shown"),
    [
        ("CREATE TYPE mood AS ENUM ('a')", "mood", ("public.mood", "E")),
        ("CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN moods AS mood", "moods", ("public.mood", "E")),
        ("CREATE DOMAIN one AS numeric(9,2); CREATE DOMAIN two AS one", "two", ("numeric(9,2)", "N")),
        ("CREATE DOMAIN public.timestamp AS timestamptz", "public.timestamp", ("timestamp with time zone", "D")),
        ("CREATE TYPE mood AS ENUM ('a')", "mood[]", ("public._mood", "A")),
        ("CREATE TYPE pair AS (a int, b int)", "pair", ("public.pair", "C")),
        ("SELECT", "inet", ("inet", "I")),
        ("SELECT", "int4range", ("int4range", "R")),
    ],
)
def test_of_one_column_of_another_type_all_are_read_by_the_types_beneath(
    log: Log, database: Database, made: str, kind: str, shown: tuple[str, str]
) -> None:
    log.execute(made)
    log.execute(f"CREATE TABLE mixed (id bigint, other {kind}, at timestamp)")
    (relation,) = found(database, "mixed")
    assert relation is not None
    assert [(column.type, column.category) for column in relation.columns.values()] == [
        ("bigint", "N"),
        shown,
        ("timestamp without time zone", "D"),
    ]


LONG = "l" * 70


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
def test_names_of_any_length_and_in_any_characters_are_found_beside_others(log: Log, encoding: str) -> None:
    log.execute(f"CREATE DATABASE named_{encoding.lower()} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    url = log.url.rpartition("/")[0] + f"/named_{encoding.lower()}"
    names = ["plain", "größe", LONG, LONG[:63] + "é", "café.plain", "café.été", 'a"b', "a{b,c}"]
    config = Config.model_validate({"database": {"url": url}})
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with psycopg.connect(url, autocommit=True, client_encoding="utf8") as connection:
            connection.execute('CREATE SCHEMA "café"')
            for number, name in enumerate(dict.fromkeys(names)):
                *schema, table = name.split(".")
                place = ".".join('"' + part.replace('"', '""') + '"' for part in (*schema, table))
                connection.execute(f"CREATE TABLE IF NOT EXISTS {place} (c{number} int)".encode())
        relations = found(database, *names)
        columns = [None if relation is None else list(relation.columns) for relation in relations]
        # the two long ones are one table, since the server keeps 63 bytes of a name
        assert columns == [["c0"], ["c1"], ["c2"], ["c2"], ["c4"], ["c5"], ["c6"], ["c7"]]
    finally:
        database.close()
        log.execute(f"DROP DATABASE named_{encoding.lower()} WITH (FORCE)")


def test_a_name_that_nobody_has_is_not_found_beside_others(log: Log, database: Database) -> None:
    relations = found(
        database, "ai_operation_log", "nobody", "public.ai_operation_log", "pg_class", "other.cost_budgets"
    )
    assert [None if relation is None else relation.name for relation in relations] == [
        QualifiedName("public", "ai_operation_log"),
        None,
        QualifiedName("public", "ai_operation_log"),
        None,
        None,
    ]


def test_the_schemas_of_the_search_path_decide_in_their_order(log: Log, database: Database) -> None:
    log.execute("CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.t (o int); CREATE TABLE two.t (t int)")
    name = log.connection.info.dbname
    for path, columns in (("two, one", ["t"]), ("one, two", ["o"]), ("public, two", ["t"]), ("pg_catalog, one", ["o"])):
        log.execute(f'ALTER DATABASE "{name}" SET search_path = {path}')
        database.close()
        (relation,) = found(database, "t")
        assert relation is not None
        assert list(relation.columns) == columns
