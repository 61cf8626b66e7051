"""Names from outside: tables, columns, time zones, and what becomes a label."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator

from exporter.config.types import Text
from exporter.diagnostics import setting_error
from exporter.zones import budget_zone_hint, find_zone, zone_hint

_BARE = re.compile(r"[\w$-]+")
_PART = re.compile(rf'"((?:[^"]|"")+)"|({_BARE.pattern})')
_LONGEST_IDENTIFIER = 63  # bytes; PostgreSQL silently cuts what is longer

_KEYWORDS = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
references returning right select session_user similar some symmetric system_user table tablesample then to trailing
true union unique user using variadic verbose when where window with
"""
RESERVED = frozenset(_KEYWORDS.split())
"""PostgreSQL's keywords that cannot stand bare as a name."""

LABEL_LENGTH = 128
"""Characters of a label value."""

SURROGATES = range(0xD800, 0xE000)
"""Halves of characters, which no text in UTF-8 has."""

BREAKS = (range(0x01, 0x20), range(0x7F, 0xA0), range(0x2028, 0x202A), SURROGATES)
"""Characters that a label has as blanks: Unicode's controls, surrogates, and separators of lines and paragraphs."""

_FORMATS = """
AD 600-605 61C 6DD 70F 890-891 8E2 180E 200B-200F 202A-202E 2060-2064 2066-206F FEFF FFF9-FFFB 110BD 110CD 13430-1343F
1BCA0-1BCA3 1D173-1D17A E0001 E0020-E007F
"""
_BLANKS = "20 A0 1680 2000-200A 202F 205F 3000"


def _code_points(text: str) -> Iterator[range]:
    for part in text.split():
        first, _, last = part.partition("-")
        yield range(int(first, 16), int(last or first, 16) + 1)


# A list of our own: Python's grows from version to version, and the view for Grafana has to have the same.
UNSEEN = tuple(_code_points(f"{_BLANKS} {_FORMATS}"))
"""Characters that a label does not begin or end with: blanks, and byte order marks, zero-width blanks and joiners."""

_TO_BLANKS = dict.fromkeys((0, *(point for points in BREAKS for point in points)), " ")
_UNSEEN = "".join(chr(point) for points in UNSEEN for point in points)


def clean_label(text: str | None, missing: str) -> str:
    """A label value: without control characters, and without blanks or unseen characters around it.

    It is `LABEL_LENGTH` long at most, `missing` where nothing is left.
    """
    if text is None:
        return missing
    # nearly all are printable: looking at each character takes longer than all else that is done with a row
    if not text.isprintable():
        # what is left by the cut may end in such a character, too
        return text.translate(_TO_BLANKS).strip(_UNSEEN)[:LABEL_LENGTH].rstrip(_UNSEEN) or missing
    return text.strip()[:LABEL_LENGTH].rstrip() or missing


@dataclass(frozen=True, slots=True)
class QualifiedName:
    """A table's name as the catalog has it: no quotes, and no schema where the search path decides."""

    schema: str | None
    name: str

    @classmethod
    def parse(cls, text: str) -> "QualifiedName":
        """Read ``name``, ``schema.name`` or ``"My Schema"."t"``; case is kept; ValueError if it is none."""
        parts = _split(text)
        match parts:
            case [name]:
                return cls(None, name)
            case [schema, name]:
                return cls(schema, name)
        raise ValueError("not a table's name")

    @property
    def parts(self) -> tuple[str, ...]:
        """The name's parts in order, for ``psycopg.sql.Identifier(*name.parts)``."""
        return (self.name,) if self.schema is None else (self.schema, self.name)

    def __str__(self) -> str:
        return ".".join(_written(part) for part in self.parts)


def _written(part: str) -> str:
    if _BARE.fullmatch(part):
        return part
    return '"' + part.replace('"', '""') + '"'


def _split(text: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        part = match[1].replace('""', '"') if match[1] is not None else match[2]
        parts.append(part)
        position = match.end()
        if position == len(text):
            return parts if all(_is_identifier(part) for part in parts) else []
        if text[position] != ".":
            return []
        position += 1
    return []


def _is_identifier(part: str) -> bool:
    return part.isprintable() and len(part.encode("utf-8", "surrogatepass")) <= _LONGEST_IDENTIFIER


def _label(value: str) -> str:
    name = clean_label(value, "")
    if not name:
        raise setting_error("write a name that can be seen")
    return name


def names_once(names: object) -> object:
    """The mapping as it is. Raises a setting's error if two of its names are the same label."""
    known: dict[str, str] = {}
    for written in names if isinstance(names, dict) else ():
        if isinstance(written, str) and known.setdefault(label := clean_label(written, ""), written) != written:
            raise setting_error(f"write {label!r} once: blanks around a name do not count")
    return names


def _table(value: object) -> QualifiedName:
    if isinstance(value, QualifiedName):
        return value
    try:
        return QualifiedName.parse(value if isinstance(value, str) else "")
    except ValueError:
        hint = 'write a table as name or schema.name; unusual ones in double quotes: "a.b"."t"'
        raise setting_error(hint) from None


def column_name(value: object) -> str:
    """A column's name as the catalog has it. Raises a setting's error if it is none."""
    parts = _split(value) if isinstance(value, str) else []
    if len(parts) != 1:
        raise setting_error(
            "write one column's name, as the catalog spells it; an unusual one in double quotes: '\"a b\"'"
        )
    return parts[0]


def written_column(name: str) -> str:
    """The name as it is written in the configuration; one that is written so already stays as it is."""
    return name if len(_split(name)) == 1 else _written(name)


def _zone(value: str) -> str:
    if find_zone(value) is None:
        raise setting_error(zone_hint(value))
    return value


def _budget_zone(value: str) -> str:
    if (hint := budget_zone_hint(value)) is not None:
        raise setting_error(hint)
    return value


TableName = Annotated[QualifiedName, PlainValidator(_table), PlainSerializer(str, return_type=str)]
# only in JSON, which is read again: elsewhere a column's name is compared with the catalog
ColumnName = Annotated[str, PlainValidator(column_name), PlainSerializer(_written, return_type=str, when_used="json")]
ZoneName = Annotated[str, AfterValidator(_zone)]
BudgetZoneName = Annotated[str, AfterValidator(_budget_zone)]
# as the label shows it: so is a name of the log before it is looked up
LabelName = Annotated[Text, AfterValidator(_label)]
