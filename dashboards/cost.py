"""The dashboard Cost: what today costs, what drives it, and who is near a limit."""

from typing import Any

from alert_rules.compiler.thresholds import threshold
from dashboards import promql as q
from dashboards import sql as log
from dashboards import style
from dashboards.frame import COST, dashboard, to_dashboard
from dashboards.layout import Cell, Line, Section, line
from dashboards.panels import (
    About,
    bar_gauge,
    colored,
    column,
    joined,
    link,
    stat,
    table,
    timeseries,
)
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.sql import sql
from dashboards.style import SHARE, USD
from exporter import catalog

TODAY = q.gauge(q.whole(catalog.SPEND_TODAY))
MONTH = q.gauge(q.whole(catalog.SPEND_MONTH))
DAILY_LIMIT = f"sum (min by (job) ({q.whole(catalog.DAILY_LIMIT)}))"
MONTHLY_LIMIT = f"sum (min by (job) ({q.whole(catalog.MONTHLY_LIMIT)}))"

TOO_EARLY = style.NOT_SET
FILTERS = ("operation", "model", "user")
SERIES = ("operation", "model")


def build(settings: Settings) -> Any:
    """The dashboard, as grafanalib's object."""
    sections = (
        Section(
            "",
            (
                line(
                    4, spend_today(), daily_share(), projection(), month_to_date(), cost_per_operation(), over_budget()
                ),
                line(8, today_by_operation(), today_by_model(), today_by_user()),
                Line(9, (Cell(hours(), 14), Cell(movers(), 10))),
            ),
        ),
        Section(
            "Past days (exact, from the log)",
            (line(9, daily_by_operation(), daily_by_model(), daily_by_user()),),
        ),
        Section(
            "Budgets",
            (
                Line(9, (Cell(user_budgets(), 14), Cell(day_against_limit(), 10))),
                Line(
                    5,
                    (
                        Cell(users_by_state(), 6),
                        Cell(by_this_time(), 6),
                        Cell(monthly_share(), 4),
                        Cell(recorded_and_logged(), 4),
                        Cell(paid_for_failures(), 4),
                    ),
                ),
            ),
        ),
        Section(
            "Traffic, and what is wrong with the bill",
            (
                line(8, operations_per_hour(), average_latency(), cost_per_call_by_operation()),
                line(7, unpriced(), corrections()),
            ),
        ),
    )
    about = "What today costs against the limit, what drives it, and who is near a limit of their own."
    return dashboard(COST, "AI operations / Cost", about, sections, settings, since="now-24h", users=True)


# --- the answer ---


def spend_today() -> Any:
    """Today's money, whole."""
    return stat(
        About(
            "Spend today",
            "What all calls of the present calendar day have cost, in the budget's time zone; the dropdowns do not"
            " narrow it. Orange from the amount on at which `high_daily_spend` fires.",
            "Look below which operation, model or user it is.",
        ),
        prom(TODAY, instant=True),
        unit=USD,
        decimals=2,
        steps=(style.Step(style.GOOD), style.Step(style.WARN, threshold("high_daily_spend"))),
    )


def daily_share() -> Any:
    """Today's money as a part of the team's limit."""
    return stat(
        About(
            "Share of daily limit",
            "Spend today as a part of the team's own daily limit, `daily_limit_usd` in the exporter's configuration."
            " Colours change at the rungs of the budget's alert.",
            "At 100 % `budget_exceeded` fires: raise the limit, or move the largest operation to a cheaper model.",
        ),
        prom(q.or_not_set(q.ratio(TODAY, DAILY_LIMIT), TODAY), instant=True),
        unit=SHARE,
        decimals=0,
        steps=style.budget_steps(),
        mappings=style.not_set("No limit set"),
    )


def _window(metric: catalog.Metric) -> str:
    of_the_day = q.whole(metric, 'window="day"')
    return f"max by (job) ({of_the_day})"


def projected(least_seconds: int = 7200) -> str:
    """Where the day ends at its average pace; nothing before two hours have passed."""
    start, end = _window(catalog.WINDOW_START), _window(catalog.WINDOW_END)
    spent = f"max by (job) (sum by (job, instance) ({q.whole(catalog.SPEND_TODAY)}))"
    return f"sum ({spent} * ({end} - {start}) / (time() - {start} >= {least_seconds}))"


def projection() -> Any:
    """Where the day is going."""
    return stat(
        About(
            "Projected end of day",
            "Spend today, carried to the end of the calendar day at the day's average pace. Nothing is projected"
            " before two hours of the day have passed. Orange from the amount on at which `high_daily_spend` fires.",
            "Compare with the hours below: a burst that is over makes this too high, a morning that is quiet too low.",
        ),
        prom(q.or_not_set(projected(), TODAY), instant=True),
        unit=USD,
        decimals=2,
        steps=(style.Step(style.GOOD), style.Step(style.WARN, threshold("high_daily_spend"))),
        mappings=style.not_set("Too early"),
    )


def month_to_date() -> Any:
    """The month's money, whole."""
    return stat(
        About(
            "Month to date",
            "What all calls of the present calendar month have cost, in the budget's time zone.",
            "Its share of the monthly limit stands under Budgets; past days show which day made the difference.",
        ),
        prom(MONTH, instant=True),
        unit=USD,
        decimals=2,
    )


def cost_per_operation() -> Any:
    """The price of one call now."""
    costs, calls = q.hourly(q.whole(catalog.COST)), q.hourly(q.whole(catalog.OPERATIONS))
    return stat(
        About(
            "Cost per operation",
            "The average cost of one call in the last hour, failed calls included.",
            "A rise without more traffic means longer prompts or a dearer model: see Performance, token usage.",
        ),
        prom(q.ratio(costs, calls), instant=True),
        unit=USD,
        decimals=4,
    )


def over_budget() -> Any:
    """How many users are past their limit."""
    exceeded = q.gauge(q.whole(catalog.BUDGET_USERS, 'state="exceeded"'))
    read = q.whole(catalog.COLLECTOR_SUCCESS, 'collector="budgets"')
    where = f"({TODAY} and on () (sum({read}) > 0))"
    return stat(
        About(
            "Users over budget",
            "How many users have spent more today than their daily limit allows, whether they are listed below or not."
            " Red from the first one on: `budget_exceeded` fires for each.",
            "The table under Budgets names them and their limits.",
        ),
        prom(q.or_not_set(exceeded, where), instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
        mappings=style.not_set("No budgets"),
    )


# --- what drives it ---


def _drivers(by: str, selector: str, narrowed: str) -> Any:
    return bar_gauge(
        About(
            f"Today by {by}",
            f"Spend today by {by}, the largest first, narrowed by the dropdowns for {narrowed}.",
            "The first bar is where saving pays. Past days, below, show whether it has grown.",
        ),
        prom(f"sort_desc({q.gauge(selector, by)} > 0)", f"{{{{{by}}}}}", instant=True),
        unit=USD,
        decimals=2,
    )


def today_by_operation() -> Any:
    """Today's money by operation."""
    return _drivers("operation", q.select(catalog.SPEND_TODAY), "operation and model")


def today_by_model() -> Any:
    """Today's money by model."""
    return _drivers("model", q.select(catalog.SPEND_TODAY), "operation and model")


def today_by_user() -> Any:
    """Today's money by user: those that have a series."""
    by = "user"
    return bar_gauge(
        About(
            "Today by user",
            "Spend today of the ten users that spent most; those without a series of their own are `other`.",
            "A user far ahead of the rest is often a loop or a test: narrow this page to the user in the dropdown.",
        ),
        prom(f"sort_desc(topk(10, {q.gauge(q.select(catalog.USER_SPEND_TODAY), by)} > 0))", "{{user}}", instant=True),
        unit=USD,
        decimals=2,
    )


def hours() -> Any:
    """The same hours on three days."""
    return timeseries(
        About(
            "Spend by hour",
            "Bars: what each hour has cost. Lines: the same hour on the day before, and a week before. Exact, from the"
            " log; the last bar is an hour that is not over.",
            "Bars well above both lines are unusual spend. The table beside names what has changed.",
        ),
        sql(log.hourly_spend(FILTERS), series=True),
        unit=USD,
        back="24h",
        overrides=[
            colored("This day", style.CALM, drawStyle="bars", fillOpacity=70, lineWidth=0, barAlignment=1),
            colored("The day before", style.WARN, lineWidth=2, fillOpacity=0, lineInterpolation="stepAfter"),
            colored("A week before", "#8e8e8e", lineWidth=2, fillOpacity=0, lineInterpolation="stepAfter"),
        ],
    )


def movers() -> Any:
    """What changed since the day before."""
    money = [column(name, unit=USD, width=86) for name in ("Last 24 h", "Per call")]
    change = column(
        "Change", unit=USD, width=86, colored=True, steps=(style.Step(style.DIM), style.Step(style.WARN, 1.0))
    )
    return table(
        About(
            "What has changed",
            "Spend of the last 24 hours, and how much more that is than in the 24 hours before, by operation and"
            " model, the largest change first.",
            "More calls at the same price per call is traffic; the same calls at a higher one is the prompt or the"
            " model.",
        ),
        sql(log.movers(FILTERS)),
        unit=style.PLAIN,
        columns=[column("Operation", width=150), *money, change, column("Calls", width=64)],
    )


# --- past days ---


def _daily(by: str) -> Any:
    return timeseries(
        About(
            f"Daily spend by {by}",
            f"Spend per calendar day of the budget's time zone by {by}, from the log, for 30 days; past"
            f" the ten largest it"
            " is `all others`. The last bar is today so far.",
            "Find the day on which the level changed, and compare it with what was released that day.",
        ),
        sql(log.daily_spend(by, FILTERS), series=True),
        unit=USD,
        bars=True,
        stacked=True,
        back="30d",
        table_legend=by == "user",
    )


def daily_by_operation() -> Any:
    """Past days by operation."""
    return _daily("operation")


def daily_by_model() -> Any:
    """Past days by model."""
    return _daily("model")


def daily_by_user() -> Any:
    """Past days by user."""
    return _daily("user")


# --- budgets ---


def user_budgets() -> Any:
    """Users, their limits, and how much of them is used."""
    spent = q.gauge(q.select(catalog.USER_SPEND_TODAY), "user")
    limit = f"sum by (user) (min by (job, user) ({q.select(catalog.USER_DAILY_LIMIT)}))"
    used = q.or_not_set(f"{spent} / on (user) ({limit} > 0)", f"({spent} unless on (user) {limit} > 0)")
    # what matters comes first: on a phone, the rest is out of sight
    names = {"user": "User", "Value #C": "Used", "Value #A": "Spent today", "Value #B": "Daily limit"}
    steps = style.budget_steps()
    drill = link("Narrow this page to the user", to_dashboard(COST, user="${__value.text}"))
    return table(
        About(
            "Budget utilization by user",
            "What each user has spent today, their daily limit and how much of it is used. Colours change at the rungs"
            " of the budget's alert. Users near or past their limit are always listed; `other` is the rest.",
            "Click a user to narrow this page to them; raise the limit in the budgets table, or talk to them.",
        ),
        *(prom(expr, table=True) for expr in (spent, limit, used)),
        unit=style.PLAIN,
        transformations=joined("user", names),
        sort="Used",
        columns=[
            column("User", links=[drill]),
            column("Spent today", unit=USD, decimals=2, width=110),
            column("Daily limit", unit=USD, decimals=2, width=110),
            column(
                "Used", unit=SHARE, decimals=0, bar=True, high=1, steps=steps, mappings=style.not_set("No limit set")
            ),
        ],
    )


def day_against_limit() -> Any:
    """Today's course towards the limit."""
    return timeseries(
        About(
            "The day's spend against the limit",
            "Spend of the calendar day as it grew, the team's daily limit, and where the day was going at each moment."
            " It starts again at 0 at midnight of the budget's zone.",
            "When the projection lies above the limit, there is still time: lower the largest operation now.",
        ),
        prom(TODAY, "Spend of the day"),
        prom(DAILY_LIMIT, "Daily limit"),
        prom(projected(), "Projected end of day"),
        unit=USD,
        overrides=[
            colored("Spend of the day", style.CALM, lineWidth=2, fillOpacity=20),
            colored("Daily limit", style.BAD, fillOpacity=0, lineStyle={"dash": [8, 8], "fill": "dash"}),
            colored("Projected end of day", style.WARN),
        ],
    )


def users_by_state() -> Any:
    """How many users are in which state."""
    return bar_gauge(
        About(
            "Users by state of their budget",
            "All users, whether listed or not: within their budget, past its warning threshold, past its limit, or"
            " without one.",
            "Many users without a limit means that nothing stops a loop: give them one in the budgets table.",
        ),
        prom(q.gauge(q.whole(catalog.BUDGET_USERS), "state"), "{{state}}", instant=True),
        unit=style.PLAIN,
    )


def monthly_share() -> Any:
    """The month's money as a part of the team's limit."""
    return stat(
        About(
            "Share of monthly limit",
            "Month to date as a part of the team's own monthly limit, `monthly_limit_usd` in the exporter's"
            " configuration. Colours change at the rungs of the budget's alert.",
            "Compare with how much of the month has passed; raise the limit, or save on the largest operation.",
        ),
        prom(q.or_not_set(q.ratio(MONTH, MONTHLY_LIMIT), MONTH), instant=True),
        unit=SHARE,
        decimals=0,
        steps=style.budget_steps(),
        mappings=style.not_set("No limit set"),
    )


def by_this_time() -> Any:
    """What other days had cost by now."""
    return stat(
        About(
            "Other days by this time",
            "What yesterday, and the same weekday a week ago, had cost up to this time of the day. Exact, from the"
            " log.",
            "Spend today far above both is unusual: look at the hours and at what has changed.",
        ),
        sql(log.by_this_time()),
        unit=USD,
        decimals=2,
        named=True,
    )


def recorded_and_logged() -> Any:
    """What the budgets table believes, beside the truth."""
    recorded = q.newest(q.whole(catalog.RECORDED_SPEND_TODAY))
    return stat(
        About(
            "Recorded less logged",
            "What the application's budgets table believes all users have spent today, less what the log says.",
            "Far from zero, the application stops users at the wrong amount: look at the job that keeps the table.",
        ),
        prom(f"{recorded} - {TODAY}", instant=True),
        unit=USD,
        decimals=2,
    )


# --- traffic and the bill ---


def operations_per_hour() -> Any:
    """Traffic by operation."""
    return timeseries(
        About(
            "Operations per hour",
            "Calls that ended in the hour before, by operation. A gap is a time in which the log could not be read.",
            "An operation that climbs alone is a loop or a new job; one that falls to 0 has stopped: see Health.",
        ),
        prom(q.hourly(q.select(catalog.OPERATIONS), "operation"), "{{operation}}"),
        unit=style.COUNT,
    )


def average_latency() -> Any:
    """How long calls take on average, by operation."""
    limit = threshold("slow_operations")
    return timeseries(
        About(
            "Average latency per operation",
            f"The average duration of calls by operation; `slow_operations` fires above the line at {limit:g} s.",
            "Open Performance for quantiles and models: a slow average with a calm median is a few timeouts.",
        ),
        prom(q.average_latency("operation"), "{{operation}}"),
        unit=style.SECONDS,
        steps=style.worse_above(limit),
        interval="5m",
    )


def cost_per_call_by_operation() -> Any:
    """The price of one call by operation, over time."""
    costs, calls = (q.hourly(q.select(metric), "operation") for metric in (catalog.COST, catalog.OPERATIONS))
    return timeseries(
        About(
            "Cost per operation, by operation",
            "The average cost of one call in the hour before, by operation.",
            "A step upwards is a new model or a longer prompt: look at token usage on Performance.",
        ),
        prom(q.ratio(costs, calls), "{{operation}}"),
        unit=USD,
    )


def unpriced() -> Any:
    """Calls without a price."""
    return timeseries(
        About(
            "Calls without a price",
            "Calls in the hour before that used tokens but have no cost, by model; models listed as free are left out."
            " Counted a quarter of an hour late, when costs have had time to arrive.",
            "Each is money that no figure here holds: teach the application the model's price.",
        ),
        prom(q.hourly(q.select(catalog.UNPRICED), "model"), "{{model}}"),
        unit=style.COUNT,
    )


def corrections() -> Any:
    """Money taken back."""
    return timeseries(
        About(
            "Corrections",
            "Money in the cost counter that rows deleted or edited later have taken back, by operation. The figures of"
            " spend have it taken off already.",
            "Steps mean that somebody edits or deletes the log: ask who, and whether the money was really saved.",
        ),
        prom(q.gauge(q.while_read(q.select(catalog.COST_CORRECTIONS)), "operation"), "{{operation}}"),
        unit=USD,
    )


def paid_for_failures() -> Any:
    """Money for nothing."""
    return stat(
        About(
            "Paid for failed calls",
            "What calls in the time range have cost that failed or ran into their timeout.",
            "Lower timeouts waste less; the error log on Health shows what fails.",
        ),
        sql(log.paid_for_failures(FILTERS)),
        unit=USD,
        decimals=4,
    )
