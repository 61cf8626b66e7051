"""Why a connection or a statement fails: in our words, by the SQLSTATE, and as libpq or the server put it."""

import io
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.config import Config
from exporter.database.connection import connect
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseError, DatabaseUnavailable, LoginRefused, MissingGrant, SchemaProblem
from exporter.database.transactions import Database
from exporter.demo.schema import load_schema
from exporter.preflight import run_check
from tests.database.test_connection import failure, run
from tests.support.fake_server import refusing
from tests.support.harness import running, wait_for
from tests.support.preflight import check, populate
from tests.support.scraped import said
from tests.support.servers import EmbeddedServer


@pytest.mark.parametrize(
    ("state", "said", "kind", "told"),
    [
        ("28P01", "Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen", LoginRefused, "wrong password"),
        ("28P01", "authentification par mot de passe échouée pour l'utilisateur « u »", LoginRefused, "wrong password"),
        ("28P01", 'ユーザー"u"のパスワード認証に失敗しました', LoginRefused, "wrong password"),
        ("3D000", "la base de données « d » n'existe pas", LoginRefused, "the database does not exist"),
        ("3D000", "Datenbank »d« existiert nicht", LoginRefused, "the database does not exist"),
        ("28000", "Rolle »u« existiert nicht", LoginRefused, "the role does not exist"),
        ("53300", "zu viele Verbindungen von Rolle »u«", DatabaseUnavailable, "no connection left"),
        ("53300", "desculpe, muitos clientes conectados", DatabaseUnavailable, "no connection left"),
        ("57P03", "das Datenbanksystem startet", DatabaseUnavailable, "starting up"),
        ("08004", "etwas ganz anderes", DatabaseUnavailable, "the connection failed"),
        ("ZZ123", "ein unbekannter Zustand", DatabaseUnavailable, "the server refused"),
    ],
)
def test_a_refusal_is_understood_in_every_language(state: str, said: str, kind: type[DatabaseError], told: str) -> None:
    with refusing(state, said, "ФАТАЛ") as port:
        error = failure(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable", timeout=10)
    assert type(error) is kind
    assert error.sqlstate == state
    assert told in error.message
    assert said in str(error)


@pytest.mark.parametrize(
    ("said", "told", "hint"),
    [
        ('too many connections for role "u"', "the role has no connection left", "ALTER ROLE"),
        ('too many connections for database "d"', "the database has no connection left", "ALTER DATABASE"),
        ("sorry, too many clients already", "the server has no connection left", "max_connections"),
        ("no more connections allowed (max_client_conn)", "the pooler has no connection left", "max_client_conn"),
        ("no such database: d", "the database does not exist", "correct the database's name"),
        ("unsupported startup parameter in options: jit", "does not take a parameter", "ignore_startup_parameters"),
        ("something that nobody has ever said", "the connection failed", "its pooler"),
    ],
)
def test_what_the_server_or_its_pooler_said_stands_beside_our_words(said: str, told: str, hint: str) -> None:
    with refusing("08P01", said) as port:
        error = failure(f"postgresql://u:p@127.0.0.1:{port}/d", timeout=10)
    assert told in error.message
    assert f"(the server says: {said})" in str(error)
    assert hint in error.hint


@pytest.mark.parametrize(
    ("parameters", "said", "hint"),
    [
        ("target_session_attrs=standby", "server is not in hot standby mode", "change target_session_attrs"),
        ("target_session_attrs=read-only", "session is not read-only", "change target_session_attrs"),
        ("channel_binding=require", "channel binding", "channel_binding=prefer"),
        ("require_auth=gss", 'method requirement "gss"', "change require_auth"),
        ("require_auth=none", "authentication method requirement", "change require_auth"),
        ("sslmode=require", "server does not support SSL", "sslmode=prefer"),
        ("sslmode=nonsense", "nonsense", "correct the URL's parameters"),
        ("gssencmode=require", "GSSAPI", "gssencmode=disable"),
        ("options=-c%20nonsense%3D1", "nonsense", "correct the URL's parameters"),
    ],
)
def test_a_parameter_of_the_connection_that_is_not_met_is_named(
    embedded_database: str, parameters: str, said: str, hint: str
) -> None:
    error = failure(f"{embedded_database}?{parameters}", timeout=10)
    assert isinstance(error, DatabaseUnavailable)
    assert said in error.said
    assert hint in error.hint


@pytest.mark.parametrize("parameters", ["sslmode=verify-full", "sslmode=verify-ca"])
def test_a_certificate_that_is_missing_is_named(tmp_path: Path, parameters: str) -> None:
    file = tmp_path / "root.crt"
    with refusing("28000", "unseen", tls=True) as port:
        error = failure(f"postgresql://u:p@127.0.0.1:{port}/d?{parameters}&sslrootcert={file}", timeout=10)
    assert f'root certificate file "{file}" does not exist' in str(error)
    assert "sslrootcert" in error.hint


@pytest.fixture
def limited(embedded_database: str, embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """A URL of a role that may have no connection at all."""
    run(embedded_database, "DROP ROLE IF EXISTS limited", "CREATE ROLE limited LOGIN PASSWORD 'w' CONNECTION LIMIT 0")
    yield embedded_postgres.url(embedded_database.rsplit("/", 1)[1], "limited", "w")
    run(embedded_database, "DROP ROLE limited")


def test_the_limits_of_a_role_and_of_a_database_are_told_apart(embedded_database: str, limited: str) -> None:
    assert "the role has no connection left" in failure(limited).message
    name = embedded_database.rsplit("/", 1)[1]
    run(embedded_database, "ALTER ROLE limited CONNECTION LIMIT -1", f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    error = failure(limited)
    assert "the database has no connection left" in error.message
    assert f'too many connections for database "{name}"' in str(error)


READER = "of_another_schema"


@pytest.fixture
def apart(embedded_database: str, embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """A URL of a role that has no right on a log in a schema outside its search path."""
    run(
        embedded_database,
        f"DROP ROLE IF EXISTS {READER}",
        f"CREATE ROLE {READER} LOGIN PASSWORD 'w'",
        "CREATE SCHEMA apart",
        "CREATE TABLE apart.ai_operation_log (id int, operation_id text, model_used text, user_id text)",
        "ALTER TABLE apart.ai_operation_log ADD cost_usd numeric, ADD input_tokens int, ADD output_tokens int",
        "ALTER TABLE apart.ai_operation_log ADD latency_ms int, ADD success bool",
        "ALTER TABLE apart.ai_operation_log ADD error_message text, ADD created_at timestamp",
    )
    yield embedded_postgres.url(embedded_database.rsplit("/", 1)[1], READER, "w")
    run(embedded_database, f"DROP OWNED BY {READER}", f"DROP ROLE {READER}")


def read_log(url: str) -> None:
    """Read one row of the log as the exporter does."""
    database = Database(resolve_conninfo(Config(), {"DATABASE_URL": url}), 5, "tests")
    try:
        with database.session(10) as session:
            log = session.log(Config().classification())
            try:
                session.run(f"SELECT count(*) FROM {'.'.join(log.relation.name.parts)}")
            except psycopg.Error as error:
                raise session.translate(error) from None
    finally:
        database.close()


def test_a_log_outside_of_the_search_path_is_granted_with_its_schema(embedded_database: str, apart: str) -> None:
    for _ in range(2):
        with pytest.raises(MissingGrant) as caught:
            read_log(apart)
        assert "apart" in caught.value.hint
        run(embedded_database, caught.value.hint)
    assert caught.value.hint == f"GRANT SELECT ON apart.ai_operation_log TO {READER};"
    read_log(apart)


def test_a_cast_that_fails_in_a_row_of_a_view_is_told_with_its_column(embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        load_schema(admin, "success")
        populate(admin, "success")
        admin.execute("ALTER TABLE ai_operation_log RENAME TO raw")
        admin.execute("ALTER TABLE raw ALTER cost_usd TYPE text")
        columns = "operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, latency_ms, success"
        admin.execute(
            f"CREATE VIEW ai_operation_log AS SELECT {columns}, error_message, created_at,"
            " cost_usd::numeric AS cost_usd FROM raw".encode()
        )
        assert check(embedded_database, tmp_path).marked("FAIL") == set()
        admin.execute("UPDATE raw SET cost_usd = 'a user said so' WHERE ctid = (SELECT max(ctid) FROM raw)")
    found = check(embedded_database, tmp_path).entries["open window"]
    assert found.mark == "FAIL"
    assert "cost_usd" in found.detail
    assert "public.ai_operation_log" in found.detail
    assert "invalid input syntax for type numeric" in found.detail
    # a row's text may be anybody's
    assert "a user said so" not in found.detail


@pytest.mark.parametrize("form", ["u:{}", "u;password={}"])
def test_a_name_that_the_server_quotes_back_is_not_shown(embedded_postgres: EmbeddedServer, form: str) -> None:
    secret = "Zx81Qq7"
    user = embedded_postgres.url(user=form.format(secret).replace(";password", "/"), password="w")
    database = embedded_postgres.url(f"app:{secret}")
    for url in (user, database):
        error = failure(url)
        assert isinstance(error, LoginRefused)
        assert "***" in error.said
        assert secret not in f"{error} {error!r} {error.reason}"


def test_what_a_service_file_holds_is_not_shown(
    embedded_postgres: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services"
    place = f"host=127.0.0.1\nport={embedded_postgres.port}\ndbname=app\npassword=Zx81Qq7"
    file.write_text(f"[one]\n{place}\nuser=u:Hw52Pp9\n[two]\nhost=h;password=Zx81Qq7\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    for service in ("one", "two"):
        out = io.StringIO()
        config = Config.model_validate({"state_dir": str(tmp_path / "state")})
        assert run_check(config, {"PGSERVICE": service}, out) == 1
        assert f"service {service}" in out.getvalue()
        assert "Zx81Qq7" not in out.getvalue()
        assert "Hw52Pp9" not in out.getvalue()


def test_a_value_of_a_row_is_not_told(embedded_database: str) -> None:
    for statement in ("SELECT 'a prompt'::int", "SELECT '\"quoted\" prompt'::numeric", "SELECT 'prompt'::timestamp"):
        error = failure(embedded_database, statement)
        assert isinstance(error, SchemaProblem)
        assert "invalid input syntax" in error.said
        assert "prompt" not in str(error)


def test_check_names_parameters_that_are_passed_over(embedded_database: str, tmp_path: Path) -> None:
    report = check(f"{embedded_database}?supa=base-pooler.x&currentSchema=sales", tmp_path)
    found = report.entries["connection settings"]
    assert found.mark == "warn"
    assert "supa, currentSchema" in found.detail
    assert "base-pooler" not in report.text
    assert report.entries["connection"].mark == "ok"


def test_a_connection_is_opened_with_parameters_of_other_tools(embedded_database: str) -> None:
    info = resolve_conninfo(Config(), {"DATABASE_URL": f"{embedded_database}?supa=x&pgbouncer=true&charset=utf8"})
    with connect(info, 5, "tests") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_no_page_and_no_line_of_the_log_shows_a_secret_in_the_place_of_a_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "Zx81Qq7"
    quoted = f'password authentication failed for user "u:{secret}"'
    with refusing("28P01", quoted) as port:
        url = f"postgresql://u%3A{secret}@127.0.0.1:{port}/d?supa=x"
        with running(url, tmp_path) as exporter:
            scraped = exporter.scrape()
            assert scraped.up == 0
            wait_for(lambda: bool(said(caplog, "database:", "wrong password")), lambda: caplog.text)
            pages = f"{exporter.exporter.status()} {exporter.exporter.readiness()}"
    assert "(user not shown)" in pages
    assert "wrong password" in pages
    assert secret not in pages
    assert secret not in caplog.text
    assert "***" in caplog.text
