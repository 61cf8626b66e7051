"""`python -m bench.forecast`: how far forecasts of spend are off, compared with the straight line.

Each history is made of seeded random hours. A day is judged after each of its hours from 3:00 to 22:00, a month at noon
of its days: the error is the distance to what was spent in the end, as a share of that. Only what was known at that
moment is used. It prints the tables of docs/forecast.md, or writes them there with `--write`; every run is the same.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from statistics import fmean
from zoneinfo import ZoneInfo

from bench.report import Table, markdown, put
from exporter.forecast.outlook import History
from exporter.forecast.projection import Projection, project, straight_line
from exporter.ledger.calendar import HOUR, day_of, day_start
from exporter.ledger.hourly import day_hours

ZONE = ZoneInfo("UTC")
FIRST, MONTH, DAYS = date(2026, 6, 1), date(2026, 8, 1), 31
"""When each history begins, and the month that is judged."""

SEEDS = 6
CENTS = 10**10

_JUDGED_HOURS = range(3, 23)
_NOISE = 0.3


@dataclass(frozen=True)
class Kind:
    """A kind of history: what an hour usually costs in cents, and which days of the month are judged."""

    name: str
    about: str
    cents: Callable[[date, int], float]
    days: Sequence[int] = range(1, DAYS + 1)
    month_days: Sequence[int] = range(2, 26)
    hours: Sequence[int] = _JUDGED_HOURS


def _office(hour: int) -> float:
    return 120.0 if 8 <= hour < 18 else 12.0


def _weekly(day: date, hour: int) -> float:
    return _office(hour) * (0.15 if day.weekday() > 4 else 1.0)


def _launch(day: date, hour: int) -> float:
    launched = (day, hour) >= (date(2026, 8, 12), 10)
    return _weekly(day, hour) * (3.0 if launched else 1.0)


def _outlier(day: date, hour: int) -> float:
    loop = day in (date(2026, 7, 8), *_OUTLIERS) and hour == 2
    return _weekly(day, hour) + (1500.0 if loop else 0.0)


_OUTLIERS = (date(2026, 8, 5), date(2026, 8, 13), date(2026, 8, 24))

KINDS = (
    Kind("flat", "every hour costs the same", lambda _, __: 50.0),
    Kind("morning burst", "most is spent from 8:00 to 10:00", lambda _, hour: 500.0 if 8 <= hour < 10 else 15.0),
    Kind("weekly rhythm", "office hours, and few calls on weekends", _weekly),
    Kind(
        "start of month",
        "the first three days cost four times as much",
        lambda day, hour: _weekly(day, hour) * (4.0 if day.day <= 3 else 1.0),
        days=(1, 2, 3),
        month_days=range(2, 15),
    ),
    Kind(
        "one outlier",
        "a loop at 2:00 costs as much as a working day",
        _outlier,
        days=[day.day for day in _OUTLIERS],
    ),
    Kind(
        "launch day",
        "from 10:00 on a Wednesday everything costs three times as much",
        _launch,
        days=(12,),
        month_days=range(12, 26),
    ),
)


def history(kind: Kind, seed: int | str) -> dict[int, int]:
    """Money units by the start of each hour, from `FIRST` to the end of the judged month."""
    random = Random(f"{kind.name} {seed}")  # noqa: S311 -- the same at each run
    found = {}
    for number in range(FIRST.toordinal(), MONTH.toordinal() + DAYS):
        for hour, start in enumerate(day_hours(number, ZONE)):
            usual = kind.cents(date.fromordinal(number), hour)
            found[start] = round(usual * random.lognormvariate(0, _NOISE) * CENTS)
    return found


def day_errors(kind: Kind, hours: Mapping[int, int]) -> Iterator[tuple[float, float, bool]]:
    """The errors of the forecast and of the straight line, and whether the day ended within the interval."""
    for day in kind.days:
        start = day_start(MONTH.toordinal() + day - 1, ZONE)
        whole = _spent(hours, start, start + 24 * HOUR)
        for hour in kind.hours:
            now, spent = start + hour * HOUR, _spent(hours, start, start + hour * HOUR)
            forecast = _projection(hours, now).day
            straight = straight_line(spent, start, start + 24 * HOUR, now) or 0.0
            yield _error(forecast.expected, whole), _error(straight, whole), forecast.lower <= whole <= forecast.upper


def month_errors(kind: Kind, hours: Mapping[int, int]) -> Iterator[tuple[float, float, bool]]:
    """As `day_errors`, for the month."""
    start, end = day_start(MONTH.toordinal(), ZONE), day_start(MONTH.toordinal() + DAYS, ZONE)
    whole = _spent(hours, start, end)
    for day in kind.month_days:
        now = day_start(MONTH.toordinal() + day - 1, ZONE) + 12 * HOUR
        spent = _spent(hours, start, now)
        forecast = _projection(hours, now).month(spent)
        straight = straight_line(spent, start, end, now) or 0.0
        yield _error(forecast.expected, whole), _error(straight, whole), forecast.lower <= whole <= forecast.upper


def measure(seeds: Sequence[int | str]) -> Iterator[Table]:
    """The tables of the day and of the month."""
    for name, errors in (("day", day_errors), ("month", month_errors)):
        rows = []
        for kind in KINDS:
            found = [error for seed in seeds for error in errors(kind, history(kind, seed))]
            forecast, straight, within = (fmean(each) for each in zip(*found, strict=True))
            rows.append([f"{kind.name}: {kind.about}", *map(_percent, (straight, forecast, within))])
        headings = ["history", "straight line", "forecast", "within the interval"]
        yield Table(
            f"forecast of the {name}", headings, rows, f"End of the {name}, mean error over {len(seeds)} seeds:"
        )


def main() -> None:
    """Print the tables, or write them into a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="histories of each kind (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables into this document")
    arguments = parser.parse_args()
    for table in measure(range(arguments.seeds)):
        if arguments.write is None:
            print(f"{markdown(table)}\n")
        else:
            put(arguments.write, table, f"\n{markdown(table)}")


def _projection(hours: Mapping[int, int], now: int) -> Projection:
    """What is forecast, out of the eight weeks that the exporter keeps; of the last hour the sum alone is known."""
    back_to = max(min(hours), day_start(day_of(now, ZONE) - 56, ZONE))
    known = {start: units for start, units in hours.items() if back_to <= start < now - HOUR}
    outlook = History(back_to, now - HOUR, now, ZONE).outlook(known)
    projection = None if outlook is None else project(outlook, _spent(hours, outlook.day.start, now), now)
    assert projection is not None  # noqa: S101 -- there are months of history
    return projection


def _spent(hours: Mapping[int, int], lo: int, hi: int) -> int:
    return sum(hours.get(start, 0) for start in range(lo, hi, HOUR))


def _error(said: float, spent: int) -> float:
    return abs(said - spent) / spent


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
