"""What a quantity is: a name that a condition can use, and the records that Prometheus reads for it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from alert_rules.model.dimensions import Dimension

JOB_LABEL = "job"

Split = tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """A recording rule. Names are `level:metric:operation`, the level being the labels that are left."""

    name: str
    expr: str


@dataclass(frozen=True)
class WindowCounts:
    """What was counted over one window of `seconds`, as records: `counted` by `calls`.

    For a `quantile`, `counted` are the buckets, and `min_operations` the fewest calls that it is made of.
    """

    seconds: int
    calls: str
    counted: str
    quantile: float | None = None
    min_operations: int = 1


@dataclass(frozen=True)
class RecordedSeries:
    """A quantity as rules read it: the names of the records that hold it.

    `value` is a record's name or an expression with the labels `job` and `by`. `recordings` are in the order of their
    evaluation. Where a gap leaves no value, `while_unreadable` records the last one through it, and an alert that fires
    goes by that. `live` records only what is read now. `window_end` records, by job, the end of the day or month that
    money is of.

    `calls` and `numerator` record the counts that a ratio, a mean or a quantile is made of, in the window that it is
    taken over, and `window` records how many seconds that window has. They have the labels of the value, are kept as
    long as it is, and are empty where there is no such thing: a quantile has no numerator. `tallies` are the counts of
    each window that it may be taken over, the shortest first. `outage` calls are enough where they all failed.
    `is_share` says that what is counted are calls. `recent` counts the last two windows, where they are less than an
    hour; only rules that ask for certainty need its `recent_recordings`.
    """

    value: str
    by: tuple[str, ...]
    recordings: tuple[Recording, ...] = ()
    while_unreadable: str = ""
    window_end: str = ""
    live: str = ""
    calls: str = ""
    numerator: str = ""
    window: str = ""
    tallies: tuple[WindowCounts, ...] = ()
    outage: int = 0
    is_share: bool = False
    recent: WindowCounts | None = None
    recent_recordings: tuple[Recording, ...] = ()

    @property
    def labels(self) -> str:
        """The labels of the value, as a matching clause takes them."""
        return ", ".join((JOB_LABEL, *self.by))


@dataclass(frozen=True)
class Contributors:
    """What to name as the causes of a figure.

    `top` is an expression for the biggest, `rest` one for all others together, and `line` names one of them; values are
    shown in `dimension`. `calls` and `rest_calls` are expressions for the calls behind each, empty where the value is a
    count or a sum. In an expression `{$of}` stands for the matchers of the alert's own labels, and `{$one}` for these
    and the labels `named`, which tell one cause from another. `{$job}` stands for the matcher of the job alone. `more`
    are named after these.
    """

    top: str
    line: str
    dimension: Dimension
    named: tuple[str, ...]
    rest: str = ""
    calls: str = ""
    rest_calls: str = ""
    recordings: tuple[Recording, ...] = ()
    more: "Contributors | None" = None


@dataclass(frozen=True)
class Aside:
    """What else is known of a figure: a sentence without its full stop, a format of `value`, for what is found.

    The `query` has `{$of}`, as those of `Contributors` have. Nothing is said where it finds nothing. Without a
    `dimension`, it is the `label` of what is found that is told.
    """

    sentence: str
    query: str
    dimension: Dimension | None = None
    label: str = ""


@dataclass(frozen=True)
class QuantityParams:
    """What an alert wants of a quantity: the labels to split by, the window in seconds, the fewest calls."""

    by: Split
    window: int
    min_operations: int


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A name that a condition can use.

    `splits` are the labels it can be split by, the default first. `highest` is what it can be at most, and
    `why_highest` why. `limits` are the quantities it may be compared with, besides an amount. `min_operations` is the
    default of the setting; None where it does not apply, nor `window`. `contributors` makes what a figure's causes are.
    `is_spend` says that the figure starts again at the end of a day or month. `asides` makes what else messages say.
    """

    name: str
    subject: str
    dimension: Dimension
    splits: tuple[Split, ...]
    series: Callable[[QuantityParams], RecordedSeries]
    dashboard: str
    contributors: Callable[[QuantityParams, RecordedSeries], Contributors | None] | None = None
    limits: tuple[str, ...] = ()
    highest: Decimal | None = None
    why_highest: str = ""
    min_operations: int | None = None
    for_: int = 0
    keep_firing_for: int = 0
    is_spend: bool = False
    asides: Callable[[Split], tuple[Aside, ...]] | None = None
