"""Reading a database URL, also one whose password was put in without percent-encoding.

Every place where the password could end is tried, and a reading counts only if all that follows it is a host, a port,
a database and parameters that libpq knows. One reading left: that is what was meant. None or several: an error, since a
guess could send a piece of the password to a stranger's host, or print it as a database's name.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from psycopg import pq

_SCHEME = re.compile(r"(?:postgresql|postgres)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
_REST = re.compile(r"(?P<hosts>[^/?#@\s]*)(?:/(?P<dbname>[^/?#@\s]*))?(?:\?(?P<query>.*))?", re.DOTALL)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.%-]*))(?::(?P<port>[0-9]{0,5}))?")
_NOT_IN_USER = re.compile(r"[/?#&=\s]")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MOST_READINGS = 64

KNOWN_PARAMETERS = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())

# What client libraries and poolers put into the same URL for themselves; it says nothing about the connection.
_FOREIGN_PARAMETERS = frozenset(
    {
        "command_timeout",
        "connection_limit",
        "max_cached_statement_lifetime",
        "pgbouncer",
        "pool_mode",
        "pool_size",
        "pool_timeout",
        "prepared_statement_cache_size",
        "prepareThreshold",
        "schema",
        "socket_timeout",
        "statement_cache_size",
        "statement_cache_mode",
        "workaround",
    }
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class UnreadableUrlError(ValueError):
    """Why a URL cannot be read; the text quotes nothing of it."""


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL, and not as ``key=value`` words."""
    return _SCHEME.match(text) is not None


def parse_url(text: str) -> dict[str, str]:
    """The libpq parameters of a URL that ``is_url``; UnreadableUrlError if it has no reading, or several."""
    if "\x00" in text or "%00" in text:
        raise UnreadableUrlError("it holds a null character")
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if rest.count("@") > _MOST_READINGS:
        raise UnreadableUrlError("it has too many @ signs")
    readings: list[dict[str, str]] = []
    for reading in _readings(rest):
        if reading not in readings:
            readings.append(reading)
    if len(readings) > 1:
        raise UnreadableUrlError("it can be read in more than one way")
    if not readings:
        raise UnreadableUrlError("its user, password, host, port and parameters cannot be told apart")
    return readings[0]


def decode(text: str) -> str:
    """Percent-decode; a sequence that is not valid, or not UTF-8, stands for itself."""

    def one(match: re.Match[str]) -> str:
        try:
            return unquote_to_bytes(match[0]).decode()
        except UnicodeDecodeError:
            return match[0]

    return _ESCAPES.sub(one, text)


def _readings(rest: str) -> Iterator[dict[str, str]]:
    if (server := _server(rest)) is not None:
        yield server
    for at in (index for index, character in enumerate(rest) if character == "@"):
        user, colon, password = rest[:at].partition(":")
        server = _server(rest[at + 1 :])
        if server is None or _NOT_IN_USER.search(user):
            continue
        # As in libpq, a user or a password among the parameters wins.
        login = {"user": decode(user)} if user else {}
        if colon and password:
            login["password"] = decode(password)
        yield login | server


def _server(rest: str) -> dict[str, str] | None:
    match = _REST.fullmatch(rest)
    if match is None:
        return None
    hosts = _hosts(match["hosts"])
    query = _query(match["query"] or "")
    if hosts is None or query is None:
        return None
    database = {"dbname": decode(match["dbname"])} if match["dbname"] else {}
    return hosts | database | query


def _hosts(text: str) -> dict[str, str] | None:
    names: list[str] = []
    ports: list[str] = []
    for part in text.split(","):
        match = _HOST.fullmatch(part)
        if match is None or (match["port"] and not 0 < int(match["port"]) < 65536):
            return None
        names.append(match["v6"] or decode(match["name"] or ""))
        ports.append(match["port"] or "")
    hosts = {"host": ",".join(names)} if any(names) else {}
    if any(ports):
        # libpq wants one port for all hosts, or one for each.
        hosts["port"] = ",".join(port or "5432" for port in ports)
    return hosts


def _query(text: str) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            return None
        name, value = decode(name), decode(value)
        if name == "ssl":
            mode = {"true": "require", "1": "require", "false": "disable", "0": "disable"}.get(value, value)
            if mode not in _SSL_MODES:
                return None
            parameters.setdefault("sslmode", mode)
        elif name in KNOWN_PARAMETERS:
            parameters[name] = value
        elif name not in _FOREIGN_PARAMETERS:
            return None
    return parameters
