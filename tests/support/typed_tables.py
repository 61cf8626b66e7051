"""Tables whose columns have drawn types, what is written into them, and what must be read from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

WORDS = ("alpha", "Alpha", "älpha")
"""Texts that differ by a capital or an accent only, which some collations call equal."""
IDS = tuple(f"{digit * 8}-0000-4000-8000-00000000000{digit}" for digit in "123")
MESSAGES = ("HTTP 429: rate limit", "invalid api key 401", "something Else")

Literal = Callable[[int], str]


@dataclass(frozen=True)
class Type:
    """A type of a column: its SQL, a literal for the value of each index, and the value that is read for it.

    `read` is the text or number; of a time the seconds by which it differs from what was meant are left to `literal`.
    With `fits` it is read as it is, with `view` through the view that the error proposes.
    """

    sql: str
    literal: Callable[[int], str]
    read: Callable[[int], Any]
    fits: bool = True
    view: bool = True


def _word(sql: str, **options: bool) -> Type:
    return Type(sql, lambda i: f"'{WORDS[i]}'", lambda i: WORDS[i], **options)


def _id(sql: str, **options: bool) -> Type:
    return Type(sql, lambda i: f"'{IDS[i]}'", lambda i: IDS[i], **options)


def _count(sql: str, **options: bool) -> Type:
    return Type(sql, lambda i: str(i + 1), lambda i: str(i + 1), **options)


NAMES: Mapping[str, Type] = {
    "text": _word("text"),
    "text C": _word('text COLLATE "C"'),
    "text folding": _word("text COLLATE folding"),
    "text other": _word("text COLLATE other"),
    "varchar folding": _word("varchar(40) COLLATE folding"),
    "char": _word("char(12)"),
    "char folding": _word("char(12) COLLATE folding"),
    "name": _word("name"),
    "single": Type('"char"', lambda i: f"'{'abc'[i]}'", lambda i: "abc"[i]),
    "enum": _word("words"),
    "domain": _word("label"),
    "domain of domain": _word('"Label of label"'),
    "domain of enum": _word("word_domain"),
    "domain named integer": _word('"integer"'),
    "uuid": _id("uuid"),
    "domain of uuid": _id("id_domain"),
    "jsonb": Type("jsonb", lambda i: f"'\"{WORDS[i]}\"'", lambda i: WORDS[i]),
    "json": Type("json", lambda i: f"'\"{WORDS[i]}\"'", lambda i: WORDS[i], fits=False),
    "bytea": Type("bytea", lambda i: f"'{'xyz'[i]}'", lambda i: "xyz"[i], fits=False),
    "text[]": Type("text[]", lambda i: f"ARRAY['{'abc'[i]}']", lambda i: f"{{{'abc'[i]}}}", fits=False),
    "inet": Type("inet", lambda i: f"'10.0.0.{i + 1}'", lambda i: f"10.0.0.{i + 1}/32", fits=False),
    "date": Type("date", lambda i: f"'2020-01-0{i + 1}'", lambda i: f"2020-01-0{i + 1}", fits=False),
    "boolean": Type("boolean", lambda i: f"{i == 0}", lambda i: "true" if i == 0 else "false", fits=False),
    "composite": Type("pair", lambda i: f"ROW({i}, {i})", lambda i: f"({i},{i})", fits=False),
}
_NUMERIC_IDS = {
    "smallint": _count("smallint"),
    "integer": _count("integer"),
    "bigint": _count("bigint"),
    "numeric": _count("numeric(20, 0)"),
    "domain of bigint": _count("key_domain"),
}
KEYS: Mapping[str, Type] = {**NAMES, **_NUMERIC_IDS}
_REFUSED_IDS = {
    name: _count(each.sql, fits=False) for name, each in _NUMERIC_IDS.items() if name in ("integer", "numeric")
}
MODELS: Mapping[str, Type] = {**NAMES, **_REFUSED_IDS}


def _number(sql: str, values: tuple[str, ...], form: str = "{}", **options: bool) -> Type:
    return Type(sql, lambda i: form.format(values[i]), lambda i: values[i], **options)


_WHOLE, _PARTS = ("1", "2", "40"), ("0.5", "0.25", "12.75")
NUMBERS: Mapping[str, Type] = {
    "smallint": _number("smallint", _WHOLE),
    "integer": _number("integer", _WHOLE),
    "bigint": _number("bigint", _WHOLE),
    "numeric": _number("numeric", _PARTS),
    "numeric(10,6)": _number("numeric(10, 6)", _PARTS),
    "real": _number("real", ("0.1", "12345.25", "0.25")),
    "double": _number("double precision", ("0.1", "12345.678", "0.3")),
    "money": _number("money", _PARTS, "'{}'"),
    "domain of numeric": _number("amount", _PARTS),
    "domain of domain": _number("amount_of_amount", _PARTS),
    "domain named text": _number('"text"', _PARTS),
    "domain of integer": _number("whole", _WHOLE),
    "text": _number("text", _PARTS, "'{}'", fits=False),
    "text folding": _number("text COLLATE folding", _PARTS, "' {} '", fits=False),
    "char": _number("char(10)", _PARTS, "'{}'", fits=False),
    "domain of text": _number("label", _PARTS, "'{}'", fits=False),
    "jsonb": _number("jsonb", _PARTS, "'{}'", fits=False),
    "json": _number("json", _PARTS, "'\"{}\"'", fits=False),
    "bytea": _number("bytea", _PARTS, "'{}'", fits=False),
    "oid": _number("oid", _WHOLE, fits=False),
    "interval": Type("interval", lambda i: f"'{i + 1} milliseconds'", lambda i: str(i + 1), fits=False),
    "timestamp": _number("timestamp", ("2026-01-01",) * 3, "'{}'", fits=False, view=False),
    "numeric[]": _number("numeric[]", _PARTS, "ARRAY[{}]", fits=False, view=False),
}
FLAGS: Mapping[str, Type] = {
    name: Type(sql, literal, lambda i: i == 0, fits=name.startswith(("boolean", "domain of b")), view=True)
    for name, (sql, literal) in {
        "boolean": ("boolean", lambda i: f"{i == 0}"),
        "domain of boolean": ("flag", lambda i: f"{i == 0}"),
        "integer": ("integer", lambda i: f"{int(i == 0)}"),
        "smallint": ("smallint", lambda i: f"{int(i == 0)}"),
        "numeric": ("numeric(3, 2)", lambda i: f"{int(i == 0)}"),
        "text": ("text", lambda i: f"'{'True' if i == 0 else 'False'}'"),
        "text folding": ("text COLLATE folding", lambda i: f"'{'yes' if i == 0 else 'no'}'"),
        "char(1)": ("char(1)", lambda i: f"'{'t' if i == 0 else 'f'}'"),
        "single": ('"char"', lambda i: f"'{'y' if i == 0 else 'n'}'"),
        "bit": ("bit(1)", lambda i: f"B'{int(i == 0)}'"),
        "jsonb": ("jsonb", lambda i: f"'{'true' if i == 0 else 'false'}'"),
        "domain of integer": ("whole", lambda i: f"{int(i == 0)}"),
    }.items()
}
MESSAGE_TYPES: Mapping[str, Type] = {
    name: Type(sql, lambda i, form=form: form.format(MESSAGES[i]), lambda i: MESSAGES[i])  # type: ignore[misc]
    for name, (sql, form) in {
        "text": ("text", "'{}'"),
        "varchar folding": ("varchar(90) COLLATE folding", "'{}'"),
        "text C": ('text COLLATE "C"', "'{}'"),
        "char": ("char(60)", "'{}'"),
        "json": ("json", '\'{{"error": "{}"}}\''),
        "jsonb": ("jsonb", "'\"{}\"'"),
        "jsonb object": ("jsonb", '\'{{"error": "{}"}}\''),
        "bytea": ("bytea", "'{}'"),
        "text[]": ("text[]", "ARRAY['{}']"),
        "enum": ("messages", "'{}'"),
        "domain": ("label", "'{}'"),
        "domain of jsonb": ("document", "'\"{}\"'"),
        "composite": ("message", "ROW(1, '{}')"),
        "xml": ("text", "'<a>{}</a>'"),
    }.items()
}


def _time(sql: str, form: str, **options: bool) -> Type:
    """A time of the past hours: `form` is for strftime, or "epoch…" for a number of that unit."""
    return Type(sql, lambda second: _written(second, form), lambda second: second, **options)


def _written(second: int, form: str) -> str:
    if form.startswith("epoch"):
        return str(second * int(form.removeprefix("epoch")))
    return datetime.fromtimestamp(second, UTC).strftime(form)


_LOCAL, _ZONED = "'%Y-%m-%d %H:%M:%S'", "'%Y-%m-%d %H:%M:%S+00'"
TIMES: Mapping[str, Type] = {
    "timestamp": _time("timestamp", _LOCAL),
    "timestamp(0)": _time("timestamp(0)", _LOCAL),
    "timestamptz": _time("timestamptz", _ZONED),
    "timestamptz(3)": _time("timestamptz(3)", _ZONED),
    "domain named timestamp_utc over timestamptz": _time("timestamp_utc", _ZONED),
    "domain named like timestamptz over timestamp": _time('"timestamp with time zone"', _LOCAL),
    "domain of domain": _time("utc_of_utc", _ZONED),
    "domain of timestamp": _time("instant", _LOCAL),
    "date": _time("date", "'%Y-%m-%d'", fits=False),
    "epoch bigint": _time("bigint", "epoch1", fits=False),
    "epoch integer": _time("integer", "epoch1", fits=False),
    "epoch ms": _time("bigint", "epoch1000", fits=False),
    "epoch us": _time("bigint", "epoch1000000", fits=False),
    "epoch double": _time("double precision", "epoch1", fits=False),
    "epoch domain": _time("key_domain", "epoch1000", fits=False),
    "text": _time("text", "'%Y-%m-%dT%H:%M:%SZ'", fits=False),
    "text without zone": _time("text COLLATE folding", "'%Y-%m-%dT%H:%M:%S.000'", fits=False),
    "domain of text": _time("label", "'%Y-%m-%d %H:%M:%S+00:00'", fits=False),
    "jsonb": _time("jsonb", "'\"%Y-%m-%dT%H:%M:%S+0000\"'", fits=False),
    "time": _time("time", "'%H:%M:%S'", fits=False, view=False),
    "interval": _time("interval", "'%H:%M:%S'", fits=False, view=False),
    "time with zone": _time("timetz", "'%H:%M:%S+00'", fits=False, view=False),
    "uuid": Type("uuid", lambda _: f"'{IDS[0]}'", lambda second: second, fits=False, view=False),
    "boolean": Type("boolean", lambda _: "true", lambda second: second, fits=False, view=False),
}

_SET_UP = """
CREATE TYPE words AS ENUM ('alpha', 'Alpha', 'älpha');
CREATE TYPE messages AS ENUM ('HTTP 429: rate limit', 'invalid api key 401', 'something Else');
CREATE TYPE statuses AS ENUM ('pending', 'success', 'failed', 'timeout', 'PENDING');
CREATE TYPE pair AS (a int, b int);
CREATE TYPE message AS (code int, said text);
CREATE DOMAIN label AS text COLLATE folding CHECK (length(VALUE) < 500);
CREATE DOMAIN "Label of label" AS label NOT NULL;
CREATE DOMAIN word_domain AS words;
CREATE DOMAIN status_domain AS statuses;
CREATE DOMAIN "integer" AS text;
CREATE DOMAIN id_domain AS uuid;
CREATE DOMAIN key_domain AS bigint CHECK (VALUE > 0);
CREATE DOMAIN amount AS numeric(10, 6);
CREATE DOMAIN amount_of_amount AS amount CHECK (VALUE >= 0);
CREATE DOMAIN "text" AS numeric;
CREATE DOMAIN whole AS integer;
CREATE DOMAIN flag AS boolean;
CREATE DOMAIN document AS jsonb;
CREATE DOMAIN timestamp_utc AS timestamptz;
CREATE DOMAIN utc_of_utc AS timestamp_utc CHECK (VALUE > '2000-01-01');
CREATE DOMAIN "timestamp with time zone" AS timestamp;
CREATE DOMAIN instant AS timestamp(3) CHECK (VALUE > '2000-01-01');
"""


def set_up(connection: "psycopg.Connection[Any]") -> None:
    """Make the types. Where the server has ICU, the collation `folding` calls texts equal that differ."""
    try:
        folding = "provider = icu, locale = 'und-u-ks-level1', deterministic = false"
        connection.execute(f"CREATE COLLATION folding ({folding})".encode())
    except psycopg.errors.FeatureNotSupported:
        connection.execute("CREATE COLLATION folding (LOCALE = 'POSIX')")
    connection.execute("CREATE COLLATION other (LOCALE = 'POSIX')")
    # the domain "text" is only found by its schema
    connection.execute(_SET_UP.encode())
    # a client's zone that is not the log's
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET timezone = 'Asia/Kathmandu'".encode())


def column_sql(name: str, of: Type, *, generated: bool) -> str:
    """A column for CREATE TABLE: `name_written` is what is written, and `name` is it or is generated from it."""
    quoted = of.sql
    if of.sql.startswith('"') and of.sql != '"char"':
        quoted = f"public.{of.sql}"
    if not generated:
        return f'"{name}" {quoted}'
    return f'"{name} written" {quoted}, "{name}" {quoted} GENERATED ALWAYS AS ("{name} written") STORED'
