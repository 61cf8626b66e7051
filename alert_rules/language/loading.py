"""Read `alerts.yaml`: the alerts that are well formed, and what is wrong with the others."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alert_rules.language.source import Source, read_source
from alert_rules.language.spec import AlertsFile, AlertSpec, Links
from exporter.diagnostics import Form, FormError, Problem
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
    return _alerts(read_source(path, "--alerts"))


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
        problems += [_located(source, found) for found in form_errors(error, data)]
        return Alerts(dict(_well_formed(source)), Links(), source, tuple(problems))
    return Alerts(dict(enumerate(written.alerts)), written.links, source, tuple(problems))


def _well_formed(source: Source) -> Iterator[tuple[int, AlertSpec]]:
    """Compile what is well formed in spite of errors elsewhere, so that one run reports all of them."""
    alerts = source.document.data.get("alerts") if isinstance(source.document.data, dict) else None
    for number, alert in enumerate(alerts if isinstance(alerts, list) else ()):
        with suppress(ValidationError):
            yield number, AlertSpec.model_validate(alert)


def form_errors(error: ValidationError, data: Any) -> list[FormError]:
    """What is wrong with the form of an `AlertsFile`, in words."""
    return _FORM.errors(error, data)


def setting_name(setting: SettingPath) -> str:
    """The last name of a path, unless it is long or odd enough to be a secret in the wrong place."""
    name = next((part for part in reversed(setting) if isinstance(part, str)), "alerts")
    return name if _PLAIN_NAME.fullmatch(name) else "(…)"


def _located(source: Source, error: FormError) -> Problem:
    place = source.key_problem if error.at_name else source.problem
    return place(error.setting, f"{setting_name(error.setting)}: {error.found}", error.hint)


_PLAIN_NAME = re.compile(r"[\w.,%$-]{1,40}")

_HINTS: Mapping[str, str] = {
    "missing": "write {name}:",
    "missing channel": "write channel: and a name from channels.yaml",
    "extra_forbidden webhook_url": "take it out and keep it in the channel's secret file; `rules add` puts it there",
    "list_type alerts": "write a list of alerts, each beginning with '- name:'",
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
    "string_pattern_mismatch": "write a channel's name as in channels.yaml: small letters, digits, - and _",
    "greater_than_equal": "write {ge} or more",
    "greater_than_equal window": "write a window from 1m to 24h",
    "less_than_equal window": "write a window from 1m to 24h",
    "less_than_equal for": "write 24h at most",
    "less_than_equal keep_firing_for": "write 24h at most",
    "less_than_equal": "write {le} or less",
    "too_short": "write at least one",
    "string_too_long": "write {max_length} characters at most",
    "string_too_short": "write a sentence, or leave it out",
}


def _quoted(_: SettingPath, value: Any) -> str:
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


_FORM = Form(AlertsFile, _quoted, _HINTS)
