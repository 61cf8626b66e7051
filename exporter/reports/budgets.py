"""Users' budgets against what the log says they spent today, or this month."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO, TypeVar
from zoneinfo import ZoneInfo

from exporter.catalog import GROUP_BUDGETS, USD
from exporter.config import Config
from exporter.database.budgets import Budgets, group_budgets, read_budgets, read_monthly_budgets
from exporter.database.conninfo import resolve_conninfo
from exporter.database.labels import user_name
from exporter.database.one_session import one_session
from exporter.database.reader import read_span
from exporter.database.session import Session
from exporter.errors import UserError
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import DAY, Window, day_window, month_window
from exporter.ledger.model import UNATTRIBUTED, TimeRange
from exporter.ledger.spenders import groups_of, users_of
from exporter.ledger.users import Budget, budget_state, count_states
from exporter.reports.amounts import BudgetLine, number
from exporter.reports.period_budgets import PeriodLine, period_fields, period_table, read_period_budgets
from exporter.reports.shown_users import names_if_read, pseudonyms
from exporter.reports.table import render_table

_SECONDS = 60.0
_Line = TypeVar("_Line", bound=BudgetLine)


@dataclass(frozen=True)
class Asked:
    """What to show: one user or all, this month in place of today, only users who are over their limit.

    `by` says whether users or groups are shown.
    """

    user: str | None = None
    month: bool = False
    over: bool = False
    by: str = "user"

    def shows(self, state: str) -> bool:
        """Whether a budget in this state is shown."""
        return not self.over or state == "exceeded"

    @property
    def period(self) -> str:
        """What limits are called in JSON and tables: daily or monthly."""
        return "monthly" if self.month else "daily"

    @property
    def time(self) -> str:
        """The time that spend is of: today or month."""
        return "month" if self.month else "today"


@dataclass(frozen=True)
class BudgetReport:
    """The day or month in the budgets' time zone, the team, how many users are in each state, and users by spend.

    `others` are the budgets with other periods.
    """

    window: Window
    team: BudgetLine
    states: Mapping[str, int]
    users: tuple[BudgetLine, ...]
    others: tuple[PeriodLine, ...] = ()


def run_budget(
    config: Config,
    environ: Mapping[str, str],
    user: str | None,
    out: TextIO,
    *,
    as_json: bool,
    month: bool = False,
    over: bool = False,
    by: str = "user",
) -> int:
    """Print the budget of a user, or of all users or groups; returns 0. Raises `UserError`."""
    asked = Asked(user, month, over, by)
    if by == "group":
        return _print_groups(config, environ, asked, out, as_json=as_json)
    if config.users.mode == "off" and (asked.user is not None or asked.over):
        option = "--user" if asked.user is not None else "--over"
        raise UserError(f"{option}: users.mode is off in the configuration — set it to id or hmac to show users")
    report = _read(config, environ, asked)
    label = pseudonyms(config).of

    def is_asked_for(line: BudgetLine) -> bool:
        # a user can be named as in the log, or as shown, or by what they are called
        name = line.name
        return asked.user is None or (
            name is not None and (name == user_name(asked.user) or asked.user in (name, label(name), line.called))
        )

    def labelled(lines: Iterable[_Line]) -> tuple[_Line, ...]:
        return tuple(replace(each, name=each.name and label(each.name)) for each in lines if is_asked_for(each))

    mine, others = labelled(report.users), labelled(report.others)
    if asked.user is not None and not mine and not others:
        when = "this month" if asked.month else "today"
        raise UserError(f"--user: no user {asked.user!r} has a budget, or spent anything {when}")
    if config.users.mode == "off":
        mine, others = (), tuple(each for each in others if each.name is None)
    return _print(config, replace(report, users=mine, others=others), asked, out, as_json=as_json)


def _print_groups(config: Config, environ: Mapping[str, str], asked: Asked, out: TextIO, *, as_json: bool) -> int:
    if asked.user is not None:
        raise UserError("--user: groups are not shown by user — leave out --user, or --by group")
    if not config.columns.log.has_groups:
        raise UserError("--by group: the log has no column for groups — set columns.log.group in the configuration")
    return _print(config, _read(config, environ, asked), asked, out, as_json=as_json)


def _print(config: Config, report: BudgetReport, asked: Asked, out: TextIO, *, as_json: bool) -> int:
    found = replace(
        report,
        users=tuple(each for each in report.users if asked.shows(each.state)),
        others=tuple(each for each in report.others if asked.shows(each.state)),
    )
    zone = config.budget_time_zone
    print(as_text_json(found, zone, asked) if as_json else as_table(found, zone, asked), file=out)
    return 0


def _read(config: Config, environ: Mapping[str, str], asked: Asked) -> BudgetReport:
    info = resolve_conninfo(config, environ)
    rules = config.classification().without_error_classes()
    with one_session(config, info, "budget", _SECONDS) as session:
        clock = int(session.clock)
        window = (month_window if asked.month else day_window)(clock, ZoneInfo(config.budget_time_zone))
        log = session.log(rules)
        spend: Counter[str] = Counter()
        for day in range(window.start, clock + 1, DAY):
            span = TimeRange(day, min(day + DAY, clock + 1))
            for part in read_span(session, log, rules, span, width=DAY).values():
                spend.update(groups_of(part.users) if asked.by == "group" else users_of(part.users))
        others: list[PeriodLine] = []
        if asked.month:
            by_user = {} if asked.by == "group" else read_monthly_budgets(session, config)
        else:
            budgets = _read_budgets(session, config, asked)
            by_user = {} if budgets is None else budgets.by_user
            others = read_period_budgets(session, config, rules, budgets, asked.by)
        keys = {*spend, *by_user, *(each.name for each in others if each.name)}
        names = names_if_read(session, config, keys) if asked.by == "user" else {}
    limit = config.monthly_limit_usd if asked.month else config.daily_limit_usd
    report = stand(window, spend, by_user, None if limit is None else money_units(limit))
    return replace(
        report,
        users=tuple(replace(each, called=names.get(each.name or "")) for each in report.users),
        others=tuple(replace(each, called=names.get(each.name or "")) for each in others),
    )


def _read_budgets(session: Session, config: Config, asked: Asked) -> Budgets | None:
    if asked.by == "group":
        return group_budgets(config, read_budgets(session, config, GROUP_BUDGETS))
    return read_budgets(session, config)


def stand(
    window: Window, spend: Mapping[str, int], budgets: Mapping[str, Budget], team_limit: int | None
) -> BudgetReport:
    """The budgets of all, from money in ledger units; the largest spend comes first."""
    names = sorted({*spend, *budgets}, key=lambda name: (-spend.get(name, 0), name))
    users = tuple(_line(name, spend.get(name, 0), budgets.get(name)) for name in names)
    team = _line(None, sum(spend.values()), Budget(team_limit))
    return BudgetReport(window, team, count_states(spend, budgets), users)


def _line(name: str | None, spend: int, budget: Budget | None) -> BudgetLine:
    limit = None if budget is None or budget.daily_limit is None else Decimal(budget.daily_limit) / USD
    state = "unlimited" if name == UNATTRIBUTED else budget_state(spend, budget)
    return BudgetLine(name=name, limit=limit, spend=Decimal(spend) / USD, state=state)


def as_text_json(report: BudgetReport, zone: str, asked: Asked) -> str:
    """A JSON object: the day or month, its time zone, the team, users by state, and the users."""
    team, *users = [_fields(each, asked) for each in (report.team, *report.users)]
    team.pop(asked.by)
    when = {"month" if asked.month else "day": _date(report.window, zone, asked), "time_zone": zone}
    whole = {**when, "team": team, "states": report.states, f"{asked.by}s": users}
    if report.others:
        whole["budgets"] = period_fields(report.others, zone, asked.by)
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _fields(line: BudgetLine, asked: Asked) -> dict[str, Any]:
    return {
        asked.by: line.name,
        **({} if line.called is None else {"name": line.called}),
        f"{asked.period}_limit_usd": number(line.limit),
        f"spend_{asked.time}_usd": number(line.spend),
        "remaining_usd": number(line.remaining),
        "used_ratio": number(line.used),
        "state": line.state,
    }


def as_table(report: BudgetReport, zone: str, asked: Asked) -> str:
    """A table for people. Unless one user is asked for, with the team and how many users are in each state."""
    whole = asked.user is None
    listed = [*report.users, *([report.team] if whole else [])]
    rows = [[each.title, *each.cells, each.state] for each in listed]
    spent = "spend this month" if asked.month else "spend today"
    headers = [asked.by, f"{asked.period} limit", spent, "remaining", "used", "state"]
    lines = [render_table(headers, rows, right=headers[1:5])]
    if whole:
        counts = ", ".join(f"{count} {state}" for state, count in report.states.items())
        lines.append(f"\n{asked.by}s: {counts}; {_date(report.window, zone, asked)}, {zone}")
    if report.others:
        lines.append("\n" + period_table(report.others, zone, asked.by))
    return "\n".join(lines)


def _date(window: Window, zone: str, asked: Asked) -> str:
    day = datetime.fromtimestamp(window.start, UTC).astimezone(ZoneInfo(zone)).date()
    return f"{day:%Y-%m}" if asked.month else day.isoformat()
