"""The types of settings, each with a hint for a wrong value."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, Strict

from exporter.config.bounds import LARGEST_AMOUNT
from exporter.diagnostics import setting_error
from exporter.periods import MOST_DAYS, parse_period

_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_DURATION_HINT = "write a duration like 500ms, 10s, 5m, 48h or 2d, or a number of seconds"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[\w.-]*):([0-9]{1,5})", re.ASCII)
_SMALLEST_AMOUNT = Decimal("0.000001")
_LARGEST_TOKEN_PRICE = 1_000_000
_LARGEST_RATE = 1_000_000

DOLLARS = ("USD", "US$", "$", "DOLLAR", "DOLLARS")
"""What US dollars are called, in capitals."""

_CURRENCY = re.compile(r"[^\s\x00-\x1f\x7f-\x9f'\"\\%{}]{1,20}")


def parse_duration(value: object) -> float:
    """Seconds of ``500ms``, ``10s``, ``5m``, ``48h``, ``2d`` or a number of seconds; never negative."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(Decimal(match[1]) * _UNITS[match[2] or "s"])
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0:
        return float(value)
    raise setting_error(_DURATION_HINT)


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration: ``format_duration(172800.0) == "2d"``."""
    exact = Decimal(str(seconds))
    for unit in ("d", "h", "m", "s", "ms"):
        number = exact / _UNITS[unit]
        if number == number.to_integral_value() and (number or unit == "s"):
            return f"{int(number)}{unit}"
    return f"{exact:f}s"


@dataclass(frozen=True)
class DurationBounds:
    """Whether a duration is between two others, both included: for a setting's validator, and for its description."""

    low: str
    high: str

    def __call__(self, value: float) -> float:
        """The value. Raises a setting's error if it is out of bounds."""
        if not parse_duration(self.low) <= value <= parse_duration(self.high):
            raise setting_error(f"write a duration from {self.low} to {self.high}")
        return value


def within(low: str, high: str) -> AfterValidator:
    """A validator for a duration between two others, both included."""
    return AfterValidator(DurationBounds(low, high))


def _check_text(value: str) -> str:
    if not value.strip() or _CONTROL.search(value):
        raise setting_error("write a text that is not empty and has no control characters")
    return value


def _check_path(value: object) -> object:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or _CONTROL.search(value):
        raise setting_error("write a path; in quotes if it looks like a number")
    return value


def _check_amount(value: object) -> object:
    if isinstance(value, bool):
        raise setting_error("write an amount in dollars, like 200 or 49.50")
    return value


def _check_amount_range(value: Decimal) -> Decimal:
    if not 0 < value <= LARGEST_AMOUNT:
        raise setting_error("write an amount above 0, or leave the setting out for no limit")
    if value < _SMALLEST_AMOUNT:
        raise setting_error(f"write an amount of at least {_SMALLEST_AMOUNT:f}, or leave the setting out for no limit")
    return value


def _shown_amount(value: Decimal) -> float | int:
    return int(value) if value == int(value) else float(value)


def _check_token_price(value: Decimal) -> Decimal:
    if not 0 <= value <= _LARGEST_TOKEN_PRICE or value != round(value, 6):
        raise setting_error("write a price in dollars per million tokens, like 0.28, with six decimal places at most")
    return value


def _check_rate(value: Decimal) -> Decimal:
    if not 0 < value <= _LARGEST_RATE or value != round(value, 8):
        raise setting_error("write the rate in dollars, like 0.14, with at most eight decimal places")
    return value


def _currency(value: object) -> str:
    code = value.strip().upper() if isinstance(value, str) else ""
    if not _CURRENCY.fullmatch(code):
        raise setting_error("write a currency as the log has it, like RMB: without blanks and quotes")
    return code


def _read_moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime.combine(moment, time())
        if isinstance(moment, datetime):
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        moment = None
    if not isinstance(moment, datetime):
        raise setting_error("write a date or a time, like 2026-01-01 or 2026-01-01T16:30Z; UTC if it has no offset")
    return moment


def _read_valid_from(value: object) -> datetime:
    moment = _read_moment(value)
    if moment.minute % 15 or moment.second or moment.microsecond:
        raise setting_error("write a time on a quarter-hour, like 2026-01-01T16:30Z")
    return moment


def period_name(value: object) -> str:
    """The name of the period that is meant. Raises a setting's error if it is none, or too long."""
    period = parse_period(value) if isinstance(value, str) else None
    if period is None:
        raise setting_error("write day, week or month, or whole days or months like 7d, 30d, 2mo")
    if period.is_too_long:
        raise setting_error(f"write a period of at most {MOST_DAYS} days")
    return period.name


def _check_pattern(value: str) -> str:
    if not value.strip() or "\x00" in value:
        raise setting_error("write a regular expression; an empty one would match every message")
    if value.startswith("|") or (value.endswith("|") and not value.endswith("\\|")):
        raise setting_error("write a regular expression without an empty branch, which matches every message")
    return value


def _check_listen_address(value: str) -> str:
    split_listen_address(value)
    return value


def split_listen_address(value: str) -> tuple[str, int]:
    """Host and port of ``host:port``; ``:9867`` is every address (host ``""``), IPv6 stands in brackets."""
    match = _LISTEN.fullmatch(value)
    if match is None or int(match[2]) > 65535:
        raise setting_error("write host:port, like 127.0.0.1:9867, [::1]:9867, or :9867 for every address")
    return match[1].strip("[]"), int(match[2])


def _word(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()  # as PostgreSQL has it as a text
        case int():
            return str(value)
        case str() if "\x00" not in value:
            return value
    raise setting_error("write a word, a whole number, true, false, or null for rows without one")


Duration = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str, when_used="json")
]
Text = Annotated[str, AfterValidator(_check_text)]
PathText = Annotated[Path, BeforeValidator(_check_path)]
_Dollars = Annotated[
    Decimal,
    Field(allow_inf_nan=False),
    BeforeValidator(_check_amount),
    PlainSerializer(_shown_amount, when_used="json"),
]
Amount = Annotated[_Dollars, AfterValidator(_check_amount_range)]
TokenPrice = Annotated[_Dollars, AfterValidator(_check_token_price)]
Rate = Annotated[_Dollars, AfterValidator(_check_rate)]
Currency = Annotated[str, PlainValidator(_currency)]
"""What the log calls a currency, in capitals."""
ValidFrom = Annotated[datetime, PlainValidator(_read_valid_from)]
Moment = Annotated[datetime, PlainValidator(_read_moment)]
PeriodName = Annotated[str, PlainValidator(period_name)]
Word = Annotated[str | None, PlainValidator(_word)]
"""A value of a column as text; None is NULL."""
Count = Annotated[int, Strict()]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
ListenAddress = Annotated[str, AfterValidator(_check_listen_address)]
