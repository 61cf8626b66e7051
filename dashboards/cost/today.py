"""The first row of Cost: what today costs, and what drives it."""

from dashboards import promql as q
from dashboards import sql, style
from dashboards.cost.spend import DAILY_LIMIT, FILTERS, MONTH, PROJECTED, TODAY
from dashboards.grid import Row, line
from dashboards.panels import Panel, bar_gauge, colored, column, stat, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SHARE, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    numbers = (
        _spend_today(settings),
        _share_of_daily_limit(settings),
        _projection(settings),
        _month_to_date(),
        _cost_per_operation(),
        _users_over_budget(),
    )
    drivers = _today_by("operation"), _today_by("model"), _today_by_user()
    return Row("", (line(4, *numbers), line(8, *drivers), line(9, _spend_by_hour(), _movers(), widths=(14, 10))))


def _spend_today(settings: Settings) -> Panel:
    daily_spend = settings.alerts.daily_spend
    note = daily_spend.note("Orange from {value} on, where {alert} fires.")
    return stat(
        "Spend today",
        f"The cost of all calls so far today, in the budget's time zone. The dropdowns do not narrow it.{note}",
        "Find the operation, model or user with the largest bar in the charts below.",
        prom(TODAY, instant=True),
        unit=USD,
        decimals=2,
        steps=daily_spend.above(style.WARN),
    )


def _share_of_daily_limit(settings: Settings) -> Panel:
    return stat(
        "Share of daily limit",
        "Spend today as a share of the team's daily limit, `daily_limit_usd` in the exporter's configuration."
        f"{settings.alerts.budget_note()}",
        "Above 100%, `budget_exceeded` fires: raise the limit, or move the largest operation to a cheaper model.",
        prom(q.or_sentinel(q.ratio(TODAY, DAILY_LIMIT), TODAY), instant=True),
        unit=SHARE,
        decimals=0,
        steps=settings.alerts.budget_steps(),
        mappings=style.not_set("No limit set"),
    )


def _projection(settings: Settings) -> Panel:
    daily_spend = settings.alerts.daily_spend
    note = daily_spend.note("Orange from {value} on, where {alert} fires.")
    return stat(
        "Projected end of day",
        "What today will have cost at midnight if spending continues at today's average pace. Shown from two hours"
        f" after midnight on.{note}",
        "Compare it with Spend by hour: a burst that is over makes the projection too high, a quiet morning too low.",
        prom(q.or_sentinel(PROJECTED, TODAY), instant=True),
        unit=USD,
        decimals=2,
        steps=daily_spend.above(style.WARN),
        mappings=style.not_set("Too early"),
    )


def _month_to_date() -> Panel:
    return stat(
        "Month to date",
        "The cost of all calls so far this calendar month, in the budget's time zone.",
        "See Share of monthly limit under Budgets; the charts under Past days show which days cost most.",
        prom(MONTH, instant=True),
        unit=USD,
        decimals=2,
    )


def _cost_per_operation() -> Panel:
    return stat(
        "Cost per operation",
        "The average cost of a call in the past hour, failed calls included.",
        "A rise without more traffic means longer prompts or a more expensive model: see Tokens on Performance.",
        prom(q.hourly_ratio(q.for_job(catalog.COST), q.for_job(catalog.OPERATIONS)), instant=True),
        unit=USD,
        decimals=4,
    )


def _users_over_budget() -> Panel:
    exceeded = q.gauge(q.for_job(catalog.BUDGET_USERS, 'state="exceeded"'))
    read = q.for_job(catalog.COLLECTOR_SUCCESS, 'collector="budgets"')
    return stat(
        "Users over budget",
        "The number of users who have spent more today than their daily limit, listed below or not. Red from one"
        " user on: `budget_exceeded` fires for each of them.",
        "The table under Budgets shows who they are, and their limits.",
        prom(q.or_sentinel(exceeded, f"({TODAY} and on () (sum({read}) > 0))"), instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
        mappings=style.not_set("No budgets"),
    )


def _today_by(by: str) -> Panel:
    return bar_gauge(
        f"Today by {by}",
        f"Spend today by {by}, the largest first. The dropdowns for operation and model narrow it.",
        "Start saving at the longest bar. The charts under Past days show whether it has grown.",
        prom(f"sort_desc({q.gauge(q.filtered(catalog.SPEND_TODAY), by)} > 0)", q.legend(by), instant=True),
        unit=USD,
        decimals=2,
    )


def _today_by_user() -> Panel:
    spent = q.gauge(q.filtered(catalog.USER_SPEND_TODAY), "user")
    return bar_gauge(
        "Today by user",
        "Spend today of the ten users who spent most. Users without a series of their own are `other`.",
        "A user far ahead of the rest is often a loop or a test: select the user in the dropdown to see the calls.",
        prom(f"sort_desc(topk(10, {spent} > 0))", "{{user}}", instant=True),
        unit=USD,
        decimals=2,
    )


def _spend_by_hour() -> Panel:
    steps = {"lineWidth": 2, "fillOpacity": 0, "lineInterpolation": "stepAfter"}
    return timeseries(
        "Spend by hour",
        "Bars: the cost of each hour. Lines: the same hour a day and a week before. Exact, from the log; the last"
        " bar is the current hour so far.",
        "Bars well above both lines are unusual. What has changed, beside, shows where the money went.",
        sql.hourly_spend(FILTERS),
        unit=USD,
        back="24h",
        overrides=[
            colored("This day", style.CALM, drawStyle="bars", fillOpacity=70, lineWidth=0, barAlignment=1),
            colored("The day before", style.WARN, **steps),
            colored("A week before", "#8e8e8e", **steps),
        ],
    )


def _movers() -> Panel:
    money = [column(name, unit=USD, width=86) for name in ("Last 24 h", "Per call")]
    steps = (style.Step(style.DIM), style.Step(style.WARN, 1.0))
    return table(
        "What has changed",
        "Spend of the last 24 hours by operation and model, and the difference from the 24 hours before, the"
        " largest change first.",
        "More calls at the same cost per call is traffic. The same number of calls at a higher cost is the prompt"
        " or the model.",
        sql.movers(FILTERS),
        columns=[
            column("Operation", width=150),
            *money,
            column("Change", unit=USD, width=86, colored=True, steps=steps),
            column("Calls", width=64),
        ],
    )
