"""What went wrong with the database, in the exporter's own words: safe to log and to show.

What it means, and how to fix it, is decided by the SQLSTATE, not by the message, which is in the server's language. The
reason that libpq or the server gave follows, without anything that may be a secret.
"""

import re
from collections.abc import Callable
from typing import Literal

import psycopg

from exporter.config import QualifiedName
from exporter.database.conninfo import ConnInfo
from exporter.database.failures import REFUSED_LOGINS, Failure, Kind, by_state, by_words
from exporter.database.names import quoted, table_sql
from exporter.database.plain import is_plain
from exporter.database.reason import SETTING_STATES, reason
from exporter.errors import UserError
from exporter.logs import mask

TRIED_AGAIN = "nothing to do, unless it happens again: the exporter tries again by itself"
"""The hint for what only meets a read at a bad moment."""

_REFUSED = re.compile(r"permission denied for (?:[a-z]+ )?(?:table|view|schema|relation|column) (.{1,200})")
_NAME = re.compile(r'"([^"\n]{1,200})"|(?:table|view|schema|relation|column) ([\w.$]{1,200})')


class DatabaseError(UserError):
    """A failure of the database: what happened, how to fix it (SQL or a setting), and the SQLSTATE if known.

    `said` is the reason that libpq or the server gave, without secrets; empty where it is not known.
    """

    def __init__(self, message: str, hint: str, sqlstate: str | None = None, said: str = "") -> None:
        self.message = message
        self.hint = hint
        self.sqlstate = sqlstate
        self.said = said
        super().__init__(f"{self.detail} — {hint}")

    def add_hint(self, more: str) -> None:
        """Say one thing more of how to fix it."""
        self.hint = f"{self.hint}; {more}"
        super().__init__(f"{self.detail} — {self.hint}")

    @property
    def is_outdated(self) -> bool:
        """Whether a table may have changed while it was read, so that it is worth reading again at once.

        The server refuses a statement that was composed by what the catalog said of columns and tables before.
        """
        return isinstance(self, SchemaProblem) and (self.sqlstate or "").startswith("42")

    @property
    def detail(self) -> str:
        """What happened, and the reason that libpq or the server gave."""
        if not self.said or self.said.lower() in self.message.lower():
            return self.message
        return f"{self.message} ({self.said})"


class DatabaseUnavailable(DatabaseError):  # noqa: N818
    """No connection, or the server refused to go on with it."""


class LoginRefused(DatabaseUnavailable):
    """The server answers, but refuses the login; `reason` says why, without the server's address."""

    def __init__(self, place: str, reason: str, hint: str, sqlstate: str | None = None, said: str = "") -> None:
        super().__init__(f"{place}: {reason}", hint, sqlstate, said)
        self.reason = reason


class NotVisible(DatabaseError):  # noqa: N818
    """Row-level security hides rows from the role."""


class MissingGrant(DatabaseError):  # noqa: N818
    """The role may not read something."""


class SchemaProblem(DatabaseError):  # noqa: N818
    """A table, a column, a setting or a value is not what the configuration says."""


class IdentityMismatch(DatabaseError):  # noqa: N818
    """This is another database, or table, than the one the state was kept for."""


class ReplicaBehind(DatabaseError):  # noqa: N818
    """The server is a standby that is too far behind its primary."""


class QueryTimeout(DatabaseError):  # noqa: N818
    """A statement did not end in its time."""


class TableLocked(QueryTimeout):
    """A statement waited too long for another transaction's lock."""


class PlanOutdated(DatabaseError):  # noqa: N818
    """A table has changed since a kept statement was planned, or since the snapshot: read again.

    The plan is forgotten.
    """

    is_outdated = True


class VisibilityOutdated(NotVisible, PlanOutdated):
    """What shows all rows, or the table itself, has changed since the snapshot: read again."""


class TooManyRows(DatabaseError):  # noqa: N818
    """A table has too many rows to be read."""


_KINDS: dict[Kind, Callable[[str, str, str | None, str], DatabaseError]] = {
    "unavailable": DatabaseUnavailable,
    "schema": SchemaProblem,
    "timeout": QueryTimeout,
    "locked": TableLocked,
}


def translate(
    exc: psycopg.Error, info: ConnInfo, table: QualifiedName | None = None, state: str | None = None
) -> DatabaseError:
    """The driver's error in our words. Raise it ``from None``, so that the driver's own is not printed with it.

    `table` is the one that was read, with its schema. `state` is the SQLSTATE, where the driver does not know it.
    """
    state = exc.sqlstate or state
    said = _said(exc, info, state)
    if state is None:
        return _without_state(exc, info, said)
    if state == "42501":
        return _privilege(exc, info, table, said)
    kind, message, hint = _meaning(exc, state)
    name = _name_in(exc, info) if kind == "schema" else ""
    fill = {"user": role_name(info), "name": name or "that the query asks for"}
    if message in REFUSED_LOGINS:
        return LoginRefused(_place(info), f"{message} (SQLSTATE {state})", hint, state, said)
    where = f"{_place(info)}: " if kind == "unavailable" else ""
    of = f" of {table}" if table is not None and state.startswith("22") and state not in SETTING_STATES else ""
    return _KINDS[kind](f"{where}{message.format(**fill)}{of} (SQLSTATE {state})", hint.format(**fill), state, said)


def is_understood(exc: psycopg.Error) -> bool:
    """Whether it is known what an error means: by its SQLSTATE, or by words that libpq, a pooler or a server uses."""
    return exc.sqlstate is not None or by_words(str(exc)) is not None


def no_answer(info: ConnInfo) -> DatabaseUnavailable:
    """The server was connected to, and a statement got no answer in its time, not even that it was cancelled."""
    return DatabaseUnavailable(
        f"{_place(info)}: connected, and then no answer in time",
        "see whether the server or its pooler is overloaded, or the network is cut; it is tried again",
    )


def given_up(info: ConnInfo) -> DatabaseUnavailable:
    """The error for what is under way when the program stops."""
    return DatabaseUnavailable(f"{_place(info)}: given up", "nothing is wrong: the program stops")


def hidden_rows(table: str, role: str, said: str = "") -> NotVisible:
    """Row-level security hides rows of a table from a role, both named as in SQL; `said` continues the message."""
    return NotVisible(f"row-level security hides rows of {table} from {role}{said}", policy_sql(table, role))


def policy_sql(table: str, role: str) -> str:
    """The SQL that shows every row of a table to a role, both named as in SQL."""
    # pasted whole it is SQL: the alternative is a comment
    return (
        f"ALTER ROLE {role} BYPASSRLS; -- or, where that cannot be granted: "
        f"CREATE POLICY ai_operation_exporter ON {table} FOR SELECT TO {role} USING (true); "
        f"-- and no restrictive policy for that role"
    )


def scrub(text: str, info: ConnInfo) -> str:
    """The text without the connection's secrets, raw or encoded; a second line of defence."""
    return mask(text, info.secrets)


_UNKNOWN: Failure = ("unavailable", "the server refused", "look for this SQLSTATE in the server's log")


# Only what is filled in is scrubbed, and not our sentences: a gap in a known sentence would spell the password.
def _place(info: ConnInfo) -> str:
    return scrub(info.display, info)


def role_name(info: ConnInfo) -> str:
    """The role that logs in, in SQL; a placeholder where it may be a secret."""
    return scrub(quoted(info.user), info) if is_plain("user", info.user) else "<role>"


def _said(exc: psycopg.Error, info: ConnInfo, state: str | None) -> str:
    given = reason(exc, info)
    if not given:
        return ""
    return f"{'libpq' if state is None and 'FATAL' not in str(exc) else 'the server'} says: {given}"


def _meaning(exc: psycopg.Error, state: str) -> Failure:
    """What a state means; poolers send states of class 08 for everything, and say in words what it is."""
    by_phrase = by_words(exc.diag.message_primary or str(exc)) if state.startswith("08") else None
    return by_phrase or by_state(state) or _UNKNOWN


def _without_state(exc: psycopg.Error, info: ConnInfo, said: str) -> DatabaseError:
    if (found := by_words(str(exc))) is not None:
        _, message, hint = found
        if message in REFUSED_LOGINS:
            return LoginRefused(_place(info), message, hint, said=said)
        return DatabaseUnavailable(f"{_place(info)}: {message}", hint, said=said)
    if isinstance(exc, psycopg.DataError):
        return SchemaProblem("a value cannot be represented", "look for infinite or very distant times", said=said)
    hint = "correct the connection's settings, or see the log of the server or its pooler"
    return DatabaseUnavailable(f"{_place(info)}: connection failed", hint, said=said)


def _privilege(exc: psycopg.Error, info: ConnInfo, table: QualifiedName | None, said: str) -> DatabaseError:
    role, name = role_name(info), _name_in(exc, info)
    given = _message(exc)
    if exc.diag.source_file == "rls.c" or "row-level security" in given:
        return hidden_rows(name or "<table>", role, " (SQLSTATE 42501)")
    about = _refused_part(given, table)
    if "for schema" in given or about == "schema":
        name = name or (quoted(table.schema) if table is not None and table.schema else "<schema>")
        hint = f"GRANT USAGE ON SCHEMA {name} TO {role};"
    else:
        if table is not None and about == "table":
            name = table_sql(table)
        hint = f"GRANT SELECT ON {name or '<table>'} TO {role};"
    message = f"{role} may not read {name or 'something that the query asks for'} (SQLSTATE 42501)"
    return MissingGrant(message, hint, "42501", said)


def _refused_part(given: str, table: QualifiedName | None) -> Literal["table", "schema"] | None:
    """Which part of a table's name a refusal names, in whatever language; None if neither, or another table."""
    if table is None:
        return None
    parts: tuple[tuple[Literal["table", "schema"], str | None], ...] = (
        ("table", table.name),
        ("schema", table.schema),
    )
    # In English the name ends the sentence; elsewhere it may stand within a word, as a script without spaces has it.
    for part, name in parts:
        if name and re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", given):
            return part
    return None


def _message(exc: psycopg.Error) -> str:
    """The server's message. From a database that does not know its encoding it is taken as UTF-8."""
    said = exc.diag.message_primary or ""
    if "\ufffd" in said and exc.pgresult is not None:
        data = exc.pgresult.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        said = data.decode("utf-8", "replace")
    return said


def _name_in(exc: psycopg.Error, info: ConnInfo) -> str:
    """The table or column that the server's message names; empty if it names none."""
    said = scrub(_message(exc), info)
    if refused := _REFUSED.fullmatch(said):
        name = refused[1]  # to its end, and without quotes whatever is in it
    else:
        match = _NAME.search(said)
        name = (match[1] or match[2]) if match else ""
    return quoted(name) if name.isprintable() and name else ""
