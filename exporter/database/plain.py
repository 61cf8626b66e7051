"""What may be shown of a connection's parameters: plain names, and nothing that may be more than a name.

Other tools' connection strings end up in the wrong places: a whole URL as the host, `u:secret` as the user. Nothing of
such a value may be printed, and nothing of it may be asked of a name server.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

_HOST_NAME = re.compile(r"\w[\w.-]{0,252}")
_SOCKET = re.compile(r"@[\w./+~-]*|/[\w./+~:-]*")  # a proxy of a hosted database has colons in its path
_PORT = re.compile(r"[0-9]{1,5}")
_NAME = re.compile(r"[\w.$+-]+(?: [\w.$+-]+)*")
_LOGIN = re.compile(r"[\w.$+-]+(?:@[\w.-]+| [\w.$+ -]*[\w.$+-])?")  # some hosted databases want user@server
_WORD = re.compile(r"[\w.,!+-]+")
_PATH = re.compile(r"[\w./+~ -]+")
_LONGEST_NAME = 128
_SECRET_WORD = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)
_CONNECTION_STRING = re.compile(r"://|(?:^|[\s;&?,])[\w ]*(?:pass|pwd|secret|host|server|user)[\w ]*=", re.IGNORECASE)
_SEPARATORS = re.compile(r"[^\w.$!*^+-]+")
_OPTION = re.compile(r"-c|(?:-c|--)?(?P<name>[a-z_]+(?:\.[a-z_]+)?)=[\w.,+-]*")
_LEAST_PIECE = 4  # characters: masking every "a" would reveal more than it hides
_PATHS = frozenset({"passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "sslkeylogfile"})
_FREE_TEXT = frozenset({"options", "application_name", "fallback_application_name"})

# Of a value that is not plain every piece is masked, but for those that say nothing and stand in libpq's own sentences.
_ORDINARY_WORDS = """
host hostaddr port user username userid password passwd database dbname data source server initial catalog
application_name application name options sslmode require prefer disable allow verify-ca verify-full mode
postgres postgresql jdbc odbc driver localhost true false null none public connection timeout trust pooling
"""
_ORDINARY = frozenset(_ORDINARY_WORDS.split())


def is_plain(keyword: str, value: str) -> bool:
    """Whether the value of a libpq parameter is what its keyword asks for, and may therefore be shown."""
    match keyword:
        case "host":
            return all(_is_host(part) for part in value.split(","))
        case "hostaddr":
            return all(not part or _is_address(part) for part in value.split(","))
        case "port":
            return all(not part or is_port(part) for part in value.split(","))
        case "user":
            return _is_name(_LOGIN, value)
        case "dbname" | "service":
            return _is_name(_NAME, value)
        case _ if keyword in _PATHS:
            return _PATH.fullmatch(value) is not None
        case _:
            return keyword not in _FREE_TEXT and _WORD.fullmatch(value) is not None


def is_port(text: str) -> bool:
    """Whether a text is a port's number."""
    return _PORT.fullmatch(text) is not None and 0 < int(text) < 65536


def is_connection_string(value: str) -> bool:
    """Whether a value that should be one name looks like the string of a whole connection."""
    return _CONNECTION_STRING.search(value) is not None


def is_harmless(text: str) -> bool:
    """Whether a text that a server or libpq puts in quotes is a plain name, word, path or address."""
    return is_plain("user", text) or is_plain("host", text) or _PATH.fullmatch(text) is not None


def hidden_values(params: Mapping[str, str]) -> Iterator[str]:
    """The values that are no plain ones, whole; options one by one."""
    for name, value in params.items():
        if name == "options":
            yield from (option for option in value.split() if not _is_plain_option(option))
        elif value and not is_plain(name, value):
            yield value


def pieces(values: Iterable[str]) -> frozenset[str]:
    """What a message could quote of values that are not plain: each piece of them that may be a secret."""
    found = (
        piece.strip(".-")
        for value in values
        for spelling in (value, unquote(value))
        for piece in _SEPARATORS.split(spelling)
    )
    return frozenset(piece for piece in found if len(piece) >= _LEAST_PIECE and piece.lower() not in _ORDINARY)


def _is_plain_option(option: str) -> bool:
    match = _OPTION.fullmatch(option)
    return match is not None and _SECRET_WORD.search(match["name"] or "") is None


def _is_name(pattern: re.Pattern[str], value: str) -> bool:
    if len(value) > _LONGEST_NAME or pattern.fullmatch(value) is None:
        return False
    # "app password x" was meant to be several words
    return " " not in value or _SECRET_WORD.search(value) is None


def _is_host(part: str) -> bool:
    if not part or _SOCKET.fullmatch(part) or _is_address(part):
        return True
    return _HOST_NAME.fullmatch(part) is not None


def _is_address(part: str) -> bool:
    address, percent, zone = part.partition("%")
    if percent and _WORD.fullmatch(zone) is None:
        return False
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
