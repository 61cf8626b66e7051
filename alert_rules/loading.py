"""From a file to alerts that are well formed, and what is wrong with the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from alert_rules.source import Source, read_source
from alert_rules.spec import AlertsFile, AlertSpec, Links
from exporter.diagnostics import Problem
from exporter.yaml_source import read_document


@dataclass(frozen=True)
class Alerts:
    """The alerts of a file that are well formed, by their number in it, and what is wrong with the rest of it."""

    specs: Mapping[int, AlertSpec]
    links: Links
    source: Source
    problems: tuple[Problem, ...] = ()


def load_alerts(path: Path) -> Alerts:
    """Read a file of alerts. Raises `RulesError` where it cannot be read at all."""
    return _alerts(read_source(path))


def parse_alerts(content: bytes, file: str) -> Alerts:
    """The same for a text; `file` is how errors name it."""
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
        details = error.errors(include_url=False)
        problems += [_problem(source, detail) for detail in details if detail["loc"][-1:] != ("webhook_url",)]
        problems += _secrets(source)
        return Alerts(dict(_well_formed(source)), Links(), source, tuple(problems))
    return Alerts(dict(enumerate(written.alerts)), written.links, source, tuple(problems))


def _well_formed(source: Source) -> Iterator[tuple[int, AlertSpec]]:
    """Those that can be judged further, so that one reading of the file tells all that is wrong with it."""
    for number, alert in enumerate(_listed(source)):
        try:
            yield number, AlertSpec.model_validate(alert)
        except ValidationError:
            continue


def _listed(source: Source) -> list[Any]:
    alerts = source.document.data.get("alerts") if isinstance(source.document.data, dict) else None
    return alerts if isinstance(alerts, list) else []


def _secrets(source: Source) -> Iterator[Problem]:
    for number, alert in enumerate(_listed(source)):
        if isinstance(alert, dict) and "webhook_url" in alert:
            hint = "take it out and keep it in the channel's secret file; `rules add` puts it there"
            yield source.problem(("alerts", number, "webhook_url"), "a webhook's URL, which is a secret", hint)


_HINTS: Mapping[str, str] = {
    "missing": "write {name}",
    "extra_forbidden": "known here: {known}",
    "string_type": "write a text; in quotes if it looks like a number",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "float_type": "write a number",
    "float_parsing": "write a number",
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


def _problem(source: Source, detail: ErrorDetails) -> Problem:
    path = tuple(detail["loc"])
    context = dict(detail.get("ctx", {}))
    name = str(path[-1]) if path else "alerts"
    if detail["type"] == "setting":
        hint = str(context["hint"])
    elif path == ("alerts",) and detail["type"] == "list_type":
        hint = "write a list of alerts, each beginning with '- name:'"
    elif detail["type"] == "missing" and name == "channel":
        hint = "write channel: and a name from channels.yaml"
    else:
        known = Links if path[:1] == ("links",) else AlertSpec if len(path) > 2 else AlertsFile
        names = ", ".join(field.alias or key for key, field in known.model_fields.items())
        template = _HINTS.get(detail["type"], "write it as in the documentation of alerts")
        hint = template.format(name=name, known=names, **context)
    if detail["type"] == "missing":
        return source.problem(path[:-1], f"an alert without {name}" if len(path) > 2 else f"no {name}", hint)
    if detail["type"] == "extra_forbidden":
        return source.key_problem(path, f"{name}, which is no setting", hint)
    return source.problem(path, f"{name}: {_shown(detail['input'])}", hint)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case str() if "://" in value:
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
