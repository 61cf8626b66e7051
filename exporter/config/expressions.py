"""Expressions in SQL that stand where a column may: parsed, and refused where they do more than compute one value.

Two things are looked at. A parser for PostgreSQL's dialect says whether the text is one scalar expression. And each of
its words is accounted for: as a keyword, a type, a function of `FUNCTIONS`, or else a column of the log. So an
expression cannot name any other object of the database, whatever the parser makes of it.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import PlainSerializer, PlainValidator

from exporter.config.names import RESERVED, column_name, written_column
from exporter.diagnostics import setting_error

if TYPE_CHECKING:
    from sqlglot import exp

MARK = "="
"""What an expression begins with, where the configuration could also name a column."""

LONGEST = 4000
"""Characters of an expression."""

_FUNCTIONS = """
abs ceil ceiling div exp floor ln log mod power round sign sqrt to_number trunc
btrim char_length concat concat_ws encode initcap left length lower lpad ltrim md5 octet_length regexp_replace
replace reverse right rpad rtrim split_part starts_with strpos substr substring to_char translate upper
date_part date_trunc isfinite make_interval to_timestamp
array_length array_position array_to_string cardinality string_to_array
json_array_length json_extract_path json_extract_path_text json_typeof
jsonb_array_length jsonb_extract_path jsonb_extract_path_text jsonb_typeof to_jsonb
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions of PostgreSQL that compute a value from their arguments, and from nothing else of the database."""

_CONSTRUCTS = "all any cast coalesce extract greatest in least nullif position trim"
CONSTRUCTS = frozenset(_CONSTRUCTS.split())
"""What the grammar has before a parenthesis."""

_GRAMMAR = """
all and any array as at between both case distinct else end escape false from ilike in is isnull leading like not
notnull null or symmetric then trailing true unknown when
"""
_KEYWORDS = frozenset(_GRAMMAR.split())
_TYPE_NAMES = """
bigint bool boolean bpchar char date decimal float4 float8 int int2 int4 int8 integer interval json jsonb numeric
real smallint text timestamp timestamptz uuid varchar
"""
_TYPES = frozenset(_TYPE_NAMES.split())
_LONG_TYPES = (
    ("double", "precision"),
    ("character", "varying"),
    ("timestamp", "with", "time", "zone"),
    ("timestamp", "without", "time", "zone"),
)
_TYPED_TEXTS = frozenset(("date", "interval", "timestamp", "timestamptz"))
_OTHER_MOMENTS = frozenset(("now", "today", "tomorrow", "yesterday"))
_PART_OF_A_DATE = 5  # letters of a word beside these that may still be one: a month, a zone, "at"
_WORD = re.compile(r"[a-z]+(?:[/_][a-z]+)*")
_SIGNS = "+ - * / % ^ < > <= >= = <> != || -> ->> #> #>> @> <@ ? ~ ~* !~ !~* ~~ ~~* !~~ !~~*"
_OPERATORS = frozenset(_SIGNS.split())

_LETTER = "A-Za-z_\x80-\U0010ffff"  # as PostgreSQL's own scanner has it
_TOKEN = re.compile(
    rf"""
    (?P<blank>[ \t\r\n\f]+)
    | (?P<text>'(?:[^'\\]|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?P<word>[{_LETTER}][{_LETTER}0-9$]*)
    | (?P<bracket>::|[(),\[\]])
    | (?P<operator>[-+*/%^<>=~!@\#|&?`]+)
    """,
    re.VERBOSE,
)
_UPPER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Expression(str):
    """An expression in SQL, with `MARK` before it: the text as the configuration has it."""

    __slots__ = ()

    @property
    def sql(self) -> str:
        """The expression alone."""
        return self.removeprefix(MARK).strip()

    @property
    def is_null(self) -> bool:
        """Whether it says that the log has no such value."""
        return self.sql.lower() == "null"

    @property
    def quotients(self) -> tuple["Expression", ...]:
        """The divisions in it, each as an expression of its own."""
        from sqlglot import exp

        return tuple(Expression(MARK + each.sql(dialect="postgres")) for each in _parse(self.sql).find_all(exp.Div))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, as the catalog spells them."""
        return tuple(dict.fromkeys(_columns(_scan(self.sql))))


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    glued: bool  # to the token before it


_NOTHING = _Token("", "", 0, False)


def parse_expression(text: str) -> Expression:
    """An expression, with or without `MARK`. Raises a setting's error where it is not one that can be used."""
    expression = Expression(text)
    if len(text) > LONGEST:
        raise setting_error(f"write an expression of {LONGEST} characters at most")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise setting_error("write characters that can be sent: half of a pair is none")
    tokens = _scan(expression.sql)
    if not tokens:
        raise setting_error('write an expression in SQL behind "=", or a column\'s name')
    list(_columns(tokens))
    _parse(expression.sql)
    return expression


def _scan(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, glued, depth = 0, False, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise setting_error(_unknown(text[position:]))
        kind, found = str(match.lastgroup), match[0]
        if kind == "operator" and found not in _OPERATORS:
            raise setting_error(f"{found} is no operator that can be used here; write blanks between operators")
        depth += {"(": 1, ")": -1}.get(found, 0)
        if depth < 0:
            raise setting_error("a parenthesis is closed that was not opened")
        if kind != "blank":
            tokens.append(_Token(kind, found, position, glued))
        position, glued = match.end(), kind != "blank"
    return tokens


def _unknown(rest: str) -> str:
    if rest.startswith(";"):
        return "write one expression, without a semicolon"
    if rest.startswith("."):
        return "write a column's name alone, and a function's: no schema and no table before it"
    if rest.startswith(("'", '"')):
        return "close each quote; a text has no backslash"
    return f"{rest[0]!r} cannot stand in an expression"


def _columns(tokens: Sequence[_Token]) -> Iterator[str]:
    """The columns among the words. Raises a setting's error for a word that is none and has no other place here."""
    place = 0
    while place < len(tokens):
        before, token = _at(tokens, place - 1), tokens[place]
        place += 1
        if token.kind == "text" and token.glued and before.kind in ("word", "quoted"):
            raise setting_error(f"write a text in plain quotes: {before.text}{token.text} is of another kind")
        if token.kind == "text" and _is_another_moment(token.text):
            raise setting_error(
                f"write a date and a time: to PostgreSQL {token.text} is another moment at each reading"
            )
        if token.kind == "quoted":
            if _at(tokens, place).text == "(" or before.text == "::":
                raise setting_error(f"write {token.text} without quotes: only columns have them")
            yield token.text[1:-1].replace('""', '"')
        elif token.kind == "word":
            if (length := _type_length(tokens, place - 1)) is not None:
                place += length - 1
            elif not _has_other_place(tokens, place - 1):
                yield _column(token)


def _is_another_moment(text: str) -> bool:
    """Whether a text could be a time that depends on when it is read. Beside a time it needs no cast."""
    words = set(_WORD.findall(text.lower()))
    others = words - _OTHER_MOMENTS
    return others != words and all("/" in word or len(word) <= _PART_OF_A_DATE for word in others)


def _type_length(tokens: Sequence[_Token], place: int) -> int | None:
    """How many words are a type that begins here; None where no type is expected."""
    before, words = _at(tokens, place - 1), [_lower(token) for token in tokens[place : place + 4]]
    if (
        before.text != "::"
        and _lower(before) != "as"
        and not (words[0] in _TYPED_TEXTS and _at(tokens, place + 1).kind == "text")
    ):
        return None
    for long in _LONG_TYPES:
        if tuple(words[: len(long)]) == long:
            return len(long)
    if words[0] not in _TYPES:
        raise setting_error(f"{words[0]} is no type that can be used here: {', '.join(sorted(_TYPES))}")
    return 1


def _has_other_place(tokens: Sequence[_Token], place: int) -> bool:
    word, before, after = _lower(tokens[place]), _at(tokens, place - 1), _at(tokens, place + 1)
    if after.text == "(" and word not in _KEYWORDS - CONSTRUCTS:
        if word in FUNCTIONS or word in CONSTRUCTS:
            return True
        if word in ("exists", "values"):
            raise setting_error("write an expression without a sub-select: it reads the row alone")
        near = get_close_matches(word, FUNCTIONS | CONSTRUCTS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise setting_error(f"{word} is no function that can be used here{hint}")
    in_zone = (word, _lower(before)) in (("time", "at"), ("zone", "time")) and "at" in (
        _lower(before),
        _lower(_at(tokens, place - 2)),
    )
    is_field = before.text == "(" and _lower(_at(tokens, place - 2)) == "extract" and _lower(after) == "from"
    return word in _KEYWORDS or in_zone or is_field


def _column(token: _Token) -> str:
    name = token.text.translate(_UPPER)  # PostgreSQL knows a name without quotes by its small letters
    if name in ("select", "table", "values", "with"):
        raise setting_error("write an expression without a sub-select: it reads the row alone")
    if name in RESERVED:
        raise setting_error(f'write "{name}" in double quotes if it is a column: without them it means something else')
    return name


def _at(tokens: Sequence[_Token], place: int) -> _Token:
    return tokens[place] if 0 <= place < len(tokens) else _NOTHING


def _lower(token: _Token) -> str:
    return token.text.lower() if token.kind == "word" else ""


def _parse(text: str) -> "exp.Expression":
    """What the parser makes of the text. Raises a setting's error unless that is one scalar expression."""
    # it takes a while to load, and most configurations have no expression
    import sqlglot
    from sqlglot import errors, exp

    try:
        statements = sqlglot.parse(f"SELECT (\n{text}\n)", dialect="postgres")
    except (errors.SqlglotError, RecursionError) as error:
        found = getattr(error, "errors", None)
        where = f", near column {found[0]['col']} of line {found[0]['line'] - 1}" if found else ""
        raise setting_error(f"write one expression in SQL: this one cannot be read{where}") from None
    select = statements[0] if len(statements) == 1 else None
    given = {name for name, value in select.args.items() if value} if isinstance(select, exp.Select) else set()
    parts = select.args["expressions"] if select is not None and given == {"expressions"} else []
    more = (exp.Query, exp.UDTF, exp.Alias, exp.Aliases, exp.Star, exp.Tuple, exp.Window, exp.AggFunc, exp.Command)
    if len(parts) != 1 or not isinstance(parts[0], exp.Paren) or parts[0].find(*more) is not None:
        raise setting_error("write one expression in SQL, which gives one value for each row")
    return parts[0]


def _column_or_expression(value: object) -> str:
    if isinstance(value, str) and value.startswith(MARK):
        return parse_expression(value)
    return column_name(value)


def _condition(value: object) -> Expression:
    return parse_expression(value if isinstance(value, str) else "")


def _written(value: str) -> str:
    return value if isinstance(value, Expression) else written_column(value)


LogColumn = Annotated[
    str, PlainValidator(_column_or_expression), PlainSerializer(_written, return_type=str, when_used="json")
]
"""A column of the log, or an expression behind `MARK`."""

Condition = Annotated[Expression, PlainValidator(_condition), PlainSerializer(str, return_type=str)]
"""A condition on the log's rows."""
