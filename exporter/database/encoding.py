"""Text in the database's own encoding: whatever bytes it holds, and whatever names the configuration has.

A server that converts text refuses a whole statement for one character that it cannot convert. So it converts
nothing: text goes over the wire in the database's encoding, and what does not fit is replaced here.
"""

import codecs
import json
from typing import Any

import psycopg
from psycopg import sql
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.types.string import StrDumperUnknown

LACKING = "\x7f"
"""What stands for a character that the database's encoding lacks. A text that has it equals no text of the log."""

_TEXT_TYPES = ("text", "varchar", "bpchar", "name", '"char"')
_ANY_OTHER_TYPE = 0
_HANDLER = "ai_operation_exporter.lacking"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return LACKING * (error.end - error.start), error.end


codecs.register_error(_HANDLER, _replace)


def encode(text: str, codec: str) -> bytes:
    """The text as the database can take it: NUL and characters that the codec lacks become `LACKING`."""
    return text.replace("\0", LACKING).encode(codec, _HANDLER)


def lacking(text: str, codec: str) -> str:
    """The characters of a text that the database cannot hold, each once, in order."""
    return "".join(c for c in dict.fromkeys(text) if encode(c, codec) == LACKING.encode() and c != LACKING)


def codec_of(connection: "psycopg.Connection[Any]") -> str:
    """The Python codec of a connection's text; UTF-8 where the database does not say what its bytes mean."""
    codec = connection.info.encoding
    return "utf-8" if codec == "ascii" else codec


def be_lenient(connection: "psycopg.Connection[Any]") -> None:
    """Let the connection read any bytes and send any text."""
    adapters = connection.adapters
    adapters.register_dumper(str, _AnyText)
    # a database that is UTF-8 throughout holds nothing else
    if connection.info.parameter_status("server_encoding") != "UTF8":
        for name in _TEXT_TYPES:
            adapters.register_loader(name, _LenientText)
        adapters.register_loader(_ANY_OTHER_TYPE, _LenientText)
        for name in ("json", "jsonb"):
            adapters.register_loader(name, _LenientJson)


def encode_statement(statement: str | sql.Composable, connection: "psycopg.Connection[Any]") -> bytes:
    """A statement in the connection's encoding, whatever characters its names and literals have."""
    if isinstance(statement, sql.Composed):
        return b"".join(encode_statement(part, connection) for part in statement)
    if isinstance(statement, sql.Identifier):
        # psycopg encodes an identifier strictly, and for SQL_ASCII as ASCII
        return encode(statement.as_string(None), codec_of(connection))
    if isinstance(statement, str):
        return encode(statement, codec_of(connection))
    return statement.as_bytes(connection)


class _LenientText(Loader):
    """Bytes that are no text in the database's encoding become U+FFFD."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._codec = codec_of(self.connection) if self.connection else "utf-8"

    def load(self, data: Buffer) -> str:
        return bytes(data).decode(self._codec, "replace")


class _LenientJson(_LenientText):
    def load(self, data: Buffer) -> Any:
        return json.loads(super().load(data))


class _AnyText(StrDumperUnknown):
    """Text of any characters, also of those that the database lacks."""

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._codec = codec_of(self.connection) if self.connection else "utf-8"

    def dump(self, obj: str) -> Buffer | None:
        return encode(obj, self._codec)
