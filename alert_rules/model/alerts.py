"""Alerts as rules are made of them: every name looked up, every expression complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alert_rules.language.conditions import Operator
from alert_rules.model.dimensions import Dimension
from alert_rules.quantities.contributors import Contributors
from alert_rules.quantities.recordings import Figure, Recording


@dataclass(frozen=True)
class Limit:
    """What a figure is compared with: an amount as written, or a quantity that is looked up when the alert fires.

    `noun` is how a sentence names it. `query` is an expression in which `$of` stands for matchers of the labels `by`.
    """

    noun: str
    query: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Variant:
    """One rule of an alert. `labels` tell it apart from the alert's other rules.

    `by` are the labels of its series besides `job`, `subject` what the figure is called, `relation` how it stands to
    the limit. `sentence` replaces subject, relation and limit where these do not make one. `also` are the words for
    what else is required. `counted` is the figure whose counts are told, and `took` an expression for how long its
    calls took, in seconds. `reasons` are told instead, as many of them as hold; then `sentence` is for when none does.
    `unknown_from` records the second from which an end means only that nothing is known any more.
    """

    expr: str
    by: tuple[str, ...]
    subject: str
    dimension: Dimension
    relation: str
    limit: Limit
    recordings: tuple[Recording, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    ends: str = ""
    contributors: Contributors | None = None
    counted: Figure | None = None
    took: str = ""
    sentence: str = ""
    also: str = ""
    reasons: tuple[Reason, ...] = ()
    unknown_from: str = ""


@dataclass(frozen=True)
class Reading:
    """How one comparison of a condition reads its quantity, in words.

    `splits` are the labels of each rule's series. `window` is in seconds; it and `least`, the fewest calls, are None
    where they do not apply. `certainty` is a sentence, empty where nothing is uncertain.
    """

    quantity: str
    splits: tuple[tuple[str, ...], ...]
    window: int | None
    least: int | None
    certainty: str


@dataclass(frozen=True)
class Rung:
    """One step of a ladder, or the only severity of an alert that has none (`label` empty).

    `amount` is in dollars, seconds, or a fraction; None where a limit is compared with.
    """

    label: str
    amount: float | None
    severity: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Alert:
    """One alert, compiled. Times are in seconds.

    `readings` has one entry for each comparison of its condition. A disabled one is compiled like any other, and has no
    rules.
    """

    name: str
    condition: str
    channels: tuple[str, ...]
    rungs: tuple[Rung, ...]
    for_: int
    keep_firing_for: int
    summary: str
    dashboard: str
    readings: tuple[Reading, ...]
    operator: Operator
    disabled: bool = False

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names that its condition holds."""
        return tuple(reading.quantity for reading in self.readings)

    @property
    def threshold(self) -> float | None:
        """The amount of the first rung."""
        return self.rungs[0].amount

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """All that must be recorded for it, in the order of evaluation, each once."""
        return tuple(dict.fromkeys(r for rung in self.rungs for variant in rung.variants for r in variant.recordings))
