"""Users' budgets against what the log says they spent today."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from exporter.catalog import USD
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.labels import user_name
from exporter.database.one_session import one_session
from exporter.database.reader import read_span
from exporter.database.tables import read_budgets
from exporter.errors import UserError
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import Window, day_window
from exporter.ledger.model import UNATTRIBUTED, TimeRange
from exporter.ledger.users import Budget, budget_state, count_states
from exporter.reports.shown_users import pseudonyms
from exporter.reports.table import dollars, render_table

_DAY = 86_400
_SECONDS = 60.0


@dataclass(frozen=True)
class Standing:
    """The budget of one user, or the team, today; in USD."""

    name: str
    spend: Decimal
    limit: Decimal | None
    state: str

    @property
    def remaining(self) -> Decimal | None:
        """What is left of the limit: below zero if it is exceeded, None without a limit."""
        return None if self.limit is None else self.limit - self.spend


@dataclass(frozen=True)
class Standings:
    """The day in the budgets' time zone, the team, the number of users in each state, and the users by spend."""

    window: Window
    team: Standing
    states: Mapping[str, int]
    users: tuple[Standing, ...]


def run_budget(config: Config, environ: Mapping[str, str], user: str | None, out: TextIO, *, as_json: bool) -> int:
    """Print the budget of a user, or of all; returns 0. Raises `UserError`."""
    if config.users.mode == "off" and user is not None:
        raise UserError("--user: users.mode is off in the configuration — set it to id or hmac to show users")
    standings = _read(config, environ)
    label = pseudonyms(config).of
    if config.users.mode == "off":
        shown: list[Standing] = []
    else:
        # a user can be named as in the log, or as shown
        mine = [
            each
            for each in standings.users
            if user is None or each.name == user_name(user) or user in (each.name, label(each.name))
        ]
        if not mine and user is not None:
            raise UserError(f"--user: no user {user!r} has a budget, or spent anything today")
        shown = [Standing(label(each.name), each.spend, each.limit, each.state) for each in mine]
    found = Standings(standings.window, standings.team, standings.states, tuple(shown))
    zone = config.budget_time_zone
    print(as_text_json(found, zone) if as_json else as_table(found, zone, whole=user is None), file=out)
    return 0


def _read(config: Config, environ: Mapping[str, str]) -> Standings:
    info = resolve_conninfo(config, environ)
    # the error classes do not matter here, and matching their patterns is most of the work
    rules = config.classification().model_copy(update={"error_classes": ()})
    with one_session(config, info, "budget", _SECONDS) as session:
        window = day_window(int(session.clock), ZoneInfo(config.budget_time_zone))
        log = session.log(rules)
        span = TimeRange(window.start, int(session.clock) + 1)
        spend: Counter[str] = Counter()
        for part in read_span(session, log, rules, span, width=_DAY).values():
            spend.update(part.users)
        budgets = read_budgets(session, config)
    limit = None if config.daily_limit_usd is None else money_units(config.daily_limit_usd)
    return stand(window, spend, {} if budgets is None else budgets.by_user, limit)


def stand(window: Window, spend: Mapping[str, int], budgets: Mapping[str, Budget], team_limit: int | None) -> Standings:
    """The budgets of all, from money in ledger units; the largest spend comes first."""
    names = sorted({*spend, *budgets}, key=lambda name: (-spend.get(name, 0), name))
    users = tuple(_standing(name, spend.get(name, 0), budgets.get(name)) for name in names)
    team = _standing("team", sum(spend.values()), Budget(team_limit))
    return Standings(window, team, count_states(spend, budgets), users)


def _standing(name: str, spend: int, budget: Budget | None) -> Standing:
    limit = None if budget is None or budget.daily_limit is None else Decimal(budget.daily_limit) / USD
    state = "unlimited" if name == UNATTRIBUTED else budget_state(spend, budget)
    return Standing(name, Decimal(spend) / USD, limit, state)


def as_text_json(standings: Standings, zone: str) -> str:
    """A JSON object: the day, its time zone, the team, users by state, and the users."""
    team, *users = [_fields(each) for each in (standings.team, *standings.users)]
    team.pop("user")
    day = {"day": _day(standings.window, zone), "time_zone": zone}
    return json.dumps({**day, "team": team, "states": standings.states, "users": users}, indent=2, ensure_ascii=False)


def _fields(standing: Standing) -> dict[str, Any]:
    return {
        "user": standing.name,
        "daily_limit_usd": None if standing.limit is None else float(standing.limit),
        "spend_today_usd": float(standing.spend),
        "remaining_usd": None if standing.remaining is None else float(standing.remaining),
        "state": standing.state,
    }


def as_table(standings: Standings, zone: str, *, whole: bool) -> str:
    """A table for people; with `whole` also the team and how many users are in each state."""
    listed = [*standings.users, *([standings.team] if whole else [])]
    rows = [
        [each.name, dollars(each.limit), dollars(each.spend), dollars(each.remaining), each.state] for each in listed
    ]
    headers = ["user", "daily limit $", "spend today $", "remaining $", "state"]
    lines = [render_table(headers, rows, right=headers[1:4])]
    if whole:
        counts = ", ".join(f"{count} {state}" for state, count in standings.states.items())
        lines.append(f"\nusers: {counts}; {_day(standings.window, zone)}, {zone}")
    return "\n".join(lines)


def _day(window: Window, zone: str) -> str:
    return datetime.fromtimestamp(window.start, UTC).astimezone(ZoneInfo(zone)).date().isoformat()
