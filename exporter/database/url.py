"""Reading a database URL, also one whose password was put in without percent-encoding.

Every place where the password could end is tried, and a reading counts only if all that follows it is a host, a port,
a database and parameters. One reading left: that is what was meant. None or several: an error, since a guess could send
a piece of the password to a stranger's host, or print it as a database's name. A parameter that libpq does not know
counts as one in every reading, though it is passed over: which of two readings is right is not for its name to decide.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from psycopg import pq

from exporter.database.foreign import PARAMETER_NAME, protecting_parameter

_SCHEME = re.compile(r"(?:jdbc:)?(?:postgresql|postgres)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
_REST = re.compile(r"(?P<hosts>[^/?#@\s]*)(?:/(?P<dbname>[^/?#@\s]*))?(?:\?(?P<query>.*))?", re.DOTALL)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.%-]*))(?::(?P<port>[0-9]{0,5}))?")
_NOT_IN_USER = re.compile(r"[/?#&=\s]")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MOST_READINGS = 64

KNOWN_PARAMETERS = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_SWITCH = {
    **dict.fromkeys(("true", "1", "on", "yes", "required", "no-verify"), "require"),
    **dict.fromkeys(("false", "0", "off", "no"), "disable"),
}


_ENCODE = "percent-encode the user and the password (@ is %40, / is %2F, : is %3A, % is %25)"


class UnreadableUrlError(ValueError):
    """Why a URL cannot be read, and a hint; neither quotes anything of it."""

    def __init__(self, reason: str, hint: str = _ENCODE) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class UrlParameters:
    """What a URL says: parameters that libpq knows, and the names of those that it does not."""

    known: dict[str, str] = field(repr=False)
    foreign: tuple[str, ...] = ()


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL, and not as ``key=value`` words."""
    return _SCHEME.match(text) is not None


def parse_url(text: str) -> UrlParameters:
    """The parameters of a URL that ``is_url``; UnreadableUrlError if it has no reading, or several."""
    if "\x00" in text or "%00" in text:
        raise UnreadableUrlError("it holds a null character")
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if rest.count("@") > _MOST_READINGS:
        raise UnreadableUrlError("it has too many @ signs")
    readings: list[UrlParameters] = []
    for reading in _readings(rest):
        if reading not in readings:
            readings.append(reading)
    if len(readings) > 1:
        raise UnreadableUrlError("it can be read in more than one way")
    if not readings:
        raise UnreadableUrlError("its user, password, host, port and parameters cannot be told apart")
    for name in readings[0].foreign:
        if name == "ssl":
            raise UnreadableUrlError("ssl has a value that is not known", f"write sslmode: {', '.join(_SSL_MODES)}")
        if (meant := protecting_parameter(name)) is not None:
            hint = f"write {meant} as libpq spells it, or remove the parameter"
            raise UnreadableUrlError(f"a parameter looks like {meant}, but is misspelt", hint)
    return readings[0]


def decode(text: str) -> str:
    """Percent-decode; a sequence that is not valid, or not UTF-8, stands for itself."""

    def one(match: re.Match[str]) -> str:
        try:
            return unquote_to_bytes(match[0]).decode()
        except UnicodeDecodeError:
            return match[0]

    return _ESCAPES.sub(one, text)


def _readings(rest: str) -> Iterator[UrlParameters]:
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
        yield UrlParameters(login | server.known, server.foreign)


def _server(rest: str) -> UrlParameters | None:
    match = _REST.fullmatch(rest)
    if match is None:
        return None
    hosts = _hosts(match["hosts"])
    query = _query(match["query"] or "")
    if hosts is None or query is None:
        return None
    database = {"dbname": decode(match["dbname"])} if match["dbname"] else {}
    return UrlParameters(hosts | database | query.known, query.foreign)


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


def _query(text: str) -> UrlParameters | None:
    parameters: dict[str, str] = {}
    foreign: list[str] = []
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            return None
        name, value = decode(name), decode(value)
        if name == "ssl":
            mode = _SSL_SWITCH.get(value.lower(), value)
            if mode in _SSL_MODES:
                parameters.setdefault("sslmode", mode)
            else:
                foreign.append(name)
        elif name in KNOWN_PARAMETERS:
            parameters[name] = value
        elif PARAMETER_NAME.fullmatch(name):
            foreign.append(name)
        else:
            return None
    return UrlParameters(parameters, tuple(foreign))
