"""Compiled alerts: every name looked up, every expression complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from alert_rules.model.dimensions import Amount, Dimension
from alert_rules.model.quantities import Aside, Contributors, Quantity, QuantityParams, RecordedSeries, Recording, Split

Operator = Literal[">", ">=", "<", "<="]

OPERATORS: dict[Operator, str] = {">": "above", ">=": "at or above", "<": "below", "<=": "at or below"}
"""The operators of comparisons, with the words for them."""


@dataclass(frozen=True)
class Bound:
    """What a figure is compared with: an amount as written, or a quantity that is looked up when the alert fires.

    `noun` is how a sentence names it. `query` is an expression in which `$of` stands for matchers of the labels `by`.
    """

    noun: str
    query: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One of several reasons for which the same rule fires.

    `query` is a record that has a value, of the labels of the alert, as long as the reason holds. `sentence` tells of
    it in the description, without a full stop, and `short` in the value; both are formats of `value`, `timeout`,
    `counts` and `took`. While `unless` has a value, the last two are not of this reason and are left out.
    """

    query: str
    dimension: Dimension
    sentence: str
    short: str
    contributors: Contributors | None = None
    unless: str = ""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One rule of an alert. `labels` tell it apart from the alert's other rules.

    `by` are the labels of its series besides `job`, `subject` what the figure is called, `relation` how it stands to
    the limit. `sentence` replaces subject, relation and limit where these do not make one. `also` are the words for
    what else is required. `counted` is the figure whose counts are told, and `took` an expression for how long its
    calls took, in seconds. `reasons` are told instead, as many of them as hold; then `sentence` is for when none does.
    `asides` are said after all that.
    `unknown_from` records the second from which an end means only that nothing is known any more.
    """

    expr: str
    by: tuple[str, ...]
    subject: str
    dimension: Dimension
    relation: str
    limit: Bound
    recordings: tuple[Recording, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    window_end: str = ""
    contributors: Contributors | None = None
    counted: RecordedSeries | None = None
    took: str = ""
    sentence: str = ""
    also: str = ""
    reasons: tuple[Reason, ...] = ()
    unknown_from: str = ""
    asides: tuple[Aside, ...] = ()


@dataclass(frozen=True)
class SeverityLevel:
    """One severity of an alert and the amount from which it holds; `label` is empty where there is only one.

    `amount` is in dollars, seconds, or a fraction; None where a limit is compared with.
    """

    label: str
    amount: float | None
    severity: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, kw_only=True)
class ResolvedComparison:
    """One comparison of a condition, its names looked up: of a quantity with an amount, a limit, or several levels.

    `written` is the right side as the author wrote it, at the character `offset` of the condition. `amount` and `limit`
    are both None where each severity level has an amount of its own. `by` is what the author wrote, None for the
    default; `params` has the split that is in force. Unless `certain`, a figure is compared as it is, however few calls
    it is made of.
    """

    quantity: Quantity
    operator: Operator
    written: str
    offset: int
    amount: Amount | None
    limit: Quantity | None
    by: Split | None
    params: QuantityParams
    certain: bool

    @property
    def relation(self) -> str:
        """The operator in words: `above`, and so on."""
        return OPERATORS[self.operator]

    @property
    def has_levels(self) -> bool:
        """Whether it is compared with the amount of each severity level."""
        return self.amount is None and self.limit is None

    @property
    def is_unavailability(self) -> bool:
        """Whether it asks for models that do not answer, and not for a figure."""
        return (self.quantity.name, self.limit and self.limit.name) == ("model_response_time", "timeout")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert, compiled; times in seconds. A disabled one is compiled like any other, and has no rules."""

    name: str
    condition: str
    channels: tuple[str, ...]
    levels: tuple[SeverityLevel, ...]
    for_: int
    keep_firing_for: int
    summary: str
    comparisons: tuple[ResolvedComparison, ...]
    disabled: bool = False

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of the quantities that its condition compares."""
        return tuple(comparison.quantity.name for comparison in self.comparisons)

    @property
    def operator(self) -> Operator:
        """The operator of the first comparison, which decides about the alert's amounts."""
        return self.comparisons[0].operator

    @property
    def threshold(self) -> float | None:
        """The amount of the lowest severity level."""
        return self.levels[0].amount

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """All that must be recorded for it, in the order of evaluation, each once."""
        return tuple(
            dict.fromkeys(r for level in self.levels for variant in level.variants for r in variant.recordings)
        )
