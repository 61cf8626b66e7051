"""The first row of Cost: what today costs, and what drives it."""

from typing import Any

from dashboards import promql as q
from dashboards import sql, style
from dashboards.base import HEALTH, by_model, by_operation, by_user
from dashboards.calls import alerts_firing, figures
from dashboards.colors import PURPLE, colored
from dashboards.cost.forecast import limit_reached
from dashboards.cost.spend import DAILY_LIMIT, FILTERS, MONTH, MONTHLY_LIMIT, PROJECTED, TODAY
from dashboards.grid import TILE, Row, line, rows_high
from dashboards.panels import Panel, absolute, answers_of, column, of_query, only, stat, table, timeseries, where
from dashboards.promql import MOST, prom
from dashboards.settings import Settings
from dashboards.style import DOLLARS, SHARE
from exporter import catalog

_CHOSEN = "${__data.fields.Chosen}"
"""What a click on a row chooses: everything, for the row of `all others`."""
_REST = style.value_mappings({"all others": ("all others", style.GREY)})


def row(settings: Settings) -> Row:
    """The row."""
    money = _today(settings), _by_midnight(settings), _this_month(settings)
    firing = alerts_firing(
        settings, "Alerts", "Open Health: it lists them, with what they are about.", ("critical", "warning"), HEALTH
    )
    states = figures(settings), firing, limit_reached("day", "Team day limit hit in"), _over_limit()
    drivers = (
        _today_by("operation", sql.today_by(FILTERS, MOST), by_operation(operation=_CHOSEN)),
        _today_by("model", answers_of("Today by operation"), by_model(model=_CHOSEN)),
        _today_by("user", answers_of("Today by operation"), by_user(_CHOSEN)),
    )
    return Row(
        "",
        (
            line(TILE, *money),
            line(TILE, *states, widths=(6, 6, 7, 5)),
            # names of operations are the longest, and those of users often the shortest
            line(rows_high(MOST + 1), *drivers, widths=(9, 8, 7)),
            line(9, _spend_by_hour(), _movers(), widths=(9, 15)),
        ),
    )


def _against_limit(
    title: str, shows: str, act: str, settings: Settings, money: str, share: str, too_early: bool = False
) -> Panel:
    """Money, and the share of a limit that it is: only the share says whether that is much."""
    spend, notes = settings.alerts.daily_spend, (settings.alerts.budget_note(), "")
    if spend.value is not None and "month" not in title:
        notes = (notes[0], spend.note("The amount is orange from {value} on, where {alert} fires."))
    no_limit = [*style.not_set("no limit"), *style.no_value("")]
    return stat(
        title,
        f"{shows}{''.join(notes)} The dropdowns do not narrow it.",
        act,
        prom(money, instant=True),
        prom(share, instant=True),
        unit=DOLLARS,
        decimals=2,
        steps=spend.above(style.WARN, below=style.DIM) if "month" not in title else style.NEUTRAL,
        mappings=style.not_set("Too early") if too_early else None,
        named=True,
        sizes=(14, 28),
        overrides=[
            of_query("A", displayName="expected" if too_early else "spent"),
            of_query(
                "B",
                displayName="of the limit",
                unit=SHARE,
                decimals=0,
                mappings=no_limit,
                thresholds=absolute(settings.alerts.budget_steps()),
            ),
        ],
    )


def _today(settings: Settings) -> Panel:
    spent = q.or_zero(TODAY)
    return _against_limit(
        "Team today",
        "The cost of all calls so far today, in the budget's time zone, and its share of the team's daily limit,"
        " `daily_limit_usd` in the exporter's configuration.",
        "Above 100%, `budget_exceeded` fires: raise the limit, or move the largest operation below to a cheaper model.",
        settings,
        spent,
        q.or_sentinel(q.ratio(f"({spent})", DAILY_LIMIT), f"max({q.UP})"),
    )


def _by_midnight(settings: Settings) -> Panel:
    projected = f"({PROJECTED} or 0 * max({q.UP}) and on () {q.hours_into_day(2)})"
    return _against_limit(
        "Team by midnight",
        "What today will have cost at midnight, as forecast, and its share of the team's daily limit. Until four whole"
        " days are known, today's spend is continued evenly, from two hours after midnight on.",
        "Red while Team today is not: there is time. Open Where the month will end to see how certain it is.",
        settings,
        q.or_sentinel(projected, f"max({q.UP})"),
        f"{q.ratio(projected, DAILY_LIMIT)} or (0 * {projected} - 1)",
        too_early=True,
    )


def _this_month(settings: Settings) -> Panel:
    spent = q.or_zero(MONTH)
    return _against_limit(
        "Team this month",
        "The cost of all calls so far this calendar month, in the budget's time zone, and its share of the team's"
        " monthly limit, `monthly_limit_usd` in the exporter's configuration.",
        "Compare the share with how much of the month has passed. Past days, below, shows which days cost most.",
        settings,
        spent,
        q.or_sentinel(q.ratio(f"({spent})", MONTHLY_LIMIT), f"max({q.UP})"),
    )


def _over_limit() -> Panel:
    users = q.gauge(q.for_job(catalog.BUDGET_USERS, 'state="exceeded"'))
    groups = q.gauge(q.for_job(catalog.BUDGET_GROUPS, 'state="exceeded"'))
    budget = "user, group, period"
    spent, limit = q.max_of(q.for_job(catalog.PERIOD_SPEND), budget), q.for_job(catalog.PERIOD_LIMIT)
    limit = f"min by ({budget}) ({limit})"
    kinds = {"users": users, "groups": groups, "periods": f"count({spent} > {limit}) or 0 * count({limit})"}
    exceeded = q.labelled("kind", kinds)
    return stat(
        "Over limit",
        "The number of limits of users and groups that are exceeded, of today or of a longer period, and of the team's"
        " for a period. Red from one on: `budget_exceeded` fires for each limit of today.",
        "The tables under Budgets, By group and Budgets with a period show whose they are.",
        prom(f"({q.or_sentinel(f'sum({exceeded})', f'max({q.UP})')}) and on () {q.UP}", instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
        mappings=style.not_set("No budgets"),
    )


def _today_by(by: str, query: Any, link: dict[str, Any]) -> Panel:
    name = by.capitalize()
    shown = {"Name": name, "Spent": "Spent", "Share": "Share", "Chosen": "Chosen"}
    return table(
        f"Today by {by}",
        f"Spend today by {by}, the ten largest first and the rest as `all others`, with the share of the total. Exact,"
        " from the log.",
        "A user far ahead of the rest is often a loop or a test: click the user to see their calls."
        if by == "user"
        else f"Start saving at the longest bar. Click the {by} to see how its calls perform.",
        query,
        transformations=[where("Kind", by), *only(shown)],
        empty=sql.NOT_IN_LOG,
        columns=[
            column(name, min_width=100, links=[link], colored=True, steps=style.CALMING, mappings=_REST),
            column("Chosen", hidden=True),
            column("Spent", unit=DOLLARS, decimals=2, width=70),
            column("Share", unit=SHARE, decimals=0, width=86, bar=True, high=1, steps=style.CALMING),
        ],
    )


def _spend_by_hour() -> Panel:
    steps = {"lineWidth": 2, "fillOpacity": 0, "lineInterpolation": "stepAfter"}
    return timeseries(
        "Spend by hour",
        "Bars: the cost of each hour. Lines: the same whole hour a day and a week before. Exact, from the log; the"
        " last bar is the current hour so far.",
        "Bars well above both lines are unusual. What has changed, beside, shows where the money went.",
        sql.hourly_spend(FILTERS),
        unit=DOLLARS,
        decimals=2,
        soft={"axisSoftMax": 0.05},
        back="24h",
        empty=sql.NOT_IN_LOG,
        overrides=[
            colored("Last 24 h", style.CALM, drawStyle="bars", fillOpacity=70, lineWidth=0, barAlignment=1),
            colored("24 h before", PURPLE, **steps),
            colored("7 days before", style.GREY, **steps),
        ],
    )


def _movers() -> Panel:
    steps = (style.Step(style.DIM), style.Step(style.WARN, 0.05))
    return table(
        "What has changed",
        "Spend of the last 24 hours by operation and model, and the difference from the 24 hours before: in money, in"
        " percent, and as a share of all that the 24 hours before cost; and the cost of 1,000 calls. The largest"
        " change comes first; orange is 5% of the day and more.",
        "More calls at the same cost per call is traffic. The same number of calls at a higher cost is the prompt"
        " or the model.",
        sql.movers(FILTERS),
        empty=sql.NOT_IN_LOG,
        columns=[
            column("Operation", links=[by_operation()]),
            column("Model", min_width=130, links=[by_model()]),
            column("Last 24 h", unit=DOLLARS, decimals=2, width=76),
            # Grafana writes negative money as $-0.06
            column("Change $", unit=style.PLAIN, decimals=2, width=76),
            column("Change %", unit=SHARE, decimals=0, width=80),
            column("Of the day", unit=SHARE, decimals=1, width=84, colored=True, steps=steps),
            column("Calls", unit=style.PLAIN, decimals=0, width=52),
            column("Per 1,000", unit=DOLLARS, decimals=2, width=80),
        ],
    )
