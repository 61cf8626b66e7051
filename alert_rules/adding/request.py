"""Parse the admin API's request for a new alert: JSON, checked like an alert of alerts.yaml."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from alert_rules.compiler.compiling import check_alert, condition_of
from alert_rules.compiler.resolving import SemanticError, known_quantity
from alert_rules.language.loading import form_errors, setting_name
from alert_rules.language.spec import AlertsFile, AlertSpec
from alert_rules.model.dimensions import THRESHOLDS
from alert_rules.model.errors import RulesError
from exporter.diagnostics import FormError

_SETTINGS = tuple(field.alias or name for name, field in AlertSpec.model_fields.items())
_IN_CONDITION = ("condition", "type", *THRESHOLDS)


@dataclass(frozen=True, slots=True)
class AddRequest:
    """A new alert: `settings` as alerts.yaml has them, in order. The URL is kept apart and out of every repr."""

    name: str
    settings: dict[str, Any]
    channels: tuple[str, ...]
    webhook_url: str | None = field(default=None, repr=False)


def parse_request(text: str | bytes, channels: Collection[str]) -> AddRequest:
    """Parse and check a request; `channels` are the names that it may use.

    Raises `RulesError` with everything that is wrong with it. Texts that may be secrets are not repeated.
    """
    data = {name: value for name, value in _object(text).items() if value is not None}
    url = data.pop("webhook_url", None)
    spec, errors = _checked(data, channels)
    problems = [f"{name}: {found} — {hint}" for name, found, hint in errors]
    if url is not None and not isinstance(url, str):
        problems.append("webhook_url: not a text — write the URL that Discord shows for the webhook")
    elif url is not None and spec and len(spec.channel) > 1:
        problems.append("webhook_url: several channels — name the one channel that it belongs to")
    if problems or spec is None:
        raise RulesError(problems)
    return AddRequest(spec.name, _settings(spec, data), tuple(spec.channel), url)


def _checked(data: dict[str, Any], channels: Collection[str]) -> tuple[AlertSpec | None, list[tuple[str, str, str]]]:
    try:
        # JSON has types of its own: a number in quotes is an error there, and not in YAML.
        (spec,) = AlertsFile.model_validate({"alerts": [data]}, strict=True).alerts
    except ValidationError as error:
        errors = [_of_setting(each) for each in form_errors(error, {"alerts": [data]})]
        if all(name != "type" for name, *_ in errors):
            errors += _unknown_type(data)
        # unknown settings first, and then in the order of the settings
        return None, sorted(errors, key=lambda each: _SETTINGS.index(each[0]) if each[0] in _SETTINGS else -1)
    return spec, [(each.field, each.found, each.hint) for each in check_alert(spec, channels)[1]]


def _of_setting(error: FormError) -> tuple[str, str, str]:
    """The error by the setting of the request that it is in: of a rung, by `rungs`."""
    name, setting = setting_name(error.setting), str(error.setting[2]) if len(error.setting) > 2 else ""
    if setting not in _SETTINGS or setting == name:
        return name, error.found, error.hint
    return setting, f"{name}: {error.found}", error.hint


def _unknown_type(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The one semantic error that is reported beside errors of form: a typing error in the quantity's name."""
    try:
        if isinstance(data.get("type"), str):
            known_quantity(data["type"], "type")
    except SemanticError as error:
        return [(error.field, error.found, error.hint)]
    return []


def _settings(spec: AlertSpec, data: dict[str, Any]) -> dict[str, Any]:
    channel = spec.channel[0] if len(spec.channel) == 1 else spec.channel
    settings = {"name": spec.name, "condition": condition_of(spec)[0], "channel": channel}
    if spec.rungs is None:
        settings["severity"] = spec.severity or "warning"
    more = (name for name in _SETTINGS if name in data and name not in (*settings, *_IN_CONDITION))
    return settings | {name: data[name] for name in more}


def _object(text: str | bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise RulesError(["a field stands twice in the JSON — keep one"])
        return found

    def no_constant(_: str) -> Any:
        raise RulesError(["NaN or Infinity in the JSON — write a number"])

    try:
        text = text.removeprefix("\ufeff") if isinstance(text, str) else text
        data = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except UnicodeDecodeError:
        raise RulesError(["the request is not UTF-8 — send JSON in UTF-8"]) from None
    except json.JSONDecodeError as error:
        raise RulesError([f"the request is not JSON ({error.msg}, line {error.lineno}) — send one object"]) from None
    except (RecursionError, ValueError):
        raise RulesError(["the request is not JSON that can be read — send one object of texts and numbers"]) from None
    if not isinstance(data, dict):
        raise RulesError(['the request is no JSON object — send {"name": …, "type": …, …}'])
    return data
