"""What an author writes in `alerts.yaml`: the fields of an alert and their forms."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from alert_rules.model.conventions import CHANNEL_NAME, LONGEST_NAME
from alert_rules.model.dimensions import Dimension, parse_amount
from exporter.diagnostics import setting_error

Severity = Literal["critical", "warning", "info"]

_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]+")
# what YAML does not hold as it is
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_WHOLE_SECONDS = "write a duration of whole seconds like 30s, 5m or 1h"


def _seconds(value: object) -> int:
    amount = parse_amount(value) if isinstance(value, str) else None
    if amount is None or amount.dimension is not Dimension.DURATION or amount.value % 1:
        raise setting_error(_WHOLE_SECONDS)
    return int(amount.value)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value != value.strip() or value.startswith(".") or len(value) > LONGEST_NAME:
        raise setting_error(f"write up to {LONGEST_NAME} characters without slashes: the runbook's file has this name")
    return value


def _summary(value: str) -> str:
    if "{{" in value:
        raise setting_error(
            "leave {{ out: Prometheus would read it as a template; messages carry the value by themselves"
        )
    return value


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _link(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s{}]+", value):
        raise setting_error("write an address that begins with http:// or https://")
    return value.rstrip("/")


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise setting_error("write a number")
    return value


def _text(value: str) -> str:
    if re.search("[\ud800-\udfff]", value):
        raise setting_error("write the character itself, and not half of it")
    if _UNREADABLE.search(value):
        raise setting_error("leave the control character out")
    if "/webhooks/" in value:
        raise setting_error("take the webhook's URL out: it is a secret, and `rules add` takes it as webhook_url")
    return value


Text = Annotated[str, Strict(), AfterValidator(_text)]
Threshold = Annotated[float, BeforeValidator(_no_flag), Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Wait = Annotated[Seconds, Field(le=86400)]
ChannelName = Annotated[Text, Field(pattern=rf"^{CHANNEL_NAME}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertSpec(_Section):
    """One alert as written. `condition`, or the admin API's `type` with one `threshold_…`."""

    name: Annotated[Text, AfterValidator(_name)]
    condition: Text | None = None
    type: Text | None = None
    threshold_usd: Threshold | None = None
    threshold_percent: Threshold | None = None
    threshold_ms: Threshold | None = None
    threshold_seconds: Threshold | None = None
    threshold: Threshold | None = None
    channel: Annotated[list[ChannelName], BeforeValidator(_one_or_several), Field(min_length=1)]
    severity: Severity | None = None
    rungs: Annotated[dict[Text, Severity], Field(min_length=1)] | None = None
    by: Annotated[list[Text], BeforeValidator(_one_or_several), Field(min_length=1)] | None = None
    for_: Wait | None = Field(None, alias="for")
    keep_firing_for: Wait | None = None
    window: Annotated[Seconds, Field(ge=60, le=86400)] | None = None
    min_operations: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None
    certainty: Literal["high", "none"] | None = None
    summary: Annotated[Text, Field(min_length=1, max_length=200), AfterValidator(_summary)] | None = None
    disabled: Annotated[bool, Strict()] = False


class Links(_Section):
    """Where messages link to. Without `runbooks` they name the page's path in this project."""

    grafana: Annotated[Text, AfterValidator(_link)] = "http://localhost:3000"
    runbooks: Annotated[Text, AfterValidator(_link)] | None = None


class AlertsFile(_Section):
    """The whole file."""

    alerts: Annotated[list[AlertSpec], Field(min_length=1)]
    links: Links = Links()
