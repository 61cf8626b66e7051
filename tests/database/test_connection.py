"""Against a real server: every password logs in, and no failure tells a piece of one."""

import logging
import re
import socket
import traceback
from collections.abc import Callable
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from exporter.config import Config
from exporter.database.connection import Connection, connect, pipelined
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import (
    DatabaseError,
    DatabaseUnavailable,
    MissingGrant,
    NotVisible,
    QueryTimeout,
    SchemaProblem,
    translate,
)
from exporter.logs import LineFormatter
from tests.support.servers import EmbeddedServer

TRICKY = "@:/?#% \\'\"&=+ΨЖ漢😀éQX"
PASSWORDS = st.text(
    st.sampled_from(list(TRICKY)) | st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    min_size=1,
    max_size=16,
)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def info_for(url: str) -> ConnInfo:
    return resolve_conninfo(Config(), {"DATABASE_URL": url})


def failure(url: str, statement: str | None = None, *, timeout: float = 2) -> DatabaseError:
    """How connecting, or a statement after that, fails."""
    with pytest.raises(DatabaseError) as caught:
        attempt(info_for(url), statement, timeout)
    return caught.value


def attempt(info: ConnInfo, statement: str | None, timeout: float) -> None:
    with connect(info, timeout, "tests") as connection:
        assert statement is not None, "connected"
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            raise translate(error, info) from None


def run(url: str, *statements: sql.Composed | str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement if isinstance(statement, sql.Composed) else statement.encode())


@pytest.fixture(scope="module")
def role(embedded_postgres: EmbeddedServer) -> str:
    run(embedded_postgres.admin_url, "DROP ROLE IF EXISTS tricky", "CREATE ROLE tricky LOGIN")
    return "tricky"


@FEW
@given(password=PASSWORDS)
def test_a_role_logs_in_with_any_password(embedded_postgres: EmbeddedServer, role: str, password: str) -> None:
    change = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
    run(embedded_postgres.admin_url, change)
    words = password.replace("\\", "\\\\").replace("'", "\\'")
    place = f"host=127.0.0.1 port={embedded_postgres.port} dbname=postgres user={role}"
    for text in (embedded_postgres.url(user=role, password=password), f"{place} password='{words}'"):
        with connect(info_for(text), 5, "tests") as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)


def everything_said(info: ConnInfo) -> str:
    """All that a failure to connect could print."""
    with pytest.raises(DatabaseUnavailable) as caught:
        connect(info, 2, "tests")
    error = caught.value
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed: %s", (error,), (caught.type, error, caught.tb))
    plain = LineFormatter(()).format(record).split(" ", 1)[1]
    scrubbed = LineFormatter(info.secrets).format(record).split(" ", 1)[1]
    assert error.__context__ is None
    own = [error.message, error.hint, repr(error), str(error), repr(error.args), repr(info)]
    return "\n".join([*own, plain, scrubbed, *traceback.format_exception(error)])


CLOSED_PORT = 1
"""Nobody listens on it, and no test may be given it, as may happen with a port that was only free a moment ago."""
WRONG: dict[str, Callable[[EmbeddedServer, str], str]] = {
    "password": lambda server, word: f"postgresql://nobody:{word}@127.0.0.1:{server.port}/postgres",
    "port": lambda _, word: f"postgresql://nobody:{word}@127.0.0.1:{CLOSED_PORT}/postgres",
    "host": lambda _, word: f"postgresql://nobody:{word}@db.invalid:5432/postgres",
    "socket": lambda _, word: f"postgresql://nobody:{word}@/postgres?host=/nonexistent",
    "tls": lambda server, word: f"postgresql://nobody:{word}@127.0.0.1:{server.port}/x?sslmode=require",
}


@pytest.mark.parametrize("wrong", WRONG)
@FEW
@given(password=st.text(st.sampled_from(list(TRICKY)), min_size=3, max_size=16))
def test_no_failure_to_connect_tells_a_piece_of_the_password(
    embedded_postgres: EmbeddedServer, wrong: str, password: str
) -> None:
    url = WRONG[wrong]
    said = everything_said(info_for(url(embedded_postgres, quote(password, safe=""))))
    reference = everything_said(info_for(url(embedded_postgres, "reference")))
    assert said == reference
    pieces = {password[start : start + 3] for start in range(len(password) - 2)}
    assert {piece for piece in pieces if piece in said and piece not in reference} == set()
    assert "reference" not in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wrong-one"}, "wrong password for the user"),
        ({"database": "nowhere"}, "the database does not exist"),
    ],
)
def test_a_refused_login_says_why(embedded_postgres: EmbeddedServer, change: dict[str, str], message: str) -> None:
    error = failure(embedded_postgres.url(**change))
    assert isinstance(error, DatabaseUnavailable)
    where = f"127.0.0.1:{embedded_postgres.port}/{change.get('database', 'postgres')} as postgres"
    assert error.message == f"{where}: {message}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"postgresql://u:p@127.0.0.1:{CLOSED_PORT}/d", "connection refused"),
        ("postgresql://u:p@db.invalid/d", "the host's name is not known"),
        (f"postgresql://u:p@{'a' * 70}.example/d", "the host's name cannot be looked up"),
        ("postgresql://u:p@/d?host=/nonexistent", "there is no server socket at that path"),
        ("postgresql://u:p@127.0.0.1/d?port=1,2", "hosts and ports differ in number"),
        ("postgresql://u:p@127.0.0.1/d?sslmode=nonsense", "a parameter of the connection has an impossible value"),
        ("postgresql:///d?service=nowhere", "the service is in no service file"),
    ],
)
def test_an_unreachable_server_says_why(url: str, message: str) -> None:
    error = failure(url)
    assert isinstance(error, DatabaseUnavailable)
    assert error.message.endswith(f": {message}")
    assert error.hint


@pytest.mark.parametrize("url", ["postgresql://u:p@/d?host=/nonexistent", "postgresql:///?host=/nonexistent&port=1"])
def test_where_no_server_is_named_the_hint_says_how_to_name_one(url: str) -> None:
    assert "DATABASE_URL" in failure(url).hint


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        error = failure(f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/d", timeout=0.1)
    assert error.message.endswith(": no answer in time")


def test_tls_that_the_server_lacks_is_named(embedded_database: str) -> None:
    assert "does not speak TLS" in failure(embedded_database + "?sslmode=require").message


@pytest.mark.parametrize(
    ("statement", "kind", "state", "said"),
    [
        ("SELECT * FROM nix", SchemaProblem, "42P01", "there is no table nix"),
        ('SELECT "My Col" FROM pg_class', SchemaProblem, "42703", 'there is no column "My Col"'),
        ("SELECT relname + 1 FROM pg_class", SchemaProblem, "42883", "no function or operator"),
        ("SELECT 'a' ~ '('", SchemaProblem, "2201B", "correct error_classes"),
        ("SELECT now() AT TIME ZONE 'No/Where'", SchemaProblem, "22023", "correct log_time_zone"),
        ("SELECT 1/0", SchemaProblem, "22012", "a value in a row cannot be used"),
        ("SELECT FROM WHERE", SchemaProblem, "42601", "the query does not fit the tables"),
        ("SET statement_timeout = 20; SELECT pg_sleep(60)", QueryTimeout, "57014", "took longer"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", DatabaseUnavailable, "57P01", "closed the connection"),
        ("DO $$ BEGIN RAISE SQLSTATE 'P0042'; END $$", DatabaseUnavailable, "P0042", "the server refused"),
    ],
)
def test_a_failed_statement_is_told_in_our_words(
    embedded_database: str, statement: str, kind: type[DatabaseError], state: str, said: str
) -> None:
    error = failure(embedded_database, statement)
    assert type(error) is kind
    assert error.sqlstate == state
    assert said in str(error)


def test_a_statement_that_writes_on_a_standby_is_told_as_our_defect(embedded_database: str) -> None:
    name = embedded_database.rsplit("/", 1)[1]
    run(embedded_database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    error = failure(embedded_database, "CREATE TABLE x ()")
    assert (error.sqlstate, error.hint) == ("25006", "report this as a defect: the exporter only reads")


def test_a_lost_connection_is_told_on_the_next_statement(embedded_database: str) -> None:
    info = info_for(embedded_database)
    connection = connect(info, 2, "tests")
    run(embedded_database, f"SELECT pg_terminate_backend({connection.info.backend_pid})")
    for _ in range(2):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("SELECT 1")
        error = translate(caught.value, info)
        assert isinstance(error, DatabaseUnavailable)
        assert "the server closed the connection" in error.message


def test_a_time_that_python_cannot_hold_is_a_problem_of_the_rows(embedded_database: str) -> None:
    info = info_for(embedded_database)
    with connect(info, 2, "tests") as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT 'infinity'::timestamp").fetchone()
    assert isinstance(translate(caught.value, info), SchemaProblem)


def test_hidden_rows_and_missing_grants_hold_the_sql_that_fixes_them(
    embedded_database: str, embedded_postgres: EmbeddedServer
) -> None:
    database = embedded_database.rsplit("/", 1)[1]
    run(
        embedded_database,
        'DROP ROLE IF EXISTS "Odd Role"',
        "CREATE ROLE \"Odd Role\" LOGIN PASSWORD 'pw-of-it'",
        "CREATE TABLE log (a int); ALTER TABLE log ENABLE ROW LEVEL SECURITY; CREATE SCHEMA apart",
        "CREATE TABLE apart.log (a int)",
    )
    reader = embedded_postgres.url(database, "Odd Role", "pw-of-it")
    try:
        error = failure(reader, "SELECT * FROM log")
        assert isinstance(error, MissingGrant)
        assert error.hint == 'GRANT SELECT ON log TO "Odd Role";'
        run(embedded_database, error.hint)
        hidden = failure(reader, "SET row_security = off; SELECT * FROM log")
        assert isinstance(hidden, NotVisible)
        for_owners, policy = re.findall(r"(?:ALTER ROLE|CREATE POLICY)[^;]+;", hidden.hint)
        run(embedded_database, policy, for_owners)
        with connect(info_for(reader), 2, "tests") as connection:
            connection.execute("SET row_security = off")
            assert connection.execute("SELECT * FROM log").fetchall() == []
        apart = failure(reader, "SELECT * FROM apart.log")
        assert apart.hint == 'GRANT USAGE ON SCHEMA apart TO "Odd Role";'
    finally:
        run(embedded_database, 'DROP OWNED BY "Odd Role"', 'DROP ROLE "Odd Role"')


def test_the_session_is_fit_for_a_transaction_pooler(embedded_database: str) -> None:
    with connect(info_for(embedded_database), 2, "my exporter") as connection:
        for _ in range(10):
            connection.execute("SELECT %s::int", (1,))
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert connection.autocommit
        assert "options" not in connection.info.get_parameters()
        changed = "SELECT name FROM pg_settings WHERE source IN ('client', 'session') ORDER BY 1"
        names = {name for (name,) in connection.execute(changed)}
        # What poolers keep track of by themselves.
        assert names <= {"application_name", "client_encoding", "DateStyle", "TimeZone"}
        assert connection.execute("SHOW application_name").fetchone() == ("my exporter",)


def test_the_url_wins_over_our_parameters_but_for_the_timeout(embedded_database: str) -> None:
    url = embedded_database + "?application_name=theirs&keepalives_idle=77&connect_timeout=99"
    with connect(info_for(url), 3.2, "ours") as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("theirs",)
        parameters = connection.info.get_parameters()
        assert (parameters["keepalives_idle"], parameters["connect_timeout"]) == ("77", "4")
        assert parameters["tcp_user_timeout"] == "30000"


@pytest.mark.parametrize(
    ("encoding", "stored", "read"),
    [
        ("UTF8", "c3a9", "é"),
        ("LATIN1", "e9", "é"),
        ("SQL_ASCII", "c3a9", "é"),
        ("SQL_ASCII", "e9", "\ufffd"),
    ],
)
def test_text_is_text_in_every_encoding(
    embedded_database: str, embedded_postgres: EmbeddedServer, encoding: str, stored: str, read: str
) -> None:
    name = f"enc_{encoding.lower()}"
    run(
        embedded_database,
        f"DROP DATABASE IF EXISTS {name}",
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
    )
    try:
        with connect(info_for(embedded_postgres.url(name)), 2, "tests") as connection:
            query = "SELECT convert_from(decode(%s, 'hex'), %s), 'x'::varchar, %s::text"
            row = connection.execute(query, (stored, encoding, "é")).fetchone()
        assert row == (read, "x", "é")
    finally:
        run(embedded_database, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1/0", psycopg.errors.DivisionByZero),
        ("SELECT nothing", psycopg.errors.UndefinedColumn),
        ("SELEC", psycopg.errors.SyntaxError),
        ("SELECT 'x'::int", psycopg.errors.InvalidTextRepresentation),
        ("SELECT pg_sleep(600)", psycopg.errors.QueryCanceled),
    ],
    ids=["value", "name", "syntax", "type", "time"],
)
def test_of_statements_that_are_sent_together_the_one_that_fails_says_why(
    embedded_database: str, place: int, statement: str, kind: type[psycopg.Error]
) -> None:
    """Those after it fail because of it alone. The connection serves on."""
    statements = [b"SELECT 1", b"SELECT 2", b"SELECT 3"]
    statements.insert(place, statement.encode())

    def send_together(connection: Connection) -> None:
        with pipelined(connection):
            connection.execute("BEGIN")
            for each in statements:
                assert connection.execute(each).pgresult is None

    with connect(info_for(embedded_database), 2, "tests") as connection:
        connection.execute("SET statement_timeout = '200ms'")
        with pytest.raises(kind):
            send_together(connection)
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT 4").fetchone() == (4,)


@given(st.lists(st.sampled_from([1, 100, 70_000, 300_000]), max_size=6))
@FEW
def test_statements_of_any_length_are_sent_together_and_answered_in_order(
    embedded_database: str, lengths: list[int]
) -> None:
    """Also more of them, and longer answers, than the system keeps for either side."""
    with connect(info_for(embedded_database), 2, "tests") as connection:
        with pipelined(connection):
            cursors = [
                connection.execute("SELECT %(number)s || %(text)s", {"number": number, "text": "x" * length})
                for number, length in enumerate(lengths)
            ]
        assert [cursor.fetchone() for cursor in cursors] == [
            (f"{number}{'x' * length}",) for number, length in enumerate(lengths)
        ]
        assert connection.execute("SELECT 1").fetchone() == (1,)
