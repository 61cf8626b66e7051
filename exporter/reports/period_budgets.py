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
from exporter.database.budgets import Budgets
from exporter.database.period_budgets import configured_budgets
from exporter.database.reader import read_span
from exporter.database.session import Session
from exporter.ledger.aggregate import net
from exporter.ledger.calendar import DAY, Window
from exporter.ledger.model import TimeRange
from exporter.ledger.period_spend import TEAM, BudgetKey, Standing, all_budgets, windows
from exporter.ledger.spenders import group_label, is_group
from exporter.reports.amounts import BudgetLine, money_cell, number
from exporter.reports.table import render_table

_AMOUNTS = ["limit", "soft limit", "spend", "remaining", "used"]


@dataclass(frozen=True, kw_only=True)
class PeriodLine(BudgetLine):
    """A budget with a period, and the window of time that its spend is of; the limits are in USD."""

    period: str
    soft_limit: Decimal | None
    window: Window


def read_period_budgets(
    session: Session, config: Config, rules: Classification, budgets: Budgets | None, by: str
) -> list[PeriodLine]:
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
        for lo in range(start, until, DAY):
            span = TimeRange(lo, min(lo + DAY, until))
            for bucket in read_span(session, log, rules, span, width=DAY).values():
                spent[TEAM] += sum(map(net, bucket.cells.values()))
                for spender, units in bucket.users.items():
                    spent[spender] += units
        until = start
        found.update({key: Standing(wanted[key], kept[key], spent.get(key.spender, 0)) for key in by_start[start]})
    return [_line(key, standing) for key, standing in sorted(found.items())]


def _line(key: BudgetKey, standing: Standing) -> PeriodLine:
    return PeriodLine(
        name=None if key.spender == TEAM else group_label(key.spender) if is_group(key.spender) else key.spender,
        limit=_usd(standing.budget.budget.daily_limit),
        spend=Decimal(standing.spend or 0) / USD,
        state=standing.state or "unlimited",
        period=key.period,
        soft_limit=_usd(standing.budget.soft),
        window=standing.window,
    )


def period_table(lines: Iterable[PeriodLine], zone: str, by: str) -> str:
    """A table for people; `by` says whether it is of users or of groups."""
    rows = [
        [
            *(each.title, each.period, each.cells[0], money_cell(each.soft_limit), *each.cells[1:], each.state),
            _moment(each.window.end, zone).strftime("%Y-%m-%d %H:%M"),
        ]
        for each in lines
    ]
    return render_table([by, "period", *_AMOUNTS, "state", "resets"], rows, right=_AMOUNTS)


def period_fields(lines: Iterable[PeriodLine], zone: str, by: str) -> Sequence[Mapping[str, Any]]:
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
            "starts": _moment(each.window.start, zone).isoformat(),
            "resets": _moment(each.window.end, zone).isoformat(),
        }
        for each in lines
    ]


def _usd(units: int | None) -> Decimal | None:
    return None if units is None else Decimal(units) / USD


def _moment(second: int, zone: str) -> datetime:
    return datetime.fromtimestamp(second, ZoneInfo(zone))
