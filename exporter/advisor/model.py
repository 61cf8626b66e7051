"""What a recommendation is, and how much it takes to say one. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

Kind = Literal[
    "model_switch",
    "failed_calls",
    "repeated_failures",
    "response_cache",
    "batching",
    "prompt_growth",
    "disabled_operation",
    "missing_index",
    "costly_operation",
    "slow_operation",
    "unregistered_operation",
    "silent_operation",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The types of recommendations, as the column `recommendation_type` has them. Of equal savings, the first is first."""

ALL = "*"
"""In place of an operation: the whole log."""

LEAST_CALLS = 100
"""Nothing is said of fewer calls than this."""

LEAST_SAVING = Decimal("0.01")
"""USD a day: what saves less is not worth reading."""

MOST_OF_A_KIND = 10
"""Recommendations of one kind, at most; those that save most come first."""

Figure = int | Decimal | str


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Something that should change.

    `operation` and `model` are labels; the operation is `ALL` where the whole log is meant, and `model` is None where
    it does not matter which one. `figures` are what was found, by the names that the columns of `evidence` have: SQL
    that anyone can run who may read the log. `proposal` is what to change, and holds no figure that differs from day to
    day. `saving` is in USD a day: 0 where the log does not tell. `confidence` is from 0 to 1.
    """

    kind: Kind
    operation: str
    model: str | None = None
    title: str
    reasoning: str
    figures: Mapping[str, Figure]
    proposal: Mapping[str, str]
    saving: Decimal = Decimal(0)
    confidence: Decimal
    evidence: str

    @property
    def subject(self) -> Mapping[str, str]:
        """What of the operation is meant, which tells one matter from another of the same kind and operation."""
        if self.model is not None:
            return {"model": self.model}
        return {"column": str(self.figures["column"])} if "column" in self.figures else {}


def confident(share: float | Decimal) -> Decimal:
    """A confidence, to the hundredth."""
    return round(min(max(Decimal(share), Decimal(0)), Decimal(1)), 2)


def at_least(part: int, whole: int) -> float:
    """The lower bound of the share that is behind `part` of `whole` calls, at 95 % (Wilson)."""
    if not part:
        return 0.0
    z, share = 1.96, part / whole
    margin = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return max(0.0, (share + z * z / (2 * whole) - margin) / (1 + z * z / whole))


def usd(amount: Decimal) -> str:
    """An amount for people: to the cent, or finer where it is little."""
    return f"${amount:,.2f}" if amount >= Decimal("0.1") else f"${amount:.4f}"


def percent(share: float | Decimal) -> str:
    """A share for people."""
    return f"{100 * share:.1f} %"
