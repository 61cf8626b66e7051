"""The period that is reconciled, and what its amounts are told apart by."""

from dataclasses import dataclass
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from exporter.ledger.calendar import day_of, day_start

By = Literal["operation", "model", "user", "group", "day"]


@dataclass(frozen=True)
class DayRange:
    """From `lo` until before `hi`, in seconds since the epoch, cut into days of a zone."""

    lo: int
    hi: int
    zone: ZoneInfo

    @property
    def days(self) -> range:
        """The ordinals of the days that it touches."""
        return range(day_of(self.lo, self.zone), day_of(self.hi - 1, self.zone) + 1)

    @property
    def is_whole_days(self) -> bool:
        """Whether it begins and ends at midnight."""
        days = self.days
        return self.lo == day_start(days.start, self.zone) and self.hi == day_start(days.stop, self.zone)

    def pieces(self) -> list[tuple[str, int, int]]:
        """Each day by name, from and until when it is in the period."""
        return [
            (day_name(day), max(self.lo, day_start(day, self.zone)), min(self.hi, day_start(day + 1, self.zone)))
            for day in self.days
        ]


def day_name(day: int) -> str:
    """A day as ISO 8601 has it."""
    return date.fromordinal(day).isoformat()
