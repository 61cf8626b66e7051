"""Put into words what pydantic finds wrong with a file that people write."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.yaml_source import SettingPath


@dataclass(frozen=True)
class FormError:
    """One setting of the wrong form: its name, what was found there, how to fix it, and where it stands in the data."""

    name: str
    found: str
    hint: str
    path: SettingPath
    at_name: bool = False


def form_errors(
    error: ValidationError, known: Mapping[SettingPath, type[BaseModel]], hints: Mapping[str, str], *, texts: bool
) -> list[FormError]:
    """What pydantic found wrong, in words; no text that could be a secret is repeated, and without `texts` none at all.

    `known` has the model of the settings below a path, in which `*` stands for any name or number. `hints` are those
    for pydantic's types of errors.
    """
    return [_form_error(detail, known, hints, texts=texts) for detail in error.errors(include_url=False)]


_PLAIN_NAME = re.compile(r"[\w.,%$-]{1,40}")


def _form_error(
    detail: ErrorDetails, known: Mapping[SettingPath, type[BaseModel]], hints: Mapping[str, str], *, texts: bool
) -> FormError:
    # pydantic marks a bad key of a mapping with a step of its own, which is in no file.
    path = tuple(part for part in detail["loc"] if part != "[key]")
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    # A long or odd name may be a secret in the wrong place.
    shown = name if _PLAIN_NAME.fullmatch(name) or not name else "(…)"
    kind, context = detail["type"], dict(detail.get("ctx", {}))
    hint = hints.get(f"{kind} {name}") or hints.get(kind) or "write it as in the documentation"
    if kind == "missing":
        return FormError(shown, "not set", hint.format(name=name), path)
    if kind == "extra_forbidden":
        if f"{kind} {name}" in hints:
            return FormError(shown, "a webhook's URL, which is a secret", hint, path)
        settings = [field.alias or key for key, field in _model(known, path).model_fields.items()]
        near = get_close_matches(name, settings, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(settings)}"
        return FormError(shown, "no such setting", hint, path, at_name=True)
    found = _shown(detail["input"])
    if not texts and isinstance(detail["input"], str) and (kind != "literal_error" or "/" in detail["input"]):
        found = "a text (not shown)"
    return FormError(shown, found, context.get("hint") or hint.format(**context), path)


def _model(known: Mapping[SettingPath, type[BaseModel]], path: SettingPath) -> type[BaseModel]:
    fitting = (
        model
        for pattern, model in known.items()
        if len(pattern) == len(path) - 1 and all(each in ("*", part) for each, part in zip(pattern, path, strict=False))
    )
    return next(fitting)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case str() if "://" in value or "/webhooks/" in value:
            return "a text (not shown)"
        case str():
            return repr(value if len(value) <= 60 else value[:60] + "…")
        case bool() | int() | float():
            return str(value).lower()
        case []:
            return "an empty list"
        case list():
            return "a list"
        case _:
            return "an empty mapping" if value == {} else "a mapping"
