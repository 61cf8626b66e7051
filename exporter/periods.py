"""How long a budget is good for: a period as people and public systems write it."""

import re
from dataclasses import dataclass

DAY, WEEK, MONTH = "day", "week", "month"

MOST_DAYS = 92
"""Days of the longest period that spend is kept for: three months."""

FARTHEST = 10 * 366 * 86_400
"""Seconds from the present within which an end of a period is one: others are there to mean "never"."""

_WORDS = {DAY: DAY, "daily": DAY, WEEK: WEEK, "weekly": WEEK, MONTH: MONTH, "monthly": MONTH}
_NUMBER = re.compile(r"0*([1-9][0-9]{0,8})\s*(mo|[smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Period:
    """So many days or calendar months, of which the other is 0; `name` is the label that it has."""

    name: str
    days: int = 0
    months: int = 0

    @property
    def is_calendar(self) -> bool:
        """Whether the calendar says where it begins: at midnight, on a Monday, on the first of a month."""
        return self.name in (DAY, WEEK, MONTH)

    @property
    def most_days(self) -> int:
        """How many days it has at most."""
        # no three months in a row have 31 days
        return self.days or 31 * self.months - (self.months > 2)

    @property
    def is_too_long(self) -> bool:
        """Whether it may have more than `MOST_DAYS`."""
        return self.most_days > MOST_DAYS


def parse_period(text: str) -> Period | None:
    """The period that is meant by a word (`day`, `weekly`) or a duration (`30d`, `24h`, `2w`, `1mo`).

    None for what is none, or is no whole number of days.
    """
    written = text.strip().lower()
    if written in _WORDS:
        name = _WORDS[written]
        return Period(name, months=1) if name == MONTH else Period(name, days=7 if name == WEEK else 1)
    match = _NUMBER.fullmatch(written)
    if match is None:
        return None
    number, unit = int(match[1]), match[2]
    if unit == "mo":
        return Period(MONTH if number == 1 else f"{number}mo", months=number)
    days, rest = divmod(number * _SECONDS[unit], _SECONDS["d"])
    if rest:
        return None
    return Period(DAY if days == 1 else f"{days}d", days=days)
