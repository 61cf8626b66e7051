"""Read `alerts.yaml`: the alerts that are well formed, and what is wrong with the others."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from alert_rules.language.source import Source, read_source
from alert_rules.language.spec import AlertsFile, AlertSpec, Links
from alert_rules.model.errors import Problem
from exporter.yaml_source import SettingPath, read_document


@dataclass(frozen=True)
class Alerts:
    """The well-formed alerts of a file by their number in it, and what is wrong with the rest of the file."""

    specs: Mapping[int, AlertSpec]
    links: Links
    source: Source
    problems: tuple[Problem, ...] = ()


def load_alerts(path: Path) -> Alerts:
    """Read a file of alerts. Raises `RulesError` if it cannot be read at all."""
    return _alerts(read_source(path))


def parse_alerts(content: bytes, file: str) -> Alerts:
    """Parse the text of a file of alerts; `file` is its name in errors."""
    return _alerts(Source(file, read_document(content)))


def _alerts(source: Source) -> Alerts:
    data, problems = source.document.data, source.flaws
    if data is None and not problems:
        problems.append(Problem(source.file, 1, 1, "nothing", "write at least one alert under alerts:"))
    if data is None:
        return Alerts({}, Links(), source, tuple(problems))
    try:
        written = AlertsFile.model_validate(data)
    except ValidationError as error:
        problems += [_located(source, found) for found in form_errors(error)]
        return Alerts(dict(_well_formed(source)), Links(), source, tuple(problems))
    return Alerts(dict(enumerate(written.alerts)), written.links, source, tuple(problems))


def _well_formed(source: Source) -> Iterator[tuple[int, AlertSpec]]:
    """Compile what is well formed in spite of errors elsewhere, so that one run reports all of them."""
    alerts = source.document.data.get("alerts") if isinstance(source.document.data, dict) else None
    for number, alert in enumerate(alerts if isinstance(alerts, list) else ()):
        with suppress(ValidationError):
            yield number, AlertSpec.model_validate(alert)


@dataclass(frozen=True)
class FormError:
    """One setting of the wrong form: its name, what was found there, how to fix it, and where it stands in the data."""

    name: str
    found: str
    hint: str
    path: SettingPath
    at_name: bool = False


def form_errors(error: ValidationError) -> list[FormError]:
    """What pydantic found wrong with an `AlertsFile`, in words. No text that could be a secret is repeated."""
    return [_form_error(detail) for detail in error.errors(include_url=False)]


def _located(source: Source, error: FormError) -> Problem:
    place = source.key_problem if error.at_name else source.problem
    return place(error.path, f"{error.name}: {error.found}", error.hint)


_PLAIN_NAME = re.compile(r"[\w.,%$-]{1,40}")

_HINTS: Mapping[str, str] = {
    "string_type": "write a text; in quotes if it looks like a number",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a number",
    "list_type": "write a list",
    "dict_type": "write one 'amount: severity' a line",
    "model_type": "write one 'name: value' a line",
    "literal_error": "write one of {expected}",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "too_short": "write at least one",
    "string_too_long": "write {max_length} characters at most",
    "string_too_short": "write a sentence, or leave it out",
}


def _form_error(detail: ErrorDetails) -> FormError:
    # pydantic marks a bad key of a mapping with a step of its own, which is in no file.
    path = tuple(part for part in detail["loc"] if part != "[key]")
    context = dict(detail.get("ctx", {}))
    name = next((part for part in reversed(path) if isinstance(part, str)), "alerts")
    # A long or odd name may be a secret in the wrong place.
    shown = name if _PLAIN_NAME.fullmatch(name) else "(…)"
    if detail["type"] == "missing":
        hint = "write channel: and a name from channels.yaml" if name == "channel" else f"write {name}:"
        return FormError(shown, "not set", hint, path[:-1])
    if detail["type"] == "extra_forbidden" and name == "webhook_url":
        hint = "take it out and keep it in the channel's secret file; `rules add` puts it there"
        return FormError(shown, "a webhook's URL, which is a secret", hint, path)
    if detail["type"] == "extra_forbidden":
        model = Links if path[:1] == ("links",) else AlertSpec if len(path) > 2 else AlertsFile
        known = [field.alias or key for key, field in model.model_fields.items()]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        return FormError(shown, "no such setting", hint, path, at_name=True)
    if detail["type"] == "setting":
        hint = str(context["hint"])
    elif path == ("alerts",) and detail["type"] == "list_type":
        hint = "write a list of alerts, each beginning with '- name:'"
    else:
        hint = _HINTS.get(detail["type"], "write it as in the documentation of alerts").format(**context)
    return FormError(shown, _shown(detail["input"]), hint, path)


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
            return "a mapping"
