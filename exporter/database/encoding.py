"""Read and send text in the database's own encoding, with any bytes in the database and any names in the settings.

A server that converts text refuses a whole statement for one character that it cannot convert. So it converts
nothing: text goes over the wire in the database's encoding, and what does not fit is replaced here.
"""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import sql
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.types.string import StrDumperUnknown

LACKING = "\x7f"
"""What stands for a character that the database's encoding lacks. A text that has it equals no text of the log."""

_TEXT_TYPES = ("text", "varchar", "bpchar", "name", '"char"')
_ANY_OTHER_TYPE = 0
_PLACEHOLDER = re.compile(rb"%\((?P<name>\w+)\)s|%%")
_HANDLER = "ai_operation_exporter.lacking"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return LACKING * (error.end - error.start), error.end


codecs.register_error(_HANDLER, _replace)


@dataclass(frozen=True)
class Charset:
    """The codec of the text on the wire, and the one that has the characters which the database can hold."""

    wire: str
    holds: str

    def encode(self, text: str) -> bytes:
        """The text as the database can take it: NUL and characters that it lacks become `LACKING`."""
        data = text.replace("\0", LACKING).encode(self.holds, _HANDLER)
        return data if self.wire == self.holds else data.decode(self.holds).encode(self.wire)

    def lacking(self, text: str) -> str:
        """The characters of a text that the database cannot hold, each once, in the order of the text."""
        return "".join(c for c in dict.fromkeys(text) if c != LACKING and self.encode(c) == LACKING.encode())


UTF8 = Charset("utf-8", "utf-8")

# Python has no codec for it: the server converts its text, and what may be sent is only what is surely in it.
_CONVERTED: Mapping[str, Charset] = {"EUC_TW": Charset("utf-8", "ascii")}


def client_encoding(server_encoding: str) -> str:
    """The encoding to talk in with a database of that encoding."""
    return "UTF8" if server_encoding in _CONVERTED else server_encoding


def charset_of(connection: "psycopg.BaseConnection[Any]") -> Charset:
    """A connection's text; UTF-8 where the database does not say what its bytes mean."""
    server = connection.info.parameter_status("server_encoding") or "UTF8"
    if server in _CONVERTED:
        return _CONVERTED[server]
    codec = connection.info.encoding
    return UTF8 if codec in ("ascii", "utf-8") else Charset(codec, codec)


def be_lenient(connection: "psycopg.Connection[Any]") -> None:
    """Let the connection read any bytes and send any text."""
    adapters = connection.adapters
    adapters.register_dumper(str, _any_text(charset_of(connection)))
    # a database that is UTF-8 throughout holds nothing else
    if connection.info.parameter_status("server_encoding") != "UTF8":
        for name in _TEXT_TYPES:
            adapters.register_loader(name, _LenientText)
        adapters.register_loader(_ANY_OTHER_TYPE, _LenientText)
        for name in ("json", "jsonb"):
            adapters.register_loader(name, _LenientJson)


def encode_statement(statement: str | sql.Composable, connection: "psycopg.Connection[Any]") -> bytes:
    """A statement in the connection's encoding, whatever characters its names and literals have."""
    charset = charset_of(connection)

    def encode(part: str | sql.Composable) -> bytes:
        if isinstance(part, sql.Composed):
            return b"".join(map(encode, part))
        if isinstance(part, sql.Identifier):
            # psycopg encodes an identifier strictly, and for SQL_ASCII as ASCII
            return charset.encode(part.as_string(None))
        if isinstance(part, str):
            return charset.encode(part)
        return part.as_bytes(connection)

    return encode(statement)


class Numbered(NamedTuple):
    """An encoded statement with its parameters by number, as the server takes them, and their names in that order."""

    text: bytes
    names: tuple[str, ...]

    @classmethod
    def of(cls, statement: bytes) -> Self:
        """A statement with named parameters: the driver would look for them each time, which takes long in a long one.

        A percent sign in it is written twice.
        """
        numbers: dict[str, int] = {}

        def number(found: re.Match[bytes]) -> bytes:
            name = found["name"]
            return b"%" if name is None else b"$%d" % numbers.setdefault(name.decode(), len(numbers) + 1)

        text = _PLACEHOLDER.sub(number, statement)
        return cls(text, tuple(numbers))


class _LenientText(Loader):
    """Bytes that are no text in the database's encoding become U+FFFD."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._charset = charset_of(self.connection) if self.connection else UTF8

    def load(self, data: Buffer) -> str:
        return bytes(data).decode(self._charset.wire, "replace")


class _LenientJson(_LenientText):
    def load(self, data: Buffer) -> Any:
        return json.loads(super().load(data))


# each statement makes one anew, to which the connection would have to tell its charset again
@lru_cache
def _any_text(charset: Charset) -> type[StrDumperUnknown]:
    """What sends text of any characters, also of those that the database lacks."""

    class AnyText(StrDumperUnknown):
        def dump(self, obj: str) -> Buffer | None:
            return charset.encode(obj)

    return AnyText
