"""Check a file that people write, and describe each problem as `file:line:column: setting: what was found — hint`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from exporter.yaml_source import ABSENT, Document, SettingPath, prefixes, value_at

_Model = TypeVar("_Model", bound=BaseModel)
_SHOWN_LENGTH = 60
_SECRET_MARKS = ("://", "@", "passw", "pwd", "secret", "token")
_CONNECTION_STRING = re.compile(r"\w\s*=[^;]*;|;[^;]*\w\s*=")
_PLAIN_KEY = re.compile(r"[\w.-]{1,64}")

# The hint for each type of pydantic error. It does not know ours, which bring their own: see setting_error.
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


@dataclass(frozen=True, order=True)
class Problem:
    """One problem in a file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    found: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.found} — {self.hint}"


Quote = Callable[[SettingPath, Any], str]
"""Shows the value of a setting in a message, or says that it is not shown."""


@dataclass(frozen=True)
class FormError:
    """A setting that does not fit the model: what was found there, and how to fix it.

    `at_name` says that the name is wrong, not the value.
    """

    setting: SettingPath
    found: str
    hint: str
    at_name: bool = False


@dataclass(frozen=True)
class Form(Generic[_Model]):
    """The model of a file or a request, and how to describe what does not fit it.

    `hints` come before those that all forms share: by the type of pydantic's error, and before that by the type and the
    setting's name, as in `missing channel`. They can hold `{name}`, the setting's name, and the error's own context.
    With `suggest` the hint for an unknown setting is the most similar known one.
    """

    model: type[_Model]
    quote: Quote
    hints: Mapping[str, str] = field(default_factory=dict)
    suggest: bool = True

    def errors(self, error: ValidationError, data: Any) -> list[FormError]:
        """What does not fit the model in this data."""
        details = error.errors(include_url=False)
        return [self._error(detail, data) for detail in details if not _follows(detail)]

    def _error(self, detail: ErrorDetails, data: Any) -> FormError:
        context: Mapping[str, Any] = detail.get("ctx", {})
        kind, location = detail["type"], tuple(detail["loc"])
        # pydantic adds steps of its own (which branch of a union, "[key]"), which are not in the data
        setting = next(part for part in prefixes(location) if value_at(data, part) is not ABSENT)
        if kind == "missing":
            setting = location
        name = next((part for part in reversed(setting) if isinstance(part, str)), "")
        hint = self._hint(kind, name).format(name=name, **context)
        if kind == "setting":
            # an empty name has no place
            setting, hint = (*setting, *filter(None, context["setting"])), context["hint"]
        if kind == "extra_forbidden":
            return FormError(setting, "no such setting", hint or self._known_settings(location), at_name=True)
        if location[-1:] == ("[key]",):
            return FormError(setting, self.quote(setting, location[-2]), hint or "write another name", at_name=True)
        value = value_at(data, setting)
        found = "not set" if value is ABSENT else self.quote(setting, value)
        return FormError(setting, found, hint or "write a value as in the documentation")

    def _hint(self, kind: str, name: str) -> str:
        return self.hints.get(f"{kind} {name}") or self.hints.get(kind) or _HINTS.get(kind, "")

    def _known_settings(self, location: SettingPath) -> str:
        model: type[BaseModel] = self.model
        for part in location[:-1]:
            known = model.model_fields.get(str(part))
            if known is not None and not isinstance(part, int):
                model = _section_type(known.annotation) or model
        names = [known.alias or name for name, known in model.model_fields.items()]
        near = get_close_matches(str(location[-1]), names, n=1) if self.suggest else ()
        return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def setting_error(hint: str, *setting: str) -> PydanticCustomError:
    """The error that a validator raises: what to write instead, and the setting below the validated one, if any."""
    # Braces are the template's own syntax, hence the text goes in as a value.
    return PydanticCustomError("setting", "{hint}", {"hint": hint, "setting": setting})


def shown(value: object) -> str:
    """Quote a value from a file: shortened, on one line, and not at all if it may hold a secret."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value} (a number)"
        case str() if may_be_secret(value):
            return "a text (not shown)"
        case str():
            text = value if len(value) <= _SHOWN_LENGTH else value[:_SHOWN_LENGTH] + "…"
            return repr(text)
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def may_be_secret(text: str) -> bool:
    """Whether a text looks as if it held a password, such as a connection string."""
    return any(mark in text.lower() for mark in _SECRET_MARKS) or bool(_CONNECTION_STRING.search(text))


def check(file: str, document: Document, form: Form[_Model]) -> tuple[_Model | None, list[Problem]]:
    """The settings of a file, as far as they fit the form, and its problems."""
    problems = [Problem(file, f.line, f.column, f"{dotted(f.path)}{f.found}", f.hint) for f in document.flaws]
    # Text that is not YAML has no data: problems with that would only be noise.
    if document.data is None and problems:
        return None, problems
    try:
        return form.model.model_validate(document.data), problems
    except ValidationError as error:
        found = form.errors(error, document.data)
    return None, problems + [problem_at(file, document, e.setting, e.found, e.hint, name=e.at_name) for e in found]


def problem_at(
    file: str, document: Document, setting: SettingPath, found: str, hint: str, *, name: bool = False
) -> Problem:
    """A problem with a setting, or with its `name`; if it is not in the file, with what would hold it."""
    place = document.place(setting, name=name)
    return Problem(file, place.line, place.column, f"{dotted(setting)}{found}", hint)


def as_lines(problems: Iterable[Problem]) -> list[str]:
    """The problems as text in the order of the file, each once."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    return list(dict.fromkeys(map(str, ordered)))


def dotted(path: SettingPath) -> str:
    """`error_classes[2].patterns[0]: ` for a path. A key that does not look like a name is not repeated."""
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


def _section_type(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_section_type(argument) for argument in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)
