"""From a YAML file and the model of its settings to checked settings, or to everything that is wrong with the file."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.errors import ConfigError
from exporter.yaml_source import Document, Flaw, SettingPath, read_document

_Settings = TypeVar("_Settings", bound=BaseModel)
Quote = Callable[[SettingPath, Any], str]
"""How the value of a setting is shown in a message, or that it is not shown."""
_PLAIN_KEY = re.compile(r"[\w.-]{1,64}")

# What pydantic found wrong, by the type of its error, and the sentence that fixes it.
_HINTS = {
    "missing": "set it",
    "string_type": "write a text; in quotes if it looks like a number",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "tuple_type": "write a list, one '- item' a line, or [] for none",
    "dict_type": "write a mapping, one 'name: value' a line, or {{}} for none",
    "mapping_type": "write a mapping, one 'name: value' a line, or {{}} for none",
    "model_type": "write a mapping, one 'name: value' a line",
    "too_short": "write at least one item",
    "literal_error": "write one of {expected}",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "decimal_type": "write an amount in dollars, like 200 or 49.50",
    "decimal_parsing": "write an amount in dollars, like 200 or 49.50",
    "finite_number": "write an amount in dollars, like 200 or 49.50",
}


@dataclass(frozen=True)
class CheckedFile(Generic[_Settings]):
    """A read file: where it is, what it says, and the line of each setting."""

    path: Path
    settings: _Settings
    lines: Mapping[SettingPath, int]

    def flaw(self, setting: SettingPath, found: str, hint: str) -> Flaw:
        """Something wrong with a setting that only its use shows."""
        return Flaw(_line(self.lines, setting), setting, found, hint)

    def error(self, setting: SettingPath, found: str, hint: str) -> ConfigError:
        """What to raise when a setting turns out to be unusable after all."""
        return ConfigError(_sentences(self.path, [self.flaw(setting, found, hint)]))


def check_file(
    path: Path,
    model: type[_Settings],
    quote: Quote,
    further: Callable[[CheckedFile[_Settings]], Iterable[Flaw]] = lambda _: (),
    *,
    suggest: bool = True,
) -> CheckedFile[_Settings]:
    """Read and check the file. Raises ConfigError with every problem found.

    `further` finds what is wrong with settings that fit the model. With `suggest` an unknown setting is answered with
    the known one that looks most like it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror} — name a file that can be read"]) from None
    document = read_document(content)
    flaws = list(document.flaws)
    # Text that is no YAML has no data to judge: errors about it would be noise.
    if document.data is not None or not flaws:
        try:
            file = CheckedFile(path, model.model_validate(document.data), document.lines)
            flaws.extend(further(file))
        except ValidationError as error:
            details = error.errors(include_url=False)
            flaws.extend(_flaw(document, model, detail, quote, suggest) for detail in details if not _follows(detail))
    if flaws:
        raise ConfigError(_sentences(path, flaws))
    return file


def _sentences(path: Path, flaws: Iterable[Flaw]) -> list[str]:
    ordered = sorted(flaws, key=lambda flaw: flaw.line)
    return list(dict.fromkeys(f"{path}:{f.line}: {_named(f.path)}{f.found} — {f.hint}" for f in ordered))


def _named(path: SettingPath) -> str:
    """``error_classes[2].patterns[0]: `` for a path; a key that looks unlike a name is not repeated."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += ("." if name else "") + (part if _PLAIN_KEY.fullmatch(part) else "(…)")
    return f"{name}: " if name else ""


def _follows(detail: ErrorDetails) -> bool:
    """Whether this is only the consequence of another error: a list is short once its bad items are left out."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _flaw(document: Document, model: type[BaseModel], detail: ErrorDetails, quote: Quote, suggest: bool) -> Flaw:
    context = detail.get("ctx", {})
    kind, location = detail["type"], tuple(detail["loc"])
    path = location if kind == "missing" else _known_part(document, location)
    found, hint = "not set", _HINTS.get(kind, "write a value as in the documentation").format(**context)
    if kind == "setting":
        path, hint = (*path, *filter(None, context["setting"])), context["hint"]  # an empty name has no place
    if kind == "extra_forbidden":
        found, hint = "no such setting", _known_settings(model, location, suggest)
    elif kind != "missing":
        found = _found(document, path, quote)
    return Flaw(_line(document.lines, path), path, found, hint)


def _known_part(document: Document, location: SettingPath) -> SettingPath:
    # pydantic adds steps of its own (which branch of a union, "[key]"), which are in no file.
    known = [n for n in range(len(location) + 1) if location[:n] in document.lines or n == 0]
    return location[: max(known)]


def _line(lines: Mapping[SettingPath, int], path: SettingPath) -> int:
    return next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 1)


def _found(document: Document, path: SettingPath, quote: Quote) -> str:
    value: Any = document.data
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return "not set"
    return quote(path, value)


def _known_settings(model: type[BaseModel], location: SettingPath, suggest: bool) -> str:
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or isinstance(part, int):
            continue
        model = _section_type(field.annotation) or model
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = get_close_matches(str(location[-1]), names, n=1) if suggest else ()
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def _section_type(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_section_type(argument) for argument in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)
