"""What a day and its month have cost, exactly, out of one snapshot of the log in which every row is visible."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import TypeVar
from zoneinfo import ZoneInfo

import psycopg

from exporter.advisor.advise import advise
from exporter.advisor.calls import Calls
from exporter.config import Classification, Config
from exporter.database.budgets import read_budgets
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError
from exporter.database.log_table import LogTable
from exporter.database.reader import read_span
from exporter.database.session import Session
from exporter.digest.hours import Hours, read_hours
from exporter.digest.model import LEAST_DAYS, Advice, DigestDay, LeftOut, Mover, UsersPast
from exporter.errors import UserError
from exporter.figures import Figure
from exporter.ledger.aggregate import FAILURES, ZERO, Aggregate, add, money_units, net
from exporter.ledger.calendar import day_of, day_start, month_start_day
from exporter.ledger.model import UNATTRIBUTED, Bucket, Series, TimeRange
from exporter.ledger.spenders import users_of
from exporter.ledger.users import budget_state, count_states
from exporter.reconcile.log import logged
from exporter.reconcile.period import DayRange
from exporter.reports.shown_users import names_if_read, pseudonyms

T = TypeVar("T")

USUAL_DAYS = 7
"""Days before the day whose mean is called usual."""

HISTORY_DAYS = 64
"""Days before the day whose hours are read: eight weeks for each hour of the last one."""

MOST_MOVERS = 5
MOST_NAMED = 3
_LEAST_SHARE = 0.01
"""Of the day's cost, or of a usual day's if that is more: a smaller change has not moved."""


def read_spend(session: Session, log: LogTable, rules: Classification, day: int, zone: ZoneInfo) -> dict[int, int]:
    """Money units by day, through the day that a digest is about, as far back as it shows. Raises `DatabaseError`.

    A day without rows before the first one that has any is not there. Raises `UserError` for a day that is not over.
    """
    end = day_start(day + 1, zone)
    complete = session.replication.complete_until
    if session.clock < end or (complete is not None and complete < end):
        what = "has not ended" if session.clock < end else "is not replayed by the standby that is read"
        raise UserError(f"{date.fromordinal(day).isoformat()} {what} — try again later, or name an earlier --day")
    first = min(month_start_day(day), day - LEAST_DAYS)
    found = logged(session, log, rules, "day", DayRange(day_start(first, zone), end, zone))
    units = {date.fromisoformat(name).toordinal(): amount for name, (amount, _) in found.items()}
    return {each: units.get(each, 0) for each in range(min(units, default=day), day + 1)}


def read_day(
    session: Session, log: LogTable, rules: Classification, day: int, zone: ZoneInfo, spend: Mapping[int, int]
) -> tuple[DigestDay, Mapping[str, int]]:
    """The day, beside the mean of those before, and what each user has spent in it. Raises `DatabaseError`."""
    # the log may be younger
    usual_days = day - max(day - USUAL_DAYS, min(spend))
    now = _bucket(session, log, rules, day, day, zone)
    before = _bucket(session, log, rules, day - usual_days, day - 1, zone) if usual_days else Bucket()
    total = _total(now)
    usual = _mean(net(_total(before)), usual_days) if usual_days else None
    movers = find_movers(now.cells, before.cells, usual_days) if usual_days else ()
    failed = sum(total[FAILURES])
    return DigestDay(day, total[Figure.CALLS], failed, net(total), usual, usual_days, movers), users_of(now.users)


def _bucket(session: Session, log: LogTable, rules: Classification, first: int, last: int, zone: ZoneInfo) -> Bucket:
    """All rows of some days, as one."""
    span = TimeRange(day_start(first, zone), day_start(last + 1, zone))
    return read_span(session, log, rules, span, width=span.hi - span.lo).get(span.lo, Bucket())


def _total(bucket: Bucket) -> Aggregate:
    total = ZERO
    for aggregate in bucket.cells.values():
        total = add(total, aggregate)
    return total


def find_movers(now: Mapping[Series, Aggregate], before: Mapping[Series, Aggregate], days: int) -> tuple[Mover, ...]:
    """The series whose cost has changed most against the mean of the days before, the largest change first."""
    least = _LEAST_SHARE * max(_cost(now), _cost(before) / days)
    movers = [
        Mover(
            series.operation,
            series.model,
            net(now.get(series, ZERO)),
            _mean(net(before.get(series, ZERO)), days),
        )
        for series in {*now, *before}
    ]
    moved = [mover for mover in movers if mover.change and abs(mover.change) >= least]
    return tuple(sorted(moved, key=lambda each: (-abs(each.change), each.operation, each.model))[:MOST_MOVERS])


def _mean(units: int, days: int) -> int:
    # a float could not hold it
    return round(Fraction(units, days))


def _cost(cells: Mapping[Series, Aggregate]) -> int:
    return sum(net(cell) for cell in cells.values())


def read_users(session: Session, config: Config, spend: Mapping[str, int]) -> UsersPast | LeftOut:
    """Which users were past their limit of the day, by their budgets as they are now. Raises `DatabaseError`."""
    budgets = read_budgets(session, config)
    if budgets is None:
        return LeftOut("users' limits (there is no table of budgets)")
    states: Counter[str] = Counter(count_states(spend, budgets.by_user, budgets.idle))
    past = [
        user
        for user, units in spend.items()
        if user != UNATTRIBUTED and budget_state(units, budgets.by_user.get(user)) == "exceeded"
    ]
    named: tuple[str, ...] = ()
    if config.users.mode != "off":
        label = pseudonyms(config).of
        first = sorted(past, key=lambda user: (-spend[user], user))[:MOST_NAMED]
        names = names_if_read(session, config, first)
        named = tuple(names.get(user, label(user)) for user in first)
    return UsersPast(states["exceeded"], states["warning"], named)


@dataclass(frozen=True)
class Weeks:
    """The hours of the last weeks up to `now` (seconds since the epoch), and the money units of today."""

    now: int
    hours: Hours
    today: int


def read_weeks(session: Session, log: LogTable, rules: Classification, day: int, zone: ZoneInfo) -> Weeks:
    """What forecasts and judgements of the day's hours are made of. Raises `DatabaseError`."""
    now = int(session.clock) + 1
    span = TimeRange(day_start(day - HISTORY_DAYS, zone), now)
    hours = read_hours(session, Calls(log, rules, span), zone)
    today = logged(session, log, rules, "day", DayRange(day_start(day_of(now, zone), zone), now, zone))
    return Weeks(now, hours, sum(units for units, _ in today.values()))


def part(session: Session, name: str, read: Callable[[], T]) -> T | LeftOut:
    """What a function reads in the session, whose failure costs only this part of the digest.

    Raises the driver's error where the connection is lost.
    """
    try:
        with session.savepoint():
            return read()
    except psycopg.Error as error:
        if session.lost:
            raise
        return LeftOut(f"{name} ({session.translate(error).detail})")
    except DatabaseError as error:
        return LeftOut(f"{name} ({error.detail})")


def read_recommendations(session: Session, info: ConnInfo, config: Config) -> tuple[Advice, ...]:
    """What should change, by the last week: what saves most comes first. Raises `DatabaseError`."""
    found = advise(session, info, config)
    return tuple(Advice(each.title, money_units(each.saving) or None) for each in found)
