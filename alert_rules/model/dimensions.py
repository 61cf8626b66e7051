"""Amounts with a dimension: money, ratio, duration, count."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum


class Dimension(Enum):
    """What a figure measures, how it is written, and how a Prometheus template shows one."""

    MONEY = ("an amount of money", "dollars like $200 or $0.05")
    RATIO = ("a ratio", "a percentage like 5%")
    DURATION = ("a duration", "500ms, 2s, 5m or 1h")
    COUNT = ("a count", "a plain number like 20")
    # of what is told beside a figure, and never compared
    MULTIPLE = ("a multiple", "")
    MOMENT = ("a moment", "")

    def __init__(self, noun: str, written: str) -> None:
        self.noun = noun
        self.written = written


@dataclass(frozen=True)
class Amount:
    """A literal: its value in dollars, as a fraction, in seconds, or as a number; and how it was written."""

    value: Decimal
    dimension: Dimension
    text: str


THRESHOLDS: Mapping[str, tuple[Dimension, str]] = {
    "threshold_usd": (Dimension.MONEY, "${}"),
    "threshold_percent": (Dimension.RATIO, "{}%"),
    "threshold_ms": (Dimension.DURATION, "{}ms"),
    "threshold_seconds": (Dimension.DURATION, "{}s"),
    "threshold": (Dimension.COUNT, "{}"),
}
"""The admin API's ways to write a threshold: what each can measure, and how a condition writes it."""

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
_FORMS = (
    (re.compile(rf"\$({_NUMBER})"), Dimension.MONEY, Decimal(1)),
    (re.compile(rf"({_NUMBER})%"), Dimension.RATIO, Decimal("0.01")),
    (re.compile(rf"({_NUMBER})ms"), Dimension.DURATION, Decimal("0.001")),
    (re.compile(rf"({_NUMBER})s"), Dimension.DURATION, Decimal(1)),
    (re.compile(rf"({_NUMBER})m"), Dimension.DURATION, Decimal(60)),
    (re.compile(rf"({_NUMBER})h"), Dimension.DURATION, Decimal(3600)),
    (re.compile(rf"({_NUMBER})"), Dimension.COUNT, Decimal(1)),
)


def parse_amount(text: str) -> Amount | None:
    """The amount that a text like `$1,200`, `5%`, `2000ms` or `20` stands for; None where it is none."""
    for form, dimension, unit in _FORMS:
        if match := form.fullmatch(text):
            return Amount(Decimal(match[1].replace(",", "")) * unit, dimension, text)
    return None


def promql_number(value: Decimal) -> str:
    """A number as PromQL reads it, without an exponent: `promql_number(Decimal("0.050")) == "0.05"`."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


_FORMATS = {
    # four digits below a dollar, since a call costs thousandths; never an exponent
    Dimension.MONEY: (
        '{{{{ if or (ge {0} 1.0) (eq {0} 0.0) }}}}{{{{ printf "$%.2f" {0} }}}}{{{{ else if ge {0} 0.0001 }}}}'
        '{{{{ printf "$%.4g" {0} }}}}{{{{ else }}}}{{{{ printf "$%.7f" {0} }}}}{{{{ end }}}}'
    ),
    Dimension.RATIO: "{{{{ {0} | humanizePercentage }}}}",
    # without the zeros of `2m 0s`
    Dimension.DURATION: '{{{{ {0} | humanizeDuration | reReplaceAll "( 0[hms])+$" "" }}}}',
    Dimension.COUNT: '{{{{ printf "%.0f" {0} }}}}',
    Dimension.MULTIPLE: (
        '{{{{ if ge {0} 10.0 }}}}{{{{ printf "%.0f" {0} }}}}{{{{ else }}}}{{{{ printf "%.1f" {0} }}}}{{{{ end }}}}'
        " times the usual"
    ),
    Dimension.MOMENT: '{{{{ ({0} | toTime).UTC.Format "2 Jan 15:04" }}}} UTC',
}


def shown(dimension: Dimension, value: str = "$value") -> str:
    """A Prometheus template that shows a value in its unit; `value` is a template's expression for a float."""
    return _FORMATS[dimension].format(value)
