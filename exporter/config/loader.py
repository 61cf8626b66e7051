"""From a file to a checked configuration, or to everything that is wrong with it."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.errors import ConfigError, shown
from exporter.config.models import Config
from exporter.config.secrets import read_hmac_key
from exporter.yaml_source import Document, Flaw, SettingPath, read_document

ENVIRONMENT_PATH = "AI_OPERATION_EXPORTER_CONFIG"
_PLAIN_KEY = re.compile(r"[\w.-]{1,64}")
_SECRET_SETTINGS = {("database",), ("database", "url"), ("database", "url_file")}
_DATABASE = ("database",)
_SHORT = re.compile(r"[\w.+-]{0,20}")  # a duration, and not what was meant for the line above

# What pydantic found wrong, by the type of its error, and the sentence that fixes it.
_HINTS = {
    "missing": "set it",
    "string_type": "write a text; in quotes if it looks like a number",
    "int_type": "write a whole number",
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


def load_config(path: Path | None, environ: Mapping[str, str], *, read_files: bool = True) -> Config:
    """Read the configuration; without a path from ``$AI_OPERATION_EXPORTER_CONFIG``, else all defaults.

    With `read_files` the files of secrets that it names must be there and fit, too.
        Relative paths in it are relative to the working directory. Raises ConfigError with every problem found.
    """
    if path is None:
        named = environ.get(ENVIRONMENT_PATH)
        if not named:
            return Config()
        path = Path(named)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror} — name a file that can be read"]) from None
    document = read_document(content)
    flaws = list(document.flaws)
    config: Config | None = None
    # Text that is no YAML has no data to judge: errors about it would be noise.
    if document.data is not None or not flaws:
        try:
            config = Config.model_validate(document.data)
        except ValidationError as error:
            details = error.errors(include_url=False)
            flaws.extend(_flaw(document, detail) for detail in details if not _follows(detail))
    if config is not None and read_files:
        flaws.extend(_file_flaws(document, config))
    if config is None or flaws:
        raise ConfigError(_lines(path, flaws))
    return config


def _lines(path: Path, flaws: Iterable[Flaw]) -> list[str]:
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


def _flaw(document: Document, detail: ErrorDetails) -> Flaw:
    context = detail.get("ctx", {})
    path = _known_part(document, tuple(detail["loc"]))
    setting = context.get("setting") if detail["type"] == "setting" else None
    if setting:
        path = (*path, *setting.split("."))
    if detail["type"] == "missing":
        path = tuple(detail["loc"])
    return Flaw(_line(document, path), path, _found(document, detail, path), _hint(detail, context))


def _known_part(document: Document, location: SettingPath) -> SettingPath:
    # pydantic adds steps of its own (which branch of a union, "[key]"), which are in no file.
    known = [n for n in range(len(location) + 1) if location[:n] in document.lines or n == 0]
    return location[: max(known)]


def _line(document: Document, path: SettingPath) -> int:
    return next((document.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in document.lines), 1)


def _found(document: Document, detail: ErrorDetails, path: SettingPath) -> str:
    if detail["type"] == "extra_forbidden":
        return "no such setting"
    if detail["type"] == "missing":
        return "not set"
    value: Any = document.data
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return "not set"
    if isinstance(value, str) and (path in _SECRET_SETTINGS or (path[:1] == _DATABASE and not _SHORT.fullmatch(value))):
        return "a text (not shown)"
    return shown(value)


def _hint(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    if detail["type"] == "setting":
        return str(context["hint"])
    if detail["type"] == "extra_forbidden":
        return _known_settings(tuple(detail["loc"]))
    template = _HINTS.get(detail["type"])
    return template.format(**context) if template else "write a value as in config.example.yaml"


def _known_settings(location: SettingPath) -> str:
    model: type[BaseModel] = Config
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or isinstance(part, int):
            continue
        model = _section_type(field.annotation) or model
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = get_close_matches(str(location[-1]), names, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def _section_type(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_section_type(argument) for argument in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)


def _file_flaws(document: Document, config: Config) -> list[Flaw]:
    if config.users.mode != "hmac":
        return []
    try:
        read_hmac_key(config)
    except ConfigError as error:
        path: SettingPath = ("users", "hmac_key_file")
        return [Flaw(_line(document, path), path, shown(str(config.users.hmac_key_file)), str(error))]
    return []
