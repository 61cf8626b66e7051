"""A schema full of traps: functions, operators, aggregates, casts and types that take the place of the system's own.

Each trap gives a wrong answer, and PostgreSQL counts its calls (`track_functions`), in transactions that only read too.
"""

import time
from collections import Counter
from itertools import product
from typing import Any

import psycopg

SCHEMA = "evil"
PATHS = ("evil, public", "evil, pg_catalog, public")
"""Where the traps stand: behind the system's, which win where the types fit as well; and before them."""

_TYPES: tuple[str, ...] = (
    '"char"',
    "text",
    "varchar",
    "bpchar",
    "name",
    "int2",
    "int4",
    "int8",
    "numeric",
    "float8",
    "oid",
    "bool",
)
_TYPES += ("timestamp", "timestamptz", "date", "interval", "uuid", "jsonb", "regclass", "text[]")
_TYPES += ("name[]", "numeric[]")
_FEW_TYPES = ("text", "varchar", "int4", "int8", "numeric", "float8", "bool", "timestamp", "timestamptz", "interval")
_NAMED_TYPES = ("int2", "int4", "int8", "float4", "bool", "timestamptz", "jsonb", "oid", "name", "regclass", "regtype")
_PATIENCE = 30.0

# What has the arguments of a function, operator or aggregate of the system. What PL/pgSQL cannot take, an ordinary user
# cannot plant either; which that is cannot be told beforehand.
_SAME = r"""
DO $do$
DECLARE
    it record;
    made text[];
    number int := 0;
    nothing CONSTANT text := ' LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END''';
    -- calls of an aggregate's own function are not counted, what that one calls is
    stepped CONSTANT text := ' LANGUAGE plpgsql AS ''BEGIN PERFORM evil.stepped(); RETURN NULL; END''';
BEGIN
    FOR it IN SELECT proname AS name, pg_get_function_arguments(oid) AS arguments,
                     coalesce(pg_get_function_result(oid), 'record') AS result
                FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
    LOOP
        made := made || (format('CREATE FUNCTION evil.%I(%s) RETURNS %s', it.name, it.arguments, it.result)
            || CASE it.result WHEN 'boolean' THEN ' LANGUAGE plpgsql AS ''BEGIN RETURN true; END''' ELSE nothing END);
    END LOOP;
    FOR it IN SELECT oprname AS name, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result,
                     oprleft = 0 AS prefix
                FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprresult <> 0
    LOOP
        number := number + 1;
        IF it.prefix THEN
            made := made || (format('CREATE FUNCTION evil.same_%s(%s) RETURNS %s', number, it.r, it.result) || nothing);
            made := made || format('CREATE OPERATOR evil.%s (RIGHTARG = %s, FUNCTION = evil.same_%s)', it.name, it.r,
                                   number);
        ELSE
            made := made || (format('CREATE FUNCTION evil.same_%s(%s, %s) RETURNS %s', number, it.l, it.r, it.result)
                || nothing);
            made := made || format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.same_%s)',
                                   it.name, it.l, it.r, number);
        END IF;
    END LOOP;
    FOR it IN SELECT proname AS name, oidvectortypes(proargtypes) AS arguments, prorettype::regtype::text AS result
                FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'a' AND pronargs <= 1
    LOOP
        number := number + 1;
        made := made || (format('CREATE FUNCTION evil.step_%s(%s) RETURNS %s', number,
                                concat_ws(', ', it.result, nullif(it.arguments, '')), it.result) || stepped);
        made := made || format('CREATE AGGREGATE evil.%I(%s) (SFUNC = evil.step_%s, STYPE = %s)', it.name,
                               coalesce(nullif(it.arguments, ''), '*'), number, it.result);
    END LOOP;
    FOR number IN 1 .. cardinality(made) LOOP
        BEGIN
            EXECUTE made[number];
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END
$do$
"""
# What fits the types of our statements better than anything of the system's: numeric against integer, varchar twice.
_BETTER = """
DO $do$
DECLARE
    it record;
BEGIN
    FOR it IN SELECT * FROM unnest(%(functions)s::text[]) AS each (made) LOOP
        BEGIN
            EXECUTE it.made;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END
$do$
"""


def plant(admin: psycopg.Connection[Any], database: str, functions: set[str], operators: set[str]) -> None:
    """Fill the schema with traps as a role that may create schemas and nothing else.

    `functions` and `operators` are the names that statements use. The connection keeps the system's search path.
    """
    admin.execute("CREATE ROLE mallory")
    settle(admin, database)
    admin.execute("SET ROLE mallory")
    admin.execute("CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC")
    admin.execute("CREATE FUNCTION evil.stepped() RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'")
    admin.execute(_SAME)
    made = [*_better_operators(operators), *_better_functions(admin, functions), *_types()]
    for start in range(0, len(made), 2000):
        admin.execute(_BETTER.replace("%(functions)s", _literal(made[start : start + 2000])).encode())
    admin.execute("RESET ROLE")


def settle(admin: psycopg.Connection[Any], database: str) -> None:
    """Let the role create in a database, and count what is called there: a copy of a database knows nothing of it."""
    admin.execute("SET search_path = pg_catalog, public")
    admin.execute(f'GRANT CREATE ON DATABASE "{database}" TO mallory'.encode())
    admin.execute(f"ALTER DATABASE \"{database}\" SET track_functions = 'pl'".encode())


def _better_operators(names: set[str]) -> list[str]:
    made = []
    for number, (left, right) in enumerate(product(_TYPES, _TYPES)):
        made.append(
            f"CREATE FUNCTION evil.better_{number}({left}, {right}) RETURNS bool LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'"
        )
        made += [
            f"CREATE OPERATOR evil.{name} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = evil.better_{number})"
            for name in sorted(names)
        ]
    return made


def _better_functions(admin: psycopg.Connection[Any], names: set[str]) -> list[str]:
    shapes = admin.execute(
        "SELECT DISTINCT proname, pronargs, prorettype::regtype::text FROM pg_proc"
        " WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname = ANY(%s) AND NOT proretset"
        " AND pronargs BETWEEN 1 AND 3",
        (sorted(names),),
    ).fetchall()
    made = []
    for name, arity, result in shapes:
        types = _TYPES if arity == 1 else _FEW_TYPES if arity == 2 else _FEW_TYPES[:6]
        made += [
            f"CREATE FUNCTION evil.{name}({', '.join(arguments)}) RETURNS {result} LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'"
            for arguments in product(types, repeat=arity)
        ]
    return made


def _types() -> list[str]:
    """Types of the names that SQL looks up by the search path; two of them with casts from and to the system's."""
    made = ["CREATE FUNCTION evil.accepts(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'"]
    made += [
        f"CREATE DOMAIN evil.{name} AS pg_catalog.{name} CHECK (evil.accepts(VALUE::pg_catalog.text))"
        for name in _NAMED_TYPES
    ]
    for name in ("text", "float8"):
        made.append(f"CREATE TYPE evil.{name} AS ENUM ('0')")
        for other in ("text", "varchar", "name", "numeric", "int4", "int8", "float8", "bool", "timestamp", "oid"):
            made += [
                f"CREATE FUNCTION evil.into_{name}(pg_catalog.{other}) RETURNS evil.{name} LANGUAGE plpgsql"
                " AS 'BEGIN RETURN NULL; END'",
                f"CREATE CAST (pg_catalog.{other} AS evil.{name}) WITH FUNCTION evil.into_{name}(pg_catalog.{other})"
                " AS IMPLICIT",
                f"CREATE FUNCTION evil.from_{name}_{other}(evil.{name}) RETURNS pg_catalog.{other} LANGUAGE plpgsql"
                " AS 'BEGIN RETURN NULL; END'",
                f"CREATE CAST (evil.{name} AS pg_catalog.{other})"
                f" WITH FUNCTION evil.from_{name}_{other}(evil.{name}) AS IMPLICIT",
            ]
    return made


def _literal(texts: list[str]) -> str:
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    return f"ARRAY[{quoted}]"


def planted(admin: psycopg.Connection[Any]) -> Counter[str]:
    """How many traps there are of each kind."""
    counts = """
        SELECT 'functions', count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace
        UNION ALL SELECT 'operators', count(*) FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace
        UNION ALL SELECT 'types', count(*) FROM pg_type WHERE typnamespace = 'evil'::regnamespace
        UNION ALL SELECT 'casts', count(*) FROM pg_cast JOIN pg_proc f ON f.oid = castfunc
                          WHERE f.pronamespace = 'evil'::regnamespace
    """
    return Counter(dict(admin.execute(counts.encode()).fetchall()))


def called(admin: psycopg.Connection[Any], *besides: int) -> dict[str, int]:
    """The traps that were called since `forget`, with their calls.

    It waits until all other connections have gone but those of the server processes `besides`.
    """
    deadline = time.monotonic() + _PATIENCE
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND pid <> ALL(%s) AND backend_type = 'client backend'"
    )
    # a server process adds up its calls when it ends, at the latest
    while admin.execute(others, (list(besides),)).fetchone() != (0,):
        assert time.monotonic() < deadline, "somebody is still connected"
        time.sleep(0.05)
    admin.execute("SELECT pg_stat_clear_snapshot()")
    counts = "SELECT funcname, sum(calls)::int FROM pg_stat_user_functions WHERE calls > 0 GROUP BY 1 ORDER BY 2 DESC"
    return dict(admin.execute(counts).fetchall())


def forget(admin: psycopg.Connection[Any]) -> None:
    """Begin to count anew."""
    admin.execute("SELECT pg_stat_reset()")
