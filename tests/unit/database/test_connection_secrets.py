"""Nothing that may be a secret is shown, wherever in the connection's settings it stands."""

import logging
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Config, ConfigError
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import translate
from exporter.logs import LineFormatter

SECRETS = st.text("ABCDEFGHJKMNPQRSTVWXYZ23456789", min_size=4, max_size=24).map(lambda text: f"{text}x7")
"""No piece of a word that a sentence of ours has."""


FORMS = {
    "odbc": "Driver={PostgreSQL};Server=db.example;Port=5432;Database=app;Uid=me;Pwd=SECRET;",
    "ado": "Host=db.example;Port=5432;Username=me;Password=SECRET;Database=app",
    "libpq with semicolons": "host=db.example;port=5432;user=me;password=SECRET;dbname=app",
    "url": "postgresql://me:SECRET@db.example:5432/app",
    "jdbc": "jdbc:postgresql://db.example:5432/app?user=me&password=SECRET",
    "semicolons": "app;password=SECRET",
    "colon": "me:SECRET",
    "comma": "db.example,me:SECRET@other.example",
    "scheme": "https://me:SECRET@db.example",
    "slash": "me/SECRET",
}
"""How people write a secret, which stands for SECRET."""


def written(form: str, secret: str = "S3CRET") -> str:
    return FORMS[form].replace("SECRET", secret)


VARIABLES = (
    "DATABASE_URL",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGSERVICE",
    "PGOPTIONS",
    "PGAPPNAME",
    "PGSSLMODE",
    "PGCLIENTENCODING",
    "PGTARGETSESSIONATTRS",
    "PGPASSWORD",
)
PARAMETERS = ("host", "hostaddr", "port", "user", "dbname", "service", "options", "application_name", "sslmode")


def word(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def places(value: str) -> Iterator[tuple[Config, dict[str, str]]]:
    """Everywhere that a value can be put."""
    for variable in VARIABLES:
        yield Config(), {"PGHOST": "db.example", variable: value}
    for name in PARAMETERS:
        yield Config(), {"DATABASE_URL": f"{name}={word(value)}"}
        yield Config(), {"DATABASE_URL": f"postgresql://db.example/app?{name}={value}"}
    yield Config(), {"DATABASE_URL_FILE": value}
    yield Config(), {"PGPASSWORD_FILE": value, "PGUSER": "me"}
    yield Config.model_validate({"database": {"url": value}}), {}
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(value)
        file.flush()
        yield Config.model_validate({"database": {"url_file": file.name}}), {}


ANSWERS: tuple[Callable[[ConnInfo], str], ...] = (
    lambda info: f'connection failed: FATAL:  password authentication failed for user "{info.user}"\n',
    lambda info: f'FATAL:  database "{info.params.get("dbname")}" does not exist',
    lambda info: f"FATAL:  Datenbank »{info.params.get('dbname')}« existiert nicht",
    lambda info: f'FATAL:  role "{info.user[:63]}" does not exist',
    lambda info: f'could not translate host name "{info.params.get("host", "").split(",")[-1]}" to address',
    lambda info: f'invalid integer value "{info.params.get("port")}" for connection option "port"',
    lambda info: f"FATAL:  invalid command-line argument for server process: {info.params.get('options')}",
    lambda info: f'FATAL:  invalid value for parameter "application_name": "{info.params.get("application_name")}"',
    lambda info: f'invalid sslmode value: "{info.params.get("sslmode")}"',
    lambda info: f'definition of service "{info.params.get("service")}" not found',
    lambda info: f"no such user: {info.user} for {dict(info.params)}",
    lambda info: f"FATAL:  {info.params.get('dbname')} / {info.user}: rejected by {info.params.get('host')}",
)


def shown(config: Config, environ: dict[str, str]) -> str:
    """All that is printed of a connection: its settings, and every way in which a server or libpq may refuse it."""
    try:
        info = resolve_conninfo(config, environ)
    except ConfigError as error:
        return "\n".join([str(error), repr(error), *traceback.format_exception(error)])
    texts = [info.display, repr(info), str(info), *info.notices]
    for answer in ANSWERS:
        failure = translate(psycopg.OperationalError(answer(info)), info)
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed: %s", (failure,), None)
        texts += [str(failure), repr(failure), failure.detail, LineFormatter(info.secrets).format(record)]
        texts.append(getattr(failure, "reason", ""))
    return "\n".join(texts)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=10)
@given(secret=SECRETS)
def test_no_output_holds_a_secret_wherever_it_was_written(form: str, secret: str) -> None:
    for config, environ in places(written(form, secret)):
        assert secret not in shown(config, environ), environ


@pytest.mark.parametrize("form", ["odbc", "ado", "libpq with semicolons"])
def test_a_string_of_another_tool_is_refused_with_the_form_to_write(form: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_conninfo(Config(), {"DATABASE_URL": written(form)})
    assert str(caught.value).startswith("DATABASE_URL: ")
    assert "postgresql://user:password@host:5432/database" in str(caught.value)
    assert "no semicolons" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "noun"),
    [("PGHOST", "host"), ("PGUSER", "user"), ("PGDATABASE", "database"), ("PGPORT", "port"), ("PGSERVICE", "service")],
)
def test_a_url_in_the_place_of_a_name_is_refused_before_anybody_is_asked(variable: str, noun: str) -> None:
    with pytest.raises(ConfigError, match=rf"the {noun} \(") as caught:
        resolve_conninfo(Config(), {variable: written("url")})
    assert "S3CRET" not in str(caught.value)


def test_a_url_of_jdbc_works() -> None:
    info = resolve_conninfo(Config(), {"DATABASE_URL": written("jdbc")})
    assert info.params == {"host": "db.example", "port": "5432", "dbname": "app", "user": "me", "password": "S3CRET"}


@pytest.mark.parametrize(
    ("user", "displayed"),
    [
        ("me", "me"),
        ("ai_exporter.abcdef", "ai_exporter.abcdef"),
        ("me@server", "me@server"),
        ("Odd Role", "Odd Role"),
        ("günther-1", "günther-1"),
        ("me:word", "(user not shown)"),
        ("me;word", "(user not shown)"),
        ("me/word", "(user not shown)"),
        ("me password word", "(user not shown)"),
        ("a\x1b[1m", "(user not shown)"),
        ("a" * 200, "(user not shown)"),
    ],
)
def test_only_a_plain_name_is_shown(user: str, displayed: str) -> None:
    info = resolve_conninfo(Config(), {"PGHOST": "h", "PGDATABASE": "d", "PGUSER": user})
    assert info.display == f"h:5432/d as {displayed}"
    assert info.params["user"] == user


def test_a_path_is_named_only_where_its_folder_exists(tmp_path: Path) -> None:
    for value, seen in ((tmp_path / "absent", True), (Path("S3CRET"), False), (Path("S3CRET/aB3+x=="), False)):
        with pytest.raises(ConfigError) as caught:
            resolve_conninfo(Config(), {"PGPASSWORD_FILE": str(value)})
        assert (str(value) in str(caught.value)) is seen


def test_a_secret_that_is_a_word_of_a_sentence_leaves_no_gap() -> None:
    info = ConnInfo({"host": "h", "user": "me", "password": "authentication"})
    said = str(translate(psycopg.OperationalError('FATAL:  password authentication failed for user "me"'), info))
    assert "password authentication failed" in said
    assert "***" not in said


def test_what_is_no_address_is_refused_in_plain_words() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_conninfo(Config(), {"DATABASE_URL": "host=localhost hostaddr=hunter2 user=reader"})
    (problem,) = caught.value.problems
    assert "(hostaddr) is not an IP address, and is not shown" in problem
    assert "hunter2" not in problem
