"""Budgets with a period against what the log says was spent since it began."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from exporter.catalog import USD
from exporter.config import Classification, Config
from exporter.database.period_budgets import configured_budgets
from exporter.database.reader import read_span
from exporter.database.session import Session
from exporter.database.tables import Budgets
from exporter.humanize import money
from exporter.ledger.aggregate import net
from exporter.ledger.model import TimeRange
from exporter.ledger.period_spend import (
    TEAM,
    BudgetKey,
    Standing,
    all_budgets,
    windows,
)
from exporter.ledger.spenders import group_label, is_group
from exporter.reports.amounts import money_cell, number, remaining, share_cell, used
from exporter.reports.table import render_table

_DAY = 86_400
_AMOUNTS = ["limit", "soft limit", "spend", "remaining", "used"]


@dataclass(frozen=True)
class Line:
    """The standing of a budget, and what is left and used of its limit.

    `name` is the user or group whose it is, as shown; None for the team. `called` is the user's own name, if known.
    """

    name: str | None
    period: str
    standing: Standing
    called: str | None = None

    @property
    def limit(self) -> Decimal | None:
        """In USD; None where only a soft limit is set."""
        return _usd(self.standing.budget.budget.daily_limit)

    @property
    def soft_limit(self) -> Decimal | None:
        """In USD; None where none is set."""
        return _usd(self.standing.budget.soft)

    @property
    def spend(self) -> Decimal:
        """In USD."""
        return Decimal(self.standing.spend or 0) / USD

    @property
    def remaining(self) -> Decimal | None:
        """In USD: below zero where the limit is exceeded."""
        return remaining(self.limit, self.spend)

    @property
    def used(self) -> Decimal | None:
        """The share of the limit: 1 is all of it."""
        return used(self.limit, self.spend)

    @property
    def state(self) -> str:
        """Of `users.STATES`."""
        return self.standing.state or "unlimited"


def read_period_budgets(
    session: Session, config: Config, rules: Classification, budgets: Budgets | None, by: str
) -> list[Line]:
    """How the budgets of the table and of the configuration stand now: the team's first, then those of each user.

    Or those of each group, as `by` says; `budgets` are those of their table.
    """
    configured = {
        key: budget
        for key, budget in configured_budgets(config).items()
        if key.spender == TEAM or is_group(key.spender) == (by == "group")
    }
    wanted = all_budgets(configured, {} if budgets is None else budgets.periodic)
    clock = int(session.clock)
    kept = windows(wanted, clock, ZoneInfo(config.budget_time_zone))
    by_start: dict[int, list[BudgetKey]] = defaultdict(list)
    for key, window in kept.items():
        by_start[window.start].append(key)
    spent: dict[str, int] = defaultdict(int)
    found: dict[BudgetKey, Standing] = {}
    log, until = session.log(rules), clock + 1
    for start in sorted(by_start, reverse=True):
        for lo in range(start, until, _DAY):
            span = TimeRange(lo, min(lo + _DAY, until))
            for bucket in read_span(session, log, rules, span, width=_DAY).values():
                spent[TEAM] += sum(map(net, bucket.cells.values()))
                for spender, units in bucket.users.items():
                    spent[spender] += units
        until = start
        found.update({key: Standing(wanted[key], kept[key], spent.get(key.spender, 0)) for key in by_start[start]})
    return [Line(_name(key.spender), key.period, standing) for key, standing in sorted(found.items())]


def _name(spender: str) -> str | None:
    return None if spender == TEAM else group_label(spender) if is_group(spender) else spender


def period_table(lines: Iterable[Line], zone: str, by: str) -> str:
    """A table for people; `by` says whether it is of users or of groups."""
    rows = [
        [
            each.called or each.name or "team",
            each.period,
            money_cell(each.limit),
            money_cell(each.soft_limit),
            money(each.spend),
            money_cell(each.remaining),
            share_cell(each.used),
            each.state,
            _moment(each.standing.window.end, zone).strftime("%Y-%m-%d %H:%M"),
        ]
        for each in lines
    ]
    return render_table([by, "period", *_AMOUNTS, "state", "resets"], rows, right=_AMOUNTS)


def period_fields(lines: Iterable[Line], zone: str, by: str) -> Sequence[Mapping[str, Any]]:
    """For JSON; `by` as for `period_table`."""
    return [
        {
            by: each.name,
            "period": each.period,
            "limit_usd": number(each.limit),
            "soft_limit_usd": number(each.soft_limit),
            "spend_usd": float(each.spend),
            "remaining_usd": number(each.remaining),
            "used_ratio": number(each.used),
            "state": each.state,
            "starts": _moment(each.standing.window.start, zone).isoformat(),
            "resets": _moment(each.standing.window.end, zone).isoformat(),
        }
        for each in lines
    ]


def _usd(units: int | None) -> Decimal | None:
    return None if units is None else Decimal(units) / USD


def _moment(second: int, zone: str) -> datetime:
    return datetime.fromtimestamp(second, ZoneInfo(zone))
