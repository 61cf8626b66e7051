"""Suggest the correct form of a condition: `daily_spend ≥ 200 USD` becomes `daily_spend >= $200`."""

import re
import unicodedata
from decimal import Decimal

from alert_rules.language.conditions import Comparison, ConditionError, parse_condition
from alert_rules.model.dimensions import Dimension, parse_amount, promql_number
from alert_rules.quantities.definitions import QUANTITIES

_NUMBER = r"(\d[\d,]*(?:\.\d+)?)"
_WORDS = {
    r"(?:is )?(?:greater|more|higher|larger) than or equal to|at least|≥|⩾|≧|=>": " >= ",
    r"(?:is )?(?:less|lower|smaller|fewer) than or equal to|at most|≤|⩽|≦|=<": " <= ",
    r"(?:is )?(?:greater|more|higher|larger) than|(?:is )?above|(?:is )?over|exceeds": " > ",
    r"(?:is )?(?:less|lower|smaller|fewer) than|(?:is )?below|(?:is )?under": " < ",
    r"&&|&": " and ",
}
_AMOUNTS = {
    # thousands, as they are written apart: 1 000, 1'000, 1_000
    r"(?<=\d)[ '’_](?=\d{3}(?!\d))": ",",
    rf"(?:US\s*\$|USD|[$€£¥])\s*{_NUMBER}": r"$\1",
    rf"\$?{_NUMBER}(\s*k)?\s*(?:US\$|USD\b|dollars?\b|EUR\b|euros?\b|GBP\b|[$€£¥])": r"$\1\2",
    rf"{_NUMBER}\s*(?:%|percent\b|per cent\b|pct\b)": r"\1%",
    rf"{_NUMBER}\s*(?:ms|msecs?|milliseconds?)\b": r"\1ms",
    rf"{_NUMBER}\s*(?:s|secs?|seconds?)\b": r"\1s",
    rf"{_NUMBER}\s*(?:m|mins?|minutes?)\b": r"\1m",
    rf"{_NUMBER}\s*(?:h|hrs?|hours?)\b": r"\1h",
}
_REWRITES = [(re.compile(pattern, re.IGNORECASE), form) for pattern, form in {**_WORDS, **_AMOUNTS}.items()]
_THOUSANDS = re.compile(rf"{_NUMBER}\s*k\b", re.IGNORECASE)
# The longest first: one name may end like another.
_QUANTITY = re.compile(
    r"\b(?:" + "|".join(name.replace("_", r"[\s_-]*") for name in sorted(QUANTITIES, key=len, reverse=True)) + r")\b",
    re.IGNORECASE,
)
_NAMES = {name.replace("_", ""): name for name in QUANTITIES}
_KEYWORD = re.compile(r"\b(?:and|rung)\b", re.IGNORECASE)
_FOREIGN = re.compile(r"[€£¥]|\b(?:EUR|euros?|GBP)\b", re.IGNORECASE)
# Where money is not counted in dollars, a point often stands between thousands.
_THREE_AFTER_A_POINT = re.compile(r"\d\.\d{3}(?!\d)")


def propose(condition: str) -> str | None:
    """A hint with the condition in the language of conditions; None where its meaning is not clear."""
    text = unicodedata.normalize("NFKC", condition)
    for pattern, form in _REWRITES:
        text = pattern.sub(form, text)
    if _FOREIGN.search(condition) and _THREE_AFTER_A_POINT.search(text):
        return None
    text = _KEYWORD.sub(lambda match: match[0].lower(), _QUANTITY.sub(_known_name, _THOUSANDS.sub(_in_full, text)))
    text = " ".join(text.split())
    try:
        comparisons = parse_condition(text)
    except ConditionError:
        return None
    written = [_with_unit(comparison) for comparison in comparisons]
    if None in written:
        return None
    proposal = " and ".join(filter(None, written))
    if proposal == condition:
        return None
    return f"write {proposal}" + (", since amounts are in US dollars" if _FOREIGN.search(condition) else "")


def _known_name(match: re.Match[str]) -> str:
    return _NAMES[re.sub(r"[\s_-]", "", match[0]).lower()]


def _in_full(match: re.Match[str]) -> str:
    return promql_number(Decimal(match[1].replace(",", "")) * 1000)


def _with_unit(comparison: Comparison) -> str | None:
    """The comparison in words; a bare number gets the unit that its quantity has. None where it makes no sense."""
    quantity, right = QUANTITIES.get(comparison.left.text), comparison.right.text
    if quantity is None:
        return None
    if comparison.right.kind == "amount":
        amount = parse_amount(right)
        if amount is None:
            return None
        if amount.dimension is Dimension.COUNT and quantity.dimension is Dimension.MONEY:
            right = f"${right}"
        elif amount.dimension is Dimension.COUNT and quantity.dimension is Dimension.RATIO:
            right = f"{promql_number(amount.value if amount.value >= 1 else amount.value * Decimal(100))}%"
        elif amount.dimension is not quantity.dimension:
            return None
    elif right not in QUANTITIES and right != "rung":
        return None
    return f"{comparison.left.text} {comparison.operator} {right}"
