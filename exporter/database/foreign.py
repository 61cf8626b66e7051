"""Parameters in a URL that are not libpq's: those of other tools are ignored with a warning, misspelt ones are refused.

Libraries, poolers and hosts put words of their own into the same URL. They say nothing about the connection. But a
misspelt `sslmode` that was ignored would mean a connection without TLS: what is near to a parameter that protects
the connection is an error.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,62}")
"""What the name of a parameter looks like."""

_SHOWN_NAME = re.compile(r"[A-Za-z_]+(?:[.-][A-Za-z_]+)*[0-9]?")
_LONGEST_SHOWN = 40
_NEAR = 0.85  # sslmod, sslmoed, sslrootcerts; not sslaccept

_PROTECTING = tuple(
    """
    sslmode sslrootcert sslcert sslkey sslpassword sslcrl sslcrldir sslcertmode sslnegotiation
    ssl_min_protocol_version ssl_max_protocol_version channel_binding require_auth requirepeer gssencmode
    target_session_attrs
    """.split()
)

_INSTEAD: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset({"schema", "schemas", "currentschema", "searchpath", "defaultschema"}),
        "name the tables with their schema (tables.log, as schema.name)",
    ),
    (
        frozenset({"timezone", "tz", "servertimezone"}),
        "set log_time_zone and budget_time_zone",
    ),
    (
        frozenset({"connecttimeout", "connectiontimeout", "connectiontimeoutmillis", "logintimeout", "timeout"}),
        "set database.connect_timeout",
    ),
    (frozenset({"username", "uid", "userid"}), "write user for the user"),
    (frozenset({"pass", "passwd", "pwd"}), "write password for the password"),
    (frozenset({"database", "db"}), "write dbname for the database"),
)


def protecting_parameter(name: str) -> str | None:
    """The parameter that protects the connection and that an unknown name is probably meant to be; None if none is."""
    squeezed = _squeezed(name)
    for known in _PROTECTING:
        if squeezed == _squeezed(known):
            return known
    rated = [(SequenceMatcher(None, squeezed, _squeezed(known)).ratio(), known) for known in _PROTECTING]
    ratio, nearest = max(rated)
    return nearest if ratio >= _NEAR else None


def notice(names: Iterable[str]) -> str:
    """A warning of parameters that are ignored: their names, and what to set instead; never their values."""
    distinct = list(dict.fromkeys(names))
    shown = [name for name in distinct if _may_be_shown(name)]
    hidden = len(distinct) - len(shown)
    if hidden:
        shown.append(f"{hidden} with an unusual name")
    text = f"parameters of the URL that are not libpq's are ignored: {', '.join(shown)}"
    instead = [hint for spellings, hint in _INSTEAD if any(_squeezed(name) in spellings for name in distinct)]
    return "; ".join([text, *instead])


def _may_be_shown(name: str) -> bool:
    return len(name) <= _LONGEST_SHOWN and _SHOWN_NAME.fullmatch(name) is not None


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
