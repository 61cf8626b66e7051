"""What can be said of a day and its month before asking what is spent right now: made once an hour."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from zoneinfo import ZoneInfo

from exporter.forecast.pace import Pace, Prior, typical_factor
from exporter.forecast.profile import ClockHour, Day, Profile, Profiles, day_at, whole_days
from exporter.ledger.calendar import day_of, month_days
from exporter.medians import MAD

COVERAGE = 0.8
"""The share of days that should end within the interval."""

RECENT_DAYS = 7
"""Days whose median says how spend goes at present, compared with what is usual."""

_JUDGED_DAYS = 28
_LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class Errors:
    """How far the rest of past days was below and above what was forecast after each hour, as a share of the usual."""

    below: Sequence[float] = ()
    above: Sequence[float] = ()


@dataclass(frozen=True)
class Outlook:
    """A day, what its hours usually cost, and how it went until `known_until`; units are money.

    `rest_of_month` are the days after it, each with its profile. `errors` is None where no interval is wanted.
    `day_spread` is how much days differ from what was expected of them, as a share.
    """

    day: Day
    profile: Profile
    pace: Pace
    known_until: int
    known_units: int
    rest_of_month: Sequence[tuple[Day, Profile]]
    errors: Errors | None
    day_spread: float


class History:
    """The whole days before `now`, for the outlook of any number of series over the same hours.

    Every hour from `lo` to `hi` is known; times in seconds since the epoch.
    """

    def __init__(self, lo: int, hi: int, now: int, zone: ZoneInfo) -> None:
        today = day_of(now, zone)
        self.days = list(whole_days(lo, min(hi, now), zone))
        self.today = day_at(today, zone)
        self.hi = hi
        self.rest_of_month = [day_at(number, zone) for number in month_days(today) if number > today]

    def outlook(self, units: Mapping[int, int], *, errors: bool = True) -> Outlook | None:
        """The outlook of one series, out of its units by hour.

        None where too few days are known, or none of them has anything: then nothing says how this one goes on.
        """
        # an hour in which more was refunded than spent says nothing of what hours cost
        spent = {start: max(0, amount) for start, amount in units.items()}
        profiles = Profiles(self.days, spent)
        if not profiles.known or not any(map(sum, profiles.rows)):
            return None
        prior = _prior(profiles)
        profile, parts = profiles.of(self.today), [part for part in self.today.parts if part.end <= self.hi]
        hours = [(float(spent.get(part.start, 0)), profile.of(part)) for part in parts]
        pace = _pace(prior, self.today.parts, hours)
        return Outlook(
            day=self.today,
            profile=profile,
            pace=pace,
            known_until=parts[-1].end if parts else self.today.start,
            known_units=sum(units.get(part.start, 0) for part in parts),
            rest_of_month=[(day, profiles.of(day)) for day in self.rest_of_month],
            errors=_errors(profiles, prior) if errors else None,
            day_spread=prior.spread,
        )


def _pace(prior: Prior, parts: Sequence[ClockHour], hours: Sequence[tuple[float, float]]) -> Pace:
    """The pace after the first hours of a day, each of (units, usual units)."""
    pace = Pace(prior, float(parts[0].start), typical=typical_factor(hours))
    for part, (units, usual) in zip(parts, hours, strict=False):
        pace = pace.after(part.end, units, usual)
    return pace


def _prior(profiles: Profiles) -> Prior:
    days = range(max(0, len(profiles.days) - _JUDGED_DAYS), len(profiles.days))
    usual = [profiles.of(profiles.days[number]).day(profiles.days[number]) for number in days]
    factors = [sum(profiles.rows[number]) / expected for number, expected in zip(days, usual, strict=True) if expected]
    level = median(factors[-RECENT_DAYS:]) if factors else 1.0
    middle = median(factors) if factors else 1.0
    spread = MAD * median(abs(factor - middle) for factor in factors) if factors else 1.0
    return Prior(level, max(_LEAST_SPREAD, spread), _noise(profiles, days))


def _noise(profiles: Profiles, days: range) -> float:
    """The variance of an hour's units as a multiple of what is usual: the median of the days'."""
    found = []
    for number in days:
        day, row = profiles.days[number], profiles.rows[number]
        usual = [profiles.of(day).of(part) for part in day.parts]
        if (expected := sum(usual)) <= 0:
            continue
        factor = sum(row) / expected
        parts = [(u - factor * e) ** 2 / e for u, e in zip(row, usual, strict=True) if e > 0]
        found.append(sum(parts) / max(1, len(parts) - 1))
    return median(found) if found else 0.0


def _errors(profiles: Profiles, prior: Prior) -> Errors:
    """How far the rest of past days was from what would have been said after each hour, as the outer tenths."""
    found: list[list[float]] = [[] for _ in range(24)]
    for number in range(max(0, len(profiles.days) - _JUDGED_DAYS), len(profiles.days)):
        day, row = profiles.days[number], profiles.rows[number]
        profile = profiles.of(day)
        hours = [(units, profile.of(part)) for units, part in zip(row, day.parts, strict=True)]
        left, usual_left = sum(row), sum(usual for _, usual in hours)
        pace = Pace(prior, float(day.start))
        for position, (part, (units, usual)) in enumerate(zip(day.parts, hours, strict=True)):
            if usual_left > 0:
                found[part.clock].append((left - pace.factor * usual_left) / usual_left / max(1.0, pace.factor))
            pace = replace(pace.after(part.end, units, usual), typical=typical_factor(hours[: position + 1]))
            left, usual_left = left - units, usual_left - usual
    return Errors([_outer(each, -1) for each in found], [_outer(each, 1) for each in found])


def _outer(errors: Sequence[float], sign: int) -> float:
    """The error that a tenth of the next ones will be beyond, on one side; at least 0 in its direction."""
    if not errors:
        return 0.0
    ordered = sorted(sign * error for error in errors)
    rank = math.ceil((len(ordered) + 1) * (1 + COVERAGE) / 2)
    return sign * max(0.0, ordered[min(rank, len(ordered)) - 1])
