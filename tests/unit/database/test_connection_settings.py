"""Which database is meant: from every source, with every password, and never a secret in an error."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from exporter.config import Config, ConfigError
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import scrub
from exporter.database.foreign import protecting_parameter
from exporter.database.url import KNOWN_PARAMETERS

ANY_CHARACTER = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
TRICKY = st.sampled_from(list("@:/?#% &=+\\'\"aZ9.-[],é漢😀"))
PASSWORDS = st.text(TRICKY | ANY_CHARACTER, min_size=1, max_size=20)
SECRET = "S3CRET"


def from_url(text: str, **environ: str) -> ConnInfo:
    return resolve_conninfo(Config(), {"DATABASE_URL": text, **environ})


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_url(text)
    assert caught.value.__cause__ is None
    return str(caught.value)


def settings(**database: object) -> Config:
    return Config.model_validate({"database": database})


@given(PASSWORDS)
def test_an_encoded_password_comes_through_a_url(password: str) -> None:
    info = from_url(f"postgresql://me:{quote(password, safe='')}@db.example:6432/app")
    assert info.params == {
        "user": "me",
        "password": password,
        "host": "db.example",
        "port": "6432",
        "dbname": "app",
    }
    assert info.display == "db.example:6432/app as me"


@given(PASSWORDS)
def test_a_quoted_password_comes_through_key_value_words(password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    info = from_url(f"host=db.example user=me password='{quoted}' dbname=app")
    assert info.params == {"user": "me", "password": password, "host": "db.example", "dbname": "app"}


@given(PASSWORDS)
@example("@")
@example("p@ss/w:rd?x#y%z")
@example("a@b/c@d")
@example("1/x")
@example("@other.example:5432/db?sslmode")
def test_a_raw_password_in_a_url_is_understood(password: str) -> None:
    assume("=" not in password and not re.search("%[0-9A-Fa-f]{2}", password))
    info = from_url(f"postgresql://me:{password}@db.example:6432/app?sslmode=require")
    assert info.params["password"] == password
    assert info.display == "db.example:6432/app as me"


PIECES = st.sampled_from(["@", "/", "?", "=", "&", ":", "#", "%41", "h", "5432", "sslmode=require", "user=x", "db"])


@given(st.lists(PIECES, min_size=1, max_size=12).map("".join))
@example("x@h/db?user=y")
def test_a_raw_password_is_never_taken_for_something_else(password: str) -> None:
    """It may be too much like a URL itself; then that is said, and no other server is asked."""
    info, refused = None, ""
    try:
        info = from_url(f"postgresql://me:{password}@db.example:6432/app")
    except ConfigError as error:
        refused = str(error)
    if info is None:
        assert refused.startswith("DATABASE_URL: the URL cannot be read: it can be read in more than one way")
    else:
        assert info.params["password"] == password.replace("%41", "A")
        assert info.display == "db.example:6432/app as me"


@given(PASSWORDS)
@example("\r")
@example("\ufeff")
@example("\ufeff\r")
@example("a\r")
@example("a\n")
@example(" ")
def test_a_password_comes_through_a_file(tmp_path_factory: pytest.TempPathFactory, password: str) -> None:
    """But for a byte order mark and a line break as Windows writes it, which editors put there."""
    file = tmp_path_factory.mktemp("secrets") / "password"
    file.write_bytes(password.encode() + b"\n")
    environ = {"PGPASSWORD_FILE": str(file), "PGUSER": "me"}
    if meant := password.removeprefix("\ufeff").removesuffix("\r"):
        assert resolve_conninfo(Config(), environ).params["password"] == meant
    else:
        with pytest.raises(ConfigError, match=r"^PGPASSWORD_FILE: .*: empty"):
            resolve_conninfo(Config(), environ)


EMPTY = ["", "\n", "\r\n", "\r", "\ufeff", "\ufeff\r\n"]


@pytest.mark.parametrize("content", [*EMPTY, " ", "\n\n", " \t\r\n", "\ufeff \n", '""', " '' \n"])
def test_a_url_that_says_nothing_is_refused_and_not_replaced_by_the_local_server(tmp_path: Path, content: str) -> None:
    file = tmp_path / "url"
    file.write_bytes(content.encode())
    for config, environ, source in (
        (Config(), {"DATABASE_URL_FILE": str(file)}, "DATABASE_URL_FILE"),
        (settings(url_file=str(file)), {}, "database.url_file"),
    ):
        with pytest.raises(ConfigError, match=f"^{source}: "):
            resolve_conninfo(config, {"PGHOST": "h", **environ})


@given(PASSWORDS)
def test_neither_repr_nor_display_depends_on_the_password(password: str) -> None:
    info = from_url(f"postgresql://me:{quote(password, safe='')}@h/db")
    assert repr(info) == str(info) == "ConnInfo('h:5432/db as me', source='DATABASE_URL')"
    assert info.secrets == (password,)


@pytest.mark.parametrize(
    ("url", "params"),
    [
        ("postgres://h", {"host": "h"}),
        ("postgresql://", {}),
        ("postgresql+asyncpg://u:p@h/d", {"user": "u", "password": "p", "host": "h", "dbname": "d"}),
        ("postgresql+psycopg://u@h", {"user": "u", "host": "h"}),
        ("postgres://u@server:p@h/d", {"user": "u@server", "password": "p", "host": "h", "dbname": "d"}),
        ("postgres://u%40server:p@h", {"user": "u@server", "password": "p", "host": "h"}),
        ("postgres://:p@h", {"password": "p", "host": "h"}),
        ("postgres://u:@h", {"user": "u", "host": "h"}),
        ("postgres://u:p@[::1]:6/d", {"user": "u", "password": "p", "host": "::1", "port": "6", "dbname": "d"}),
        ("postgres://a:1,b/d", {"host": "a,b", "port": "1,5432", "dbname": "d"}),
        ("postgres://%2Fvar%2Frun/d", {"host": "/var/run", "dbname": "d"}),
        ("postgres://u:p@/d?host=/run", {"user": "u", "password": "p", "host": "/run", "dbname": "d"}),
        ("postgres://h/d?user=u&password=p%40", {"host": "h", "dbname": "d", "user": "u", "password": "p@"}),
        ("postgres://h/?ssl=true", {"host": "h", "sslmode": "require"}),
        ("postgres://h/?ssl=no-verify", {"host": "h", "sslmode": "require"}),
        ("postgres://h/?ssl=False", {"host": "h", "sslmode": "disable"}),
        ("postgres://h/d?sslmode=verify-full&ssl=true", {"host": "h", "dbname": "d", "sslmode": "verify-full"}),
        ("postgres://h/d?schema=public&pgbouncer=true&", {"host": "h", "dbname": "d"}),
        ("postgres://u:50%ffx@h", {"user": "u", "password": "50%ffx", "host": "h"}),
        ("postgres://u:a%zz%41@h", {"user": "u", "password": "a%zzA", "host": "h"}),
        ('"postgres://u:p@h"', {"user": "u", "password": "p", "host": "h"}),
        ("  host=h user='a b'\n", {"host": "h", "user": "a b"}),
    ],
)
def test_urls_are_read(url: str, params: dict[str, str]) -> None:
    assert from_url(url).params == params


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://u:{SECRET}@h:99999/d",
        f"postgres://u:{SECRET}@h:{SECRET}/d",
        f"postgres://u:{SECRET}@h/d?{SECRET} x=1",
        f"postgres://u:{SECRET}@h/d?ssl={SECRET}",
        f"postgres://u:{SECRET}@h o/d",
        f"postgres://u:{SECRET}%00@h/d",
        f"postgres://u:{SECRET}@h/{SECRET}@{SECRET}?x",
        f"postgres://u:{SECRET}" + "@" * 70,
        f"postgres://u:{SECRET}@a/b?application_name=x@{SECRET}",
        f"mysql://u:{SECRET}@h/d",
        f"host=h password={SECRET} {SECRET}",
        f"host=h password='{SECRET}",
        f"host=h {SECRET}=1",
        f"password={SECRET}\x00",
        f"password={SECRET}\udcff",
        SECRET,
    ],
)
def test_what_cannot_be_read_names_its_source_and_the_hint_only(text: str) -> None:
    said = refusal(text)
    assert said.startswith("DATABASE_URL: ")
    assert " — " in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("query", "named", "instead"),
    [
        ("supa=base-pooler.x", "supa", ""),
        ("pgbouncer=true&connection_limit=1", "pgbouncer, connection_limit", ""),
        ("currentSchema=sales", "currentSchema", "tables.log, as schema.name"),
        ("schema=sales", "schema", "tables.log, as schema.name"),
        ("search_path=sales", "search_path", "tables.log, as schema.name"),
        ("timezone=Europe/Berlin", "timezone", "log_time_zone"),
        ("charset=utf8", "charset", ""),
        ("uselibpqcompat=true&sslmode=require", "uselibpqcompat", ""),
        ("sslaccept=strict", "sslaccept", ""),
        ("connectTimeout=10", "connectTimeout", "database.connect_timeout"),
        ("connection_timeout=10s", "connection_timeout", "database.connect_timeout"),
        ("serverVersion=16&charset=utf8", "serverVersion, charset", ""),
        ("username=x", "username", "write user for the user"),
        ("targetServerType=primary", "targetServerType", ""),
        ("x-no-tx-wrap=true", "x-no-tx-wrap", ""),
        ("pool_timeout=", "pool_timeout", ""),
    ],
)
def test_what_only_other_tools_know_is_passed_over_and_named(query: str, named: str, instead: str) -> None:
    info = from_url(f"postgresql://u:p@h/d?{query}")
    expected = {"user": "u", "password": "p", "host": "h", "dbname": "d"}
    assert {name: value for name, value in info.params.items() if name != "sslmode"} == expected
    (said,) = info.notices
    assert said.startswith(f"parameters of the URL that are not libpq's are ignored: {named}")
    assert instead in said


NAMES = st.from_regex(r"[a-z]{1,12}([_.-][a-z]{1,8})?", fullmatch=True)


@given(NAMES.filter(lambda name: name not in KNOWN_PARAMETERS and "ssl" not in name), st.text(TRICKY, max_size=12))
def test_any_parameter_that_is_not_known_changes_nothing_and_its_value_is_not_told(name: str, value: str) -> None:
    assume(protecting_parameter(name) is None)
    info = from_url(f"postgresql://u:p@h/d?{name}=Q7{quote(value, safe='')}&sslmode=require")
    assert info.params == {"user": "u", "password": "p", "host": "h", "dbname": "d", "sslmode": "require"}
    assert name in info.notices[0]
    assert "Q7" not in info.notices[0]
    assert "Q7" not in repr(info)


def test_a_name_that_is_none_is_counted_and_not_told() -> None:
    (said,) = from_url(f"postgresql://u:p@h/d?{SECRET}=1&fine=2").notices
    assert said.endswith(": fine, 1 with an unusual name")
    assert from_url("postgresql://u:p@h/d?sslmode=require").notices == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sslmod", "sslmode"),
        ("ssl_mode", "sslmode"),
        ("sslMode", "sslmode"),
        ("SSLMODE", "sslmode"),
        ("ssl-mode", "sslmode"),
        ("sslmoed", "sslmode"),
        ("sslrootcrt", "sslrootcert"),
        ("ssl_root_cert", "sslrootcert"),
        ("channelBinding", "channel_binding"),
        ("requireauth", "require_auth"),
        ("gssencmod", "gssencmode"),
    ],
)
def test_a_misspelt_parameter_that_protects_the_connection_is_refused_with_the_right_one(name: str, meant: str) -> None:
    said = refusal(f"postgresql://u:{SECRET}@h/d?{name}=require")
    assert f"looks like {meant}" in said
    assert f"write {meant}" in said
    assert SECRET not in said


def test_an_unknown_value_of_ssl_is_refused_with_those_that_are_known() -> None:
    assert "verify-full" in refusal("postgresql://u:p@h/d?ssl=maybe")


@pytest.mark.parametrize("url", ["postgres://u:pw@h/d?supa=x@y/z", "postgres://12:34?a=b@h/d"])
def test_a_parameter_of_another_tool_does_not_decide_between_two_readings(url: str) -> None:
    assert "in more than one way" in refusal(url)


def test_the_configuration_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgres://from-file\n")
    environ = {"DATABASE_URL": "postgres://env", "DATABASE_URL_FILE": str(file), "PGHOST": "pg"}

    def host(config: Config, environ: Mapping[str, str]) -> tuple[str, str]:
        info = resolve_conninfo(config, environ)
        return info.source, info.params["host"]

    assert host(settings(url="host=config"), environ) == ("database.url", "config")
    assert host(settings(url_file=str(file)), environ) == ("database.url_file", "from-file")
    assert host(Config(), environ) == ("DATABASE_URL", "env")
    assert host(Config(), {**environ, "DATABASE_URL": " "}) == ("DATABASE_URL_FILE", "from-file")
    assert host(Config(), {"PGHOST": "pg"}) == ("PG* variables", "pg")


def test_variables_fill_what_the_url_leaves_open() -> None:
    environ = {"PGUSER": "x", "PGPASSWORD": "p", "PGDATABASE": "d", "PGSSLMODE": "require", "PGPORT": ""}
    assert from_url("postgres://u@h", **environ).params == {
        "user": "u",
        "host": "h",
        "password": "p",
        "dbname": "d",
        "sslmode": "require",
    }


def test_a_service_is_left_to_libpq() -> None:
    info = resolve_conninfo(Config(), {"PGSERVICE": "prod", "PGHOST": "h", "PGPASSWORD": "p"})
    assert info.params == {"service": "prod", "password": "p"}
    assert info.display == "service prod"


def test_a_variable_in_another_encoding_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^PG\* variables: holds a null character or is not UTF-8") as caught:
        resolve_conninfo(Config(), {"PGPASSWORD": f"{SECRET}\udcff"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("variable", ["DATABASE_URL_FILE", "PGPASSWORD_FILE"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, variable: str) -> None:
    for content in (None, b"\n", b"\xff"):
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"^{variable}: {file}: .* — "):
            resolve_conninfo(Config(), {variable: str(file)})


def test_the_display_names_every_host_and_no_control_character() -> None:
    assert from_url("postgres://u@a:1,[::1]:2/d").display == "a:1,[::1]:2/d as u"
    assert from_url("postgres://u@/d").display == "local socket:5432/d as u"
    assert from_url("postgres://u%0A%1b%5B1m@h").display == "h:5432/(user not shown) as (user not shown)"
    assert from_url("postgres://h/d").display.startswith("h:5432/d as ")


def test_scrub_removes_the_password_raw_and_encoded() -> None:
    info = from_url("postgresql://u:p%40ss%20word@h/d")
    assert scrub("a p@ss word b p%40ss%20word c p@ss+word", info) == "a *** b *** c p@ss+word"
