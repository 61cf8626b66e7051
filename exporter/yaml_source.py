"""Read YAML as plain data, and remember where each setting stands, so that messages can point at it."""

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

SettingPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """A problem in the text itself: its line and column (from 1), the setting it is in, what was found, and a hint."""

    line: int
    path: SettingPath
    found: str
    hint: str
    column: int = 1


class Place(NamedTuple):
    """Line and column, both from 1, of a first character; for a text in quotes, the one after the quote."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A file's data, where the name (`keys`) and the value of each setting begin, and the text's own problems."""

    data: Any = None
    keys: dict[SettingPath, Place] = field(default_factory=dict)
    values: dict[SettingPath, Place] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def place(self, path: SettingPath, *, name: bool = False) -> Place:
        """Where to look for a setting: at its value; with `name`, or if the value is on another line, at its name.

        A setting that is not in the file is looked for in what would hold it.
        """
        known = next((part for part in prefixes(path) if part in self.values), ())
        key, value = self.keys.get(known), self.values.get(known, Place(1, 1))
        if key is None or (known == path and not name and key.line == value.line):
            return value
        return key


ABSENT: Any = object()
"""What `value_at` returns if there is no value."""


def value_at(data: Any, path: SettingPath) -> Any:
    """The value of a setting, or `ABSENT`."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part, ABSENT)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return ABSENT
    return data


def prefixes(path: SettingPath) -> Iterator[SettingPath]:
    """The path, and the paths of what holds it, from the inside out."""
    return (path[:length] for length in range(len(path), -1, -1))


class _AliasUsedError(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: ``off`` is a text, ``1:30`` and ``2024-01-01`` too, and there are no aliases."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _AliasUsedError(problem_mark=event.start_mark)
        return super().compose_node(parent, index)


for _tag, _expression, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,30})", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_expression})\Z"), list(_first))


def read_document(content: bytes) -> Document:
    """The data of a YAML text; never raises, and its flaws quote nothing that could be a secret."""
    document = Document()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        *before, line = content[: error.start].split(b"\n")
        column = len(line.decode("utf-8-sig")) + 1
        document.flaws.append(Flaw(len(before) + 1, (), "a byte that is not UTF-8", "save the file as UTF-8", column))
        return document
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _build(document, node, (), loader.construct_object)
    except yaml.YAMLError as error:
        document.flaws.append(_syntax_flaw(error, text))
    except RecursionError:
        document.flaws.append(Flaw(1, (), "lists or mappings inside each other, too deep", "write less depth"))
    return document


def _build(document: Document, node: Node, path: SettingPath, scalar: Callable[[Node], Hashable]) -> Any:
    quoted = isinstance(node, ScalarNode) and node.style in ("'", '"')
    document.values[path] = Place(node.start_mark.line + 1, node.start_mark.column + 1 + quoted)
    if isinstance(node, SequenceNode):
        return [_build(document, item, (*path, i), scalar) for i, item in enumerate(node.value)]
    if isinstance(node, MappingNode):
        return _build_mapping(document, node, path, scalar)
    try:
        return _whole(document, scalar(node), path, node)
    except (yaml.YAMLError, ValueError, OverflowError, AttributeError, KeyError):
        # What the constructor says would repeat the text.
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        document.flaws.append(Flaw(line, path, "a tag (!…) that does not fit", "write the plain value", column))
        return None


def _build_mapping(
    document: Document, node: MappingNode, path: SettingPath, scalar: Callable[[Node], Hashable]
) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, ScalarNode):
            document.flaws.append(Flaw(line, path, "a key that is not a name", "write name: value", column))
            continue
        key = _whole(document, key_node.value, path, key_node)  # as written: a model may be called 4.5
        inner = (*path, key)
        if key in built:
            hint = f"keep one; the first is in line {document.keys[inner].line}"
            document.flaws.append(Flaw(line, inner, "the setting a second time", hint, column))
            continue
        document.keys[inner] = Place(line, column)
        built[key] = _build(document, value_node, inner, scalar)
    return built


# JSON, and YAML that JavaScript writes, spell a character beyond U+FFFF as two escapes, which YAML reads one by one.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


def _whole(document: Document, value: Any, path: SettingPath, node: Node) -> Any:
    """The value, in a text each pair of surrogates joined; half a pair is a flaw."""
    if not isinstance(value, str) or _HALF.search(value) is None:
        return value
    joined = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
    half = _HALF.search(joined)
    if half is not None:
        mark = node.start_mark
        found = f"half of a character: \\u{ord(half[0]):04x}, a surrogate without its other half"
        document.flaws.append(Flaw(mark.line + 1, path, found, "write the character itself", mark.column + 1))
    return _HALF.sub("\ufffd", joined)


_SYNTAX = (
    ("another document", "a second document (---)", "keep one document"),
    ("cannot start any token", "a character that cannot begin a value", "put the value in quotes"),
    ("mapping values are not allowed", "a colon where no key can be", "put the value in quotes, or indent it"),
    ("found unexpected end of stream", "a quote that is not closed", "close it"),
    ("unknown escape character", "a backslash in double quotes", "use single quotes"),
    ("could not find expected ':'", "a line without a colon", "write key: value"),
    ("<block end>", "a line that is indented unlike its neighbours", "line it up with the lines above"),
    ("special characters are not allowed", "a control character", "remove it"),
    ("tab", "a tab", "indent with spaces"),
)
# For these the parser's context is the place of the mistake, and its problem the place where it gave up.
_NOTICED_LATER = ("found unexpected end of stream", "could not find expected ':'")


def _syntax_flaw(error: yaml.YAMLError, text: str) -> Flaw:
    line, column = 1, 1
    said = " ".join(str(part) for part in (getattr(error, "problem", ""), getattr(error, "reason", "")))
    marks = [getattr(error, "problem_mark", None), getattr(error, "context_mark", None)]
    if any(phrase in said for phrase in _NOTICED_LATER):
        marks.reverse()
    mark = marks[0] or marks[1]
    if mark is not None:
        line, column = mark.line + 1, mark.column + 1
    elif isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
    if isinstance(error, _AliasUsedError):
        return Flaw(line, (), "a value that begins with *", "put it in quotes; aliases are not supported", column)
    if r"'\t'" in said:
        said = "tab"
    for phrase, found, hint in _SYNTAX:
        if phrase in said:
            return Flaw(line, (), found, hint, column)
    return Flaw(line, (), "not YAML", "compare the line with those around it", column)
