"""What went wrong with the database, in our own words: safe to log and to show.

The driver's own text is never passed on. Without an SQLSTATE it comes from libpq and may quote the connection string;
with one it is in the server's language. Only names of tables and columns are taken from it.
"""

import re
from collections.abc import Callable

import psycopg

from exporter.database.conninfo import ConnInfo
from exporter.database.failures import CLASSES, PHRASES, REFUSED_LOGINS, SQLSTATES, Kind
from exporter.database.names import quoted
from exporter.logs import mask

_REFUSED = re.compile(r"permission denied for (?:[a-z]+ )?(?:table|view|schema|relation|column) (.{1,200})")
_NAME = re.compile(r'"([^"\n]{1,200})"|(?:table|view|schema|relation|column) ([\w.$]{1,200})')


class DatabaseError(Exception):
    """A failure of the database: what happened, how to mend it (SQL or a setting), and the SQLSTATE if known."""

    def __init__(self, message: str, mend: str, sqlstate: str | None = None) -> None:
        super().__init__(message, mend)
        self.message = message
        self.mend = mend
        self.sqlstate = sqlstate

    def __str__(self) -> str:
        return f"{self.message} — {self.mend}"


class DatabaseUnavailable(DatabaseError):  # noqa: N818
    """No connection, or the server refused to go on with it."""


class LoginRefused(DatabaseUnavailable):
    """The server answers, but refuses the login; `reason` says why, without the server's address."""

    def __init__(self, place: str, reason: str, mend: str, sqlstate: str | None = None) -> None:
        super().__init__(f"{place}: {reason}", mend, sqlstate)
        self.reason = reason


class NotVisible(DatabaseError):  # noqa: N818
    """Row-level security hides rows from the role."""


class MissingGrant(DatabaseError):  # noqa: N818
    """The role may not read something."""


class SchemaProblem(DatabaseError):  # noqa: N818
    """A table, a column, a setting or a value is not what the configuration says."""


class IdentityMismatch(DatabaseError):  # noqa: N818
    """This is another database, or table, than the one the state was kept for."""


class QueryTimeout(DatabaseError):  # noqa: N818
    """A statement did not end in its time."""


class TableLocked(QueryTimeout):
    """A statement waited too long for another transaction's lock."""


class TooManyRows(DatabaseError):  # noqa: N818
    """A table has too many rows to be read."""


_KINDS: dict[Kind, Callable[[str, str, str | None], DatabaseError]] = {
    "unavailable": DatabaseUnavailable,
    "hidden": NotVisible,
    "grant": MissingGrant,
    "schema": SchemaProblem,
    "timeout": QueryTimeout,
    "locked": TableLocked,
}


def translate(exc: psycopg.Error, info: ConnInfo) -> DatabaseError:
    """The driver's error in our words. Raise it ``from None``, so that the driver's own is not printed with it."""
    state = exc.sqlstate
    if state is None:
        return _without_state(exc, info)
    if state == "42501":
        return _privilege(exc, info)
    kind, message, mend = SQLSTATES.get(state) or CLASSES.get(state[:2]) or _UNKNOWN
    name = _name_in(exc, info) if kind == "schema" else ""
    fill = {"user": _role(info), "name": name or "that the query asks for"}
    if message in REFUSED_LOGINS:
        return LoginRefused(_place(info), f"{message} (SQLSTATE {state})", mend, state)
    where = f"{_place(info)}: " if kind == "unavailable" else ""
    return _KINDS[kind](f"{where}{message.format(**fill)} (SQLSTATE {state})", mend.format(**fill), state)


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
    """Row-level security hides rows of a table from a role, both named as in SQL."""
    return NotVisible(
        f"row-level security hides rows of {table} from {role}{said}",
        # pasted whole it is SQL: the alternative is a comment
        f"ALTER ROLE {role} BYPASSRLS; -- or, where that cannot be granted: "
        f"CREATE POLICY ai_operation_exporter ON {table} FOR SELECT TO {role} USING (true); "
        f"-- and no restrictive policy for that role",
    )


def scrub(text: str, info: ConnInfo) -> str:
    """The text without the connection's secrets, raw or encoded; a second line of defence."""
    return mask(text, info.secrets)


_UNKNOWN: tuple[Kind, str, str] = (
    "unavailable",
    "the server refused",
    "look for this SQLSTATE in the server's log",
)


# Only what is filled in is scrubbed, and not our sentences: a gap in a known sentence would spell the password.
def _place(info: ConnInfo) -> str:
    return scrub(info.display, info)


def _role(info: ConnInfo) -> str:
    return scrub(quoted(info.user), info)


def _without_state(exc: psycopg.Error, info: ConnInfo) -> DatabaseError:
    said = str(exc)
    found = next((row for row in PHRASES if any(phrase in said for phrase in row[0])), None)
    if found is not None and found[1] in REFUSED_LOGINS:
        return LoginRefused(_place(info), found[1], found[2])
    if found is not None:
        return DatabaseUnavailable(f"{_place(info)}: {found[1]}", found[2])
    if isinstance(exc, psycopg.DataError):
        return SchemaProblem("a value cannot be represented", "look for infinite or very distant times")
    return DatabaseUnavailable(f"{_place(info)}: connection failed", "see the server's log")


def _privilege(exc: psycopg.Error, info: ConnInfo) -> DatabaseError:
    role, name = _role(info), _name_in(exc, info)
    said = _said(exc)
    if exc.diag.source_file == "rls.c" or "row-level security" in said:
        return hidden_rows(name or "<table>", role, " (SQLSTATE 42501)")
    if "for schema" in said:
        mend = f"GRANT USAGE ON SCHEMA {name or '<schema>'} TO {role};"
    else:
        mend = f"GRANT SELECT ON {name or '<table>'} TO {role};"
    message = f"{role} may not read {name or 'something that the query asks for'} (SQLSTATE 42501)"
    return MissingGrant(message, mend, "42501")


def _said(exc: psycopg.Error) -> str:
    """The server's message. From a database that does not know its encoding it is taken as UTF-8."""
    said = exc.diag.message_primary or ""
    if "\ufffd" in said and exc.pgresult is not None:
        data = exc.pgresult.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        said = data.decode("utf-8", "replace")
    return said


def _name_in(exc: psycopg.Error, info: ConnInfo) -> str:
    """The table or column that the server's message names; empty if it names none."""
    said = scrub(_said(exc), info)
    if refused := _REFUSED.fullmatch(said):
        name = refused[1]  # to its end, and without quotes whatever is in it
    else:
        match = _NAME.search(said)
        name = (match[1] or match[2]) if match else ""
    return quoted(name) if name.isprintable() and name else ""
