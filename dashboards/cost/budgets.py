"""The row of Cost with limits: of the team, and of each user."""

from dashboards import promql as q
from dashboards import sql, style
from dashboards.base import COST, to_dashboard
from dashboards.cost.spend import DAILY_LIMIT, FILTERS, MONTH, MONTHLY_LIMIT, PROJECTED, TODAY
from dashboards.grid import Row, line
from dashboards.panels import Panel, bar_gauge, colored, column, joined, link, stat, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SHARE, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    numbers = (
        _users_by_state(),
        _other_days(),
        _share_of_monthly_limit(settings),
        _recorded_less_logged(),
        _paid_for_failures(),
    )
    return Row(
        "Budgets",
        (
            line(9, _user_budgets(settings), _day_against_limit(), widths=(14, 10)),
            line(5, *numbers, widths=(6, 6, 4, 4, 4)),
        ),
    )


def _user_budgets(settings: Settings) -> Panel:
    spent = q.gauge(q.filtered(catalog.USER_SPEND_TODAY), "user")
    limit = f"sum by (user) (min by (job, user) ({q.filtered(catalog.USER_DAILY_LIMIT)}))"
    used = q.or_sentinel(f"{spent} / on (user) ({limit} > 0)", f"({spent} unless on (user) {limit} > 0)")
    # the share comes first: a phone shows only the left columns
    names = {"user": "User", "Value #C": "Used", "Value #A": "Spent today", "Value #B": "Daily limit"}
    budget_steps, no_limit = settings.alerts.budget_steps(), style.not_set("No limit set")
    return table(
        "Budget utilization by user",
        "What each user has spent today, their daily limit, and the share of it that is used."
        f"{settings.alerts.budget_note()} Users near or over their limit are always listed; `other` is the rest.",
        "Click a user to narrow this page to them. Raise their limit in the budgets table, or talk to them.",
        *(prom(expr, table=True) for expr in (spent, limit, used)),
        transformations=joined("user", names),
        sort="Used",
        columns=[
            column("User", links=[link("Narrow this page to the user", to_dashboard(COST, user="${__value.text}"))]),
            column("Spent today", unit=USD, decimals=2, width=110),
            column("Daily limit", unit=USD, decimals=2, width=110),
            column("Used", unit=SHARE, decimals=0, bar=True, high=1, steps=budget_steps, mappings=no_limit),
        ],
    )


def _day_against_limit() -> Panel:
    return timeseries(
        "The day's spend against the limit",
        "Spend of the day so far, the team's daily limit, and the projected end of the day. Spend starts at 0 at"
        " midnight in the budget's time zone.",
        "While only the projection is above the limit, there is time: reduce the largest operation now.",
        prom(TODAY, "Spend of the day"),
        prom(DAILY_LIMIT, "Daily limit"),
        prom(PROJECTED, "Projected end of day"),
        unit=USD,
        overrides=[
            colored("Spend of the day", style.CALM, lineWidth=2, fillOpacity=20),
            colored("Daily limit", style.BAD, fillOpacity=0, lineStyle={"dash": [8, 8], "fill": "dash"}),
            colored("Projected end of day", style.WARN),
        ],
    )


def _users_by_state() -> Panel:
    return bar_gauge(
        "Users by state of their budget",
        "All users, listed above or not: within their budget, past its warning threshold, over their limit, or"
        " without a limit.",
        "Nothing stops a loop of a user without a limit: give them one in the budgets table.",
        prom(q.gauge(q.for_job(catalog.BUDGET_USERS), "state"), "{{state}}", instant=True),
        unit=style.PLAIN,
    )


def _other_days() -> Panel:
    return stat(
        "Other days by this time",
        "What yesterday and the same weekday a week ago had cost by this time of day. Exact, from the log.",
        "If Spend today is far above both, look at Spend by hour and What has changed.",
        sql.by_this_time(),
        unit=USD,
        decimals=2,
        named=True,
    )


def _share_of_monthly_limit(settings: Settings) -> Panel:
    return stat(
        "Share of monthly limit",
        "Month to date as a share of the team's monthly limit, `monthly_limit_usd` in the exporter's configuration."
        f"{settings.alerts.budget_note()}",
        "Compare it with how much of the month has passed. Raise the limit, or save on the largest operation.",
        prom(q.or_sentinel(q.ratio(MONTH, MONTHLY_LIMIT), MONTH), instant=True),
        unit=SHARE,
        decimals=0,
        steps=settings.alerts.budget_steps(),
        mappings=style.not_set("No limit set"),
    )


def _recorded_less_logged() -> Panel:
    recorded = q.max_of(q.for_job(catalog.RECORDED_SPEND_TODAY))
    return stat(
        "Recorded less logged",
        "Today's spend of all users according to the application's budgets table, less the spend in the log.",
        "Far from zero, the application stops users at the wrong amount: check the job that updates the table.",
        prom(f"{recorded} - {TODAY}", instant=True),
        unit=USD,
        decimals=2,
    )


def _paid_for_failures() -> Panel:
    return stat(
        "Paid for failed calls",
        "The cost of calls in the time range that failed or timed out.",
        "Lower the timeouts to waste less. The error log on Health shows which calls fail.",
        sql.paid_for_failures(FILTERS),
        unit=USD,
        decimals=4,
    )
