"""What an author writes in `alerts.yaml`: the fields, their forms, and all mistakes of a file at once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from alert_rules.dimensions import Dimension, parse_amount
from alert_rules.errors import Problem, wrong
from exporter.document import Document, Place, SettingPath, read_document

Severity = Literal["critical", "warning", "info"]

LONGEST_NAME = 100
"""Characters of an alert's name: with severity and counts it must fit into the title of a message."""

_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]+")
_CHANNEL = re.compile(r"[a-z][a-z0-9_-]*")
_WHOLE_SECONDS = "write a duration of whole seconds like 30s, 5m or 1h"


def _error(mend: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{mend}", {"mend": mend})


def _seconds(value: object) -> int:
    amount = parse_amount(value) if isinstance(value, str) else None
    if amount is None or amount.dimension is not Dimension.DURATION or amount.value % 1:
        raise _error(_WHOLE_SECONDS)
    return int(amount.value)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value != value.strip() or value.startswith(".") or len(value) > LONGEST_NAME:
        raise _error(f"write up to {LONGEST_NAME} characters without slashes: the runbook's file has this name")
    return value


def _summary(value: str) -> str:
    if "{{" in value:
        raise _error("leave {{ out: Prometheus would read it as a template; messages carry the value by themselves")
    return value


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _channel(value: str) -> str:
    if not _CHANNEL.fullmatch(value):
        raise _error("write a channel's name as in channels.yaml: small letters, digits, - and _")
    return value


def _window(value: int) -> int:
    if not 60 <= value <= 86400:
        raise _error("write a window from 1m to 24h")
    return value


def _wait(value: int) -> int:
    if value > 86400:
        raise _error("write 24h at most")
    return value


def _link(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s{}]+", value):
        raise _error("write an address that begins with http:// or https://")
    return value.rstrip("/")


Text = Annotated[str, Strict()]
Seconds = Annotated[int, BeforeValidator(_seconds)]


class AlertSpec(BaseModel):
    """One alert as written. `condition`, or the admin API's `type` with one `threshold_…`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Text, AfterValidator(_name)]
    condition: Text | None = None
    type: Text | None = None
    threshold_usd: Annotated[float, Field(ge=0)] | None = None
    threshold_percent: Annotated[float, Field(ge=0)] | None = None
    threshold_ms: Annotated[float, Field(ge=0)] | None = None
    threshold_seconds: Annotated[float, Field(ge=0)] | None = None
    threshold: Annotated[float, Field(ge=0)] | None = None
    channel: Annotated[
        list[Annotated[Text, AfterValidator(_channel)]], BeforeValidator(_one_or_several), Field(min_length=1)
    ]
    severity: Severity | None = None
    rungs: Annotated[dict[Text, Severity], Field(min_length=1)] | None = None
    by: Annotated[list[Text], BeforeValidator(_one_or_several), Field(min_length=1)] | None = None
    for_: Annotated[Seconds, AfterValidator(_wait)] | None = Field(None, alias="for")
    keep_firing_for: Annotated[Seconds, AfterValidator(_wait)] | None = None
    window: Annotated[Seconds, AfterValidator(_window)] | None = None
    min_operations: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None
    summary: Annotated[Text, Field(min_length=1, max_length=200), AfterValidator(_summary)] | None = None


class Links(BaseModel):
    """Where messages link to. Without `runbooks` they name the page's path in this project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grafana: Annotated[Text, AfterValidator(_link)] = "http://localhost:3000"
    runbooks: Annotated[Text, AfterValidator(_link)] | None = None


class AlertsFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alerts: Annotated[list[AlertSpec], Field(min_length=1)]
    links: Links = Links()


@dataclass(frozen=True)
class Source:
    """A file's name and where its values stand, to point at them."""

    file: str
    document: Document

    def place(self, path: SettingPath) -> Place:
        """Where a value begins; of what is not in the file, where the nearest thing around it does."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.document.values:
                return self.document.values[path[:length]]
        return Place(1, 1)

    def problem(self, path: SettingPath, found: str, mend: str, offset: int = 0) -> Problem:
        """A mistake in a value, `offset` characters behind its beginning."""
        place = self.place(path)
        return Problem(self.file, place.line, place.column + offset, found, mend)

    def key_problem(self, path: SettingPath, found: str, mend: str) -> Problem:
        """A mistake in a setting's name, or one that concerns name and value together."""
        place = self.document.keys.get(path) or self.place(path)
        return Problem(self.file, place.line, place.column, found, mend)


@dataclass(frozen=True)
class Alerts:
    """The alerts of a file that is well formed, and where to point when one does not make sense."""

    specs: tuple[AlertSpec, ...]
    links: Links
    source: Source


def load_alerts(path: Path) -> Alerts:
    """Read a file of alerts. Raises `RulesError` with every mistake of form in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise wrong(
            [Problem(str(path), 1, 1, error.strerror or "unreadable", "name a file that can be read")]
        ) from None
    return parse_alerts(content, str(path))


def parse_alerts(content: bytes, file: str) -> Alerts:
    """The same for a text; `file` is how errors name it."""
    document = read_document(content)
    source = Source(file, document)
    problems = [Problem(file, flaw.line, 1, flaw.found, flaw.mend) for flaw in document.flaws]
    written: AlertsFile | None = None
    if document.data is None and not problems:
        problems.append(Problem(file, 1, 1, "nothing", "write at least one alert under alerts:"))
    elif document.data is not None:
        try:
            written = AlertsFile.model_validate(document.data)
        except ValidationError as error:
            details = error.errors(include_url=False)
            problems += [_problem(source, detail) for detail in details if detail["loc"][-1:] != ("webhook_url",)]
        problems += _secrets(source)
    if written is None or problems:
        raise wrong(problems)
    return Alerts(tuple(written.alerts), written.links, source)


def _secrets(source: Source) -> Iterator[Problem]:
    alerts = source.document.data.get("alerts") if isinstance(source.document.data, dict) else None
    for number, alert in enumerate(alerts if isinstance(alerts, list) else ()):
        if isinstance(alert, dict) and "webhook_url" in alert:
            mend = "take it out and keep it in the channel's secret file; `rules add` puts it there"
            yield source.problem(("alerts", number, "webhook_url"), "a webhook's URL, which is a secret", mend)


_MENDS: Mapping[str, str] = {
    "missing": "write {name}",
    "extra_forbidden": "known here: {known}",
    "string_type": "write a text; in quotes if it looks like a number",
    "int_type": "write a whole number",
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
        mend = str(context["mend"])
    elif path == ("alerts",) and detail["type"] == "list_type":
        mend = "write a list of alerts, each beginning with '- name:'"
    elif detail["type"] == "missing" and name == "channel":
        mend = "write channel: and a name from channels.yaml"
    else:
        known = Links if path[:1] == ("links",) else AlertSpec if len(path) > 2 else AlertsFile
        names = ", ".join(field.alias or key for key, field in known.model_fields.items())
        template = _MENDS.get(detail["type"], "write it as in the documentation of alerts")
        mend = template.format(name=name, known=names, **context)
    if detail["type"] == "missing":
        return source.problem(path[:-1], f"an alert without {name}" if len(path) > 2 else f"no {name}", mend)
    if detail["type"] == "extra_forbidden":
        return source.key_problem(path, f"{name}, which is no setting", mend)
    return source.problem(path, f"{name}: {_shown(detail['input'])}", mend)


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
