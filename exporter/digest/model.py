"""What a digest says: plain figures, before they are text or picture. Money is in ledger units, 1e-12 USD."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from exporter.forecast import projection
from exporter.ledger.calendar import month_days

LEAST_DAYS = 14
"""Days before today that are shown, also at the beginning of a month."""


@dataclass(frozen=True)
class LeftOut:
    """A part that the digest leaves out: the reason, for one line at its end."""

    reason: str


class Reached(Enum):
    """When a limit will be reached, where that is no moment."""

    NOT = "not"
    PAST = "past"
    NO_LIMIT = "no limit"


@dataclass(frozen=True)
class DigestForecast:
    """Where today and the month end, each day that is left, and when each limit will be reached.

    `days` are calendar days by ordinal, today among them. A moment is in seconds since the epoch.
    """

    today: projection.Forecast
    month: projection.Forecast
    days: Mapping[int, projection.Forecast] = field(default_factory=dict)
    daily_limit_at: int | Reached = Reached.NO_LIMIT
    monthly_limit_at: int | Reached = Reached.NO_LIMIT


@dataclass(frozen=True)
class Anomaly:
    """What was out of the ordinary: `subject` is text of the log, `what` and `cause` are sentences of ours."""

    subject: str
    what: str
    cause: str = ""


@dataclass(frozen=True)
class Advice:
    """What should change, in a sentence; `saving` is for each day, None where it is not known."""

    text: str
    saving: int | None = None


@dataclass(frozen=True)
class FiredAlert:
    """An alert that fired: how many times, for how many seconds in all, and whether it still does."""

    name: str
    severity: str
    times: int
    seconds: int
    still: bool


@dataclass(frozen=True)
class Mover:
    """What an operation and model cost in the day, and in a usual one: the mean of the days before."""

    operation: str
    model: str
    cost: int
    usual: int

    @property
    def change(self) -> int:
        """By how much it costs more, or less if below zero."""
        return self.cost - self.usual


@dataclass(frozen=True)
class UsersPast:
    """How many users are past their daily limit and past the warning, and the names of some that are past it."""

    exceeded: int
    warned: int
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class DigestDay:
    """The day that a digest is about: calls, failed calls, cost, and its movers, the largest change first.

    `usual` is the mean cost of the `usual_days` before it; None where the log had not begun by then.
    """

    ordinal: int
    calls: int
    failed: int
    cost: int
    usual: int | None
    usual_days: int
    movers: tuple[Mover, ...] = ()


@dataclass(frozen=True)
class Digest:
    """All that the message and the picture say.

    `spend` is the cost of each calendar day by ordinal, complete through `day`; the limits are those of the team. Parts
    that are `LeftOut` are said in one line at the end.
    """

    zone: str
    day: DigestDay
    spend: Mapping[int, int]
    daily_limit: int | None = None
    monthly_limit: int | None = None
    users: UsersPast | LeftOut = LeftOut("users")
    forecast: DigestForecast | LeftOut = LeftOut("forecast")
    anomalies: tuple[Anomaly, ...] | LeftOut = LeftOut("anomalies")
    recommendations: tuple[Advice, ...] | LeftOut = LeftOut("recommendations")
    alerts: tuple[FiredAlert, ...] | LeftOut = LeftOut("alerts")
    notes: tuple[str, ...] = ()

    @property
    def date(self) -> date:
        """The day that it is about."""
        return date.fromordinal(self.day.ordinal)

    @property
    def month_cost(self) -> int:
        """What the month of that day has cost, through that day."""
        return sum(self.spend.get(day, 0) for day in range(month_days(self.day.ordinal).start, self.day.ordinal + 1))

    @property
    def month_is_over(self) -> bool:
        """Whether that day was its month's last."""
        return self.day.ordinal + 1 == month_days(self.day.ordinal).stop

    @property
    def left_out(self) -> tuple[str, ...]:
        """Why parts are missing."""
        parts = (self.users, self.forecast, self.anomalies, self.recommendations, self.alerts)
        return tuple(part.reason for part in parts if isinstance(part, LeftOut) and part.reason)
