"""The admin API's request for a new alert: JSON, checked, as the settings of an alert in `alerts.yaml`."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from alert_rules.compiler.builtin_alerts import is_built_in
from alert_rules.model.conventions import CHANNEL_NAME, LONGEST_NAME, SEVERITIES
from alert_rules.model.dimensions import THRESHOLDS, Dimension
from alert_rules.model.errors import RulesError

_TEXTS = ("for", "keep_firing_for", "window", "certainty", "summary")
_FIELDS = (
    *("name", "type", *THRESHOLDS, "condition", "channel", "webhook_url", "severity", "rungs"),
    *(*_TEXTS, "by", "min_operations"),
)
_SHOWN = re.compile(r"[\w.-]{1,40}")
_CHANNEL = re.compile(CHANNEL_NAME)
_RUNG = re.compile(r"[\w.,%$]{1,40}", re.ASCII)
_LONGEST_TEXT = 200
_LARGEST, _PLACES = Decimal(10) ** 12, 9
_MOST_OPERATIONS = 1_000_000

# Names of this project's alerts are hashed under it, so that an alert has the same id wherever it is added.
_NAMESPACE = uuid.UUID("6f2f9c52-7c0d-5a53-9d0e-3a1f0f6f7c14")


@dataclass(frozen=True, slots=True)
class AddRequest:
    """A new alert: `settings` as alerts.yaml has them, in order; the URL is kept apart and out of every repr.

    `origins` has the request's own field for a setting that is called otherwise.
    """

    name: str
    settings: dict[str, Any]
    channels: tuple[str, ...]
    origins: dict[str, str] = field(default_factory=dict)
    webhook_url: str | None = field(default=None, repr=False)


def alert_id(name: str) -> str:
    """The id of an alert: always the same for a name."""
    return str(uuid.uuid5(_NAMESPACE, name))


def parse_request(text: str | bytes, quantities: Mapping[str, Dimension]) -> AddRequest:
    """Check a request; `quantities` are the types that it may name.

    Raises RulesError with everything that is wrong with it; values are not repeated, since one may be a secret.
    """
    data = _object(text)
    problems = [
        f"{name if _SHOWN.fullmatch(name) else '(…)'}: no such field — {_near(name)}"
        for name in data
        if name not in _FIELDS
    ]
    settings: dict[str, Any] = {}
    for check in (_name, _condition, _channel, _severity, _options):
        try:
            settings |= check(data, quantities)
        except RulesError as error:
            problems.extend(error.problems)
    url = data.get("webhook_url")
    if url is not None and not isinstance(url, str):
        problems.append("webhook_url: not a text — write the URL that Discord shows for the webhook")
    channel = settings.get("channel", ())
    channels = (channel,) if isinstance(channel, str) else tuple(channel)
    if url is not None and len(channels) > 1:
        problems.append("webhook_url: several channels — name the one channel that it belongs to")
    if problems:
        raise RulesError(problems)
    origins = (
        {} if "condition" in data else {"condition": next(name for name in THRESHOLDS if data.get(name) is not None)}
    )
    return AddRequest(settings["name"], settings, channels, origins, url)


def _object(text: str | bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise RulesError(["a field stands twice in the JSON — keep one"])
        return found

    def no_constant(_: str) -> Any:
        raise RulesError(["NaN or Infinity in the JSON — write a number"])

    try:
        data = json.loads(
            text.removeprefix("\ufeff") if isinstance(text, str) else text,
            object_pairs_hook=unique,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=no_constant,
        )
    except UnicodeDecodeError:
        raise RulesError(["the request is not UTF-8 — send JSON in UTF-8"]) from None
    except json.JSONDecodeError as error:
        raise RulesError([f"the request is not JSON ({error.msg}, line {error.lineno}) — send one object"]) from None
    except (RecursionError, ArithmeticError):
        raise RulesError(["the request is not JSON that can be read — send one object of texts and numbers"]) from None
    if not isinstance(data, dict):
        raise RulesError(['the request is no JSON object — send {"name": …, "type": …, …}'])
    return data


def _near(name: str) -> str:
    near = get_close_matches(name, _FIELDS, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(_FIELDS)}"


def _text(data: Mapping[str, Any], name: str, longest: int) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise RulesError([f"{name}: {'not set' if value is None else 'not a text'} — write a text"])
    if "/webhooks/" in value:
        raise RulesError([f"{name}: holds a webhook's URL, which is a secret — send it as webhook_url"])
    if len(value) > longest or value != value.strip() or not value.isprintable():
        raise RulesError([f"{name}: write 1 to {longest} printable characters on one line, no space at either end"])
    return value


def _name(data: Mapping[str, Any], _: Mapping[str, Dimension]) -> dict[str, Any]:
    name = _text(data, "name", LONGEST_NAME)
    if "/" in name or "\\" in name or name.startswith("."):
        raise RulesError(["name: has a slash, or begins with a dot — the runbook's file is called like it"])
    if is_built_in(name):
        raise RulesError(["name: taken by a built-in alert — choose another one"])
    return {"name": name}


def _condition(data: Mapping[str, Any], quantities: Mapping[str, Dimension]) -> dict[str, Any]:
    if data.get("condition") is not None:
        beside = [name for name in ("type", *THRESHOLDS) if data.get(name) is not None]
        if beside:
            raise RulesError([f"condition: beside {' and '.join(beside)} — keep one of the two"])
        return {"condition": _text(data, "condition", _LONGEST_TEXT)}
    if data.get("type") is None:
        raise RulesError(["type: not set — write a quantity with its threshold, or a condition instead"])
    quantity = _text(data, "type", _LONGEST_TEXT)
    if quantity not in quantities:
        raise RulesError([f"type: no such quantity — write one of {', '.join(quantities)}"])
    fitting = [name for name, (dimension, _) in THRESHOLDS.items() if dimension == quantities[quantity]]
    given = [name for name in THRESHOLDS if data.get(name) is not None]
    if len(given) != 1 or given[0] not in fitting:
        found = " and ".join(given) or "no threshold"
        raise RulesError([f"type: {quantity} with {found} — set {' or '.join(fitting)}"])
    value = data[given[0]]
    if not isinstance(value, Decimal):
        raise RulesError([f"{given[0]}: not a number — write a number without quotes"])
    if not 0 <= value < _LARGEST or value != round(value, _PLACES):
        raise RulesError([f"{given[0]}: write a number from 0 to below {_LARGEST:,}, at most {_PLACES} decimals"])
    number = f"{value:f}"
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return {"condition": f"{quantity} > {THRESHOLDS[given[0]][1].format(number)}"}


def _channel(data: Mapping[str, Any], _: Mapping[str, Dimension]) -> dict[str, Any]:
    value = data.get("channel")
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and _CHANNEL.fullmatch(name) for name in names):
        raise RulesError(["channel: write a channel's name from channels.yaml, or a list of them"])
    return {"channel": names[0] if len(names) == 1 else names}


def _severity(data: Mapping[str, Any], _: Mapping[str, Dimension]) -> dict[str, Any]:
    if "rungs" in data:
        return _rungs(data)
    severity = data.get("severity", "warning")
    if severity not in SEVERITIES:
        raise RulesError([f"severity: write one of {', '.join(SEVERITIES)}"])
    return {"severity": severity}


def _rungs(data: Mapping[str, Any]) -> dict[str, Any]:
    rungs = data["rungs"]
    if not isinstance(rungs, dict) or not rungs:
        raise RulesError(['rungs: write an object of amounts with their severities, like {"80%": "warning"}'])
    if "severity" in data:
        raise RulesError(["severity: beside rungs — leave it out: each rung has its own"])
    if not all(_RUNG.fullmatch(amount) for amount in rungs):
        raise RulesError(["rungs: write amounts like 80%, $100 or 2000ms"])
    if not all(severity in SEVERITIES for severity in rungs.values()):
        raise RulesError([f"rungs: write one of {', '.join(SEVERITIES)} as the severity of each amount"])
    return {"rungs": dict(rungs)}


def _options(data: Mapping[str, Any], _: Mapping[str, Dimension]) -> dict[str, Any]:
    options: dict[str, Any] = {name: _text(data, name, _LONGEST_TEXT) for name in _TEXTS if name in data}
    if "by" in data:
        by = data["by"] if isinstance(data["by"], list) else [data["by"]]
        if not by or not all(isinstance(label, str) and label.isidentifier() for label in by):
            raise RulesError(["by: write a label's name, or a list of them"])
        options["by"] = data["by"]
    if "min_operations" in data:
        least = data["min_operations"]
        if not isinstance(least, Decimal) or least != round(least) or not 1 <= least <= _MOST_OPERATIONS:
            raise RulesError([f"min_operations: write a whole number from 1 to {_MOST_OPERATIONS:,}"])
        options["min_operations"] = int(least)
    return options
