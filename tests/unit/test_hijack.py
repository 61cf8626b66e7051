"""The lint for SQL that could call what others put on the search path finds bad samples, and nothing in the project."""

import pytest

from tests.hijack import LOCK_IN_FILE, looked_up, problems, problems_of_block, problems_of_file, problems_of_module
from tests.statements import Statement, in_docs, in_files, in_panels, in_python, in_scripts, printed

# the programs are read here, and not run
pytestmark = pytest.mark.unmeasured

GOOD_FILE = f"""-- a comment: now()
DO $$
DECLARE
    path CONSTANT pg_catalog.name[] := pg_catalog.current_schemas(false);
BEGIN
    {LOCK_IN_FILE}
    CREATE ROLE reader LOGIN;
    ALTER ROLE reader SET search_path = pg_catalog, pg_temp;
    PERFORM count(*) FROM pg_class WHERE relname = 'a';
END
$$;
"""


def test_the_project_has_no_statement_that_could_be_hijacked() -> None:
    assert list(problems()) == []


def test_the_lint_reads_modules_files_and_documentation() -> None:
    counts = [len(list(source())) for source in (in_python, in_files, in_docs, in_scripts, in_panels, printed)]
    assert min(counts) > 0
    assert counts[0] > 60
    assert counts[1] == 11
    assert counts[2] > 20


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT now()", "now"),
        ("SELECT public.now()", "public.now"),
        ("SELECT pg_catalog.max(a < 1)", "<"),
        ("SELECT a::text", "text"),
        ("SELECT pg_catalog.now()::float8", "float8"),
        ("SELECT CAST(a AS text)", "CAST"),
        ("SELECT a IN ('x')", "IN"),
        ("SELECT a BETWEEN 1 AND 2", "BETWEEN"),
        ("SELECT a LIKE 'x'", "LIKE"),
        ("SELECT a = ANY('{}')", "="),
        ("SELECT a IS DISTINCT FROM b", "DISTINCT FROM"),
        ("SELECT nullif(a, 'b')", "nullif"),
        ("SELECT CASE a WHEN 'b' THEN 1 END", "CASE"),
        ("SELECT a -> 'b'", "->"),
        ("SELECT FROM s.a JOIN s.b USING (c)", "JOIN s.b USING"),
        ("UPDATE t SET a = 1", "="),
        ("SELECT 'x' || 'y'", "||"),
    ],
)
def test_functions_operators_and_types_that_are_looked_up_are_found(text: str, name: str) -> None:
    assert name in looked_up(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT pg_catalog.now(), 'now()', \"now\" -- now()",
        "SELECT extract(epoch FROM pg_catalog.now())::pg_catalog.float8",
        "SELECT a OPERATOR(pg_catalog.=) %(b)s",
        "SET LOCAL search_path = pg_catalog, pg_temp",
        "ALTER ROLE r SET statement_timeout = '1s'; GRANT SELECT ON t TO r",
        "SELECT t.*, coalesce(a, b) FROM s.t",
    ],
)
def test_what_the_grammar_or_the_schema_decides_is_not(text: str) -> None:
    assert looked_up(text) == []


def test_a_file_that_locks_first_is_good() -> None:
    assert list(problems_of_file(Statement("a.sql", 1, GOOD_FILE))) == []


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        (LOCK_IN_FILE, "", "does not lock"),
        ("pg_catalog.current_schemas", "current_schemas", "looks current_schemas up before"),
        ("pg_catalog.name[]", "name[]", "the type of path is looked up"),
        (f"    {LOCK_IN_FILE}", f"    PERFORM now();\n    {LOCK_IN_FILE}", "looks now up before"),
        ("$$;\n", "$$;\nSELECT now();\n", "is not one DO statement"),
        ("END\n$$", "    PERFORM pg_catalog.set_config('search_path', 'public', true);\nEND\n$$", "a second time"),
        ("    ALTER ROLE reader SET search_path = pg_catalog, pg_temp;\n", "", "leaves reader"),
        ("reader SET search_path = pg_catalog", "reader SET search_path = public, pg_catalog", "leaves reader"),
    ],
)
def test_a_file_that_does_not_lock_first_is_reported(good: str, bad: str, says: str) -> None:
    assert good in GOOD_FILE
    assert says in "\n".join(problems_of_file(Statement("a.sql", 1, GOOD_FILE.replace(good, bad))))


@pytest.mark.parametrize(
    ("block", "bad"),
    [
        ("SET search_path = pg_catalog, pg_temp;\nSELECT now();", False),
        ("GRANT SELECT (a, b) ON s.t TO r;", False),
        ("CREATE INDEX ON s.t (a, b DESC);", False),
        ("SELECT count(*) FROM s.t;", True),
        ("SET search_path = public;\nSELECT count(*) FROM t;", True),
        ("CREATE INDEX ON s.t (lower(a));", True),
        ("GRANT SELECT ON s.t TO r; SELECT now();", True),
    ],
)
def test_a_block_of_the_documentation_locks_where_it_calls(block: str, bad: bool) -> None:
    assert bool(list(problems_of_block(Statement("a.md", 1, block)))) == bad


_SESSION = "from exporter.database.session import Session\n\ndef f(session: Session) -> None:\n    "


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("import psycopg\npsycopg.connect('')", True),
        ("import psycopg\n\ndef f(c: psycopg.Cursor) -> None:\n    c.execute('SELECT now()')", True),
        ("import psycopg\n\ndef f(c: psycopg.Cursor) -> None:\n    c.executemany('SELECT now()', [])", True),
        (_SESSION + "session.run('x')", False),
        (_SESSION + "session.stream('x')", False),
        (_SESSION + "session._cursor.execute('x')", True),
        ("import sqlite3\nsqlite3.connect('').execute('SELECT 1')", False),
    ],
    ids=range(7),
)
def test_a_module_sends_by_a_session(source: str, bad: bool) -> None:
    assert bool(list(problems_of_module("exporter/new.py", source))) == bad
