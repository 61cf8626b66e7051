"""The reason that libpq or the server gave, in its own words, without anything that may be a secret.

Such messages are worth reading: they name the limit, the host of a certificate, the parameter that is not met. But they
quote what was configured, which may be a password in the wrong place, and values of rows, which may be prompts.
"""

import re
from collections.abc import Mapping

import psycopg

from exporter.database.conninfo import SECRET_PARAMETERS, ConnInfo
from exporter.database.plain import hidden_values, is_harmless, pieces
from exporter.logs import mask

_MASK = "***"
_LONGEST = 300  # characters
_HEAD = re.compile(
    r"(?:connection failed|connection is bad|consuming input failed|sending query failed[^:]*): |"
    r'connection to server (?:at|on socket) "[^"]*"(?: \([^)]*\))?(?:, port [0-9,]+)? failed: |'
    r"\w+:  "  # the severity, in the server's language
)
_QUOTES = "\"'`«»‹›„“”‚‘’「」『』"
_OPENING = "[\"'`«»‹›„“”‚‘’「『]"
_CLOSING = "[\"'`«»‹›“”‘’」』]"
_QUOTED = re.compile(rf"(?<!\w)({_OPENING})([^{_QUOTES}]*)({_CLOSING})")
_FIRST_TO_LAST = re.compile(rf"(?<!\w)({_OPENING}).*({_CLOSING})")
_ASSIGNED = re.compile(r"(?i)\b([\w ]*(?:pass|pwd|secret|token)\w*\s*[=:]\s*)\S+")
_URL = re.compile(r"\w+://\S+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ROW_VALUES = ("22", "23", "P0", "38", "39")
"""Classes of SQLSTATE whose messages quote values of rows."""
SETTING_STATES = ("22023", "2201B")
"""States of these classes that speak of a setting: a time zone, a pattern."""


def reason(error: psycopg.Error, info: ConnInfo) -> str:
    """The message, on one line of at most 300 characters and without secrets; empty if there is none.

    It has no value of a row, and nothing of the connection's parameters but plain names.
    """
    said = error.diag.message_primary or str(error)
    line = next((line for line in said.splitlines() if line.strip()), "").strip()
    while head := _HEAD.match(line):
        line = line[head.end() :].lstrip()
    state = error.sqlstate or ""
    of_a_row = state.startswith(_ROW_VALUES) if state else isinstance(error, psycopg.DataError)
    if of_a_row and state not in SETTING_STATES:
        line = _FIRST_TO_LAST.sub(rf"\g<1>{_MASK}\g<2>", line)
    line = _without_secrets(line, info.params, _resolved(error))
    return _UNPRINTABLE.sub(" ", line)[:_LONGEST]


def _resolved(error: psycopg.Error) -> dict[str, str]:
    """The parameters that libpq has put together itself for a connection that failed, as from a service file."""
    if error.pgconn is None:
        return {}
    try:
        options = error.pgconn.info
    except psycopg.Error:
        return {}
    return {option.keyword.decode(): option.val.decode(errors="replace") for option in options if option.val}


def _without_secrets(line: str, *sources: Mapping[str, str]) -> str:
    hidden: list[str] = []
    secrets: list[str] = []
    for params in sources:
        secrets += [value for name, value in params.items() if name in SECRET_PARAMETERS and value]
        hidden += hidden_values({name: value for name, value in params.items() if name not in SECRET_PARAMETERS})
    # what is no plain name first, whole and in pieces: libpq tears lists of hosts, and servers cut what is long
    line = mask(line, hidden)
    for piece in sorted(pieces(hidden), key=len, reverse=True):
        line = line.replace(piece, _MASK)
    line = _URL.sub(_MASK, line)
    line = _QUOTED.sub(lambda match: _quoted(match, secrets), line)
    line = _ASSIGNED.sub(rf"\g<1>{_MASK}", line)
    # Not a word that the sentence would have without it: the gap would spell the password.
    telling = [secret for secret in secrets if len(secret) > 3 and not re.fullmatch(r"[a-z]+|[\W_]+", secret)]
    for secret in telling:
        line = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _MASK, line)
    return line


def _quoted(match: re.Match[str], secrets: list[str]) -> str:
    inside = match[2]
    if inside and not is_harmless(inside):
        return f"{match[1]}{_MASK}{match[3]}"
    return f"{match[1]}{mask(inside, secrets)}{match[3]}"
