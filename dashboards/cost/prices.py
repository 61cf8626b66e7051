"""The row of Cost that asks whether the bill is right: costs in the log beside the price list, and what distorts it."""

from alert_rules.quantities.bill import TOLERANCE
from dashboards import promql as q
from dashboards import style
from dashboards.base import by_model
from dashboards.cost.spend import TODAY
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, stat, table, timeseries, values
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, DOLLARS, MORE_OR_LESS, SHARE, USD
from exporter import catalog

LOGGED, EXPECTED = q.filtered(catalog.CHECKED_COST), q.filtered(catalog.EXPECTED_COST)


def row(_: Settings) -> Row:
    """The row."""
    return Row(
        "Is the bill right? (all users)",
        (
            line(8, _difference(), _by_model(), _price_unknown()),
            line(7, _unpriced(), _refunds(), _corrections(), _recorded_less_logged(), widths=(6, 5, 5, 8)),
        ),
        collapsed=True,
    )


def _difference() -> Panel:
    logged, expected = q.hourly(LOGGED, "model"), q.hourly(EXPECTED, "model")
    return timeseries(
        "Costs against the price list",
        "By what share the costs in the log of the past hour's calls differ from what their tokens cost by the price"
        f" list, by model. The line is at {TOLERANCE:.0%}, where `cost_tracking_inaccurate` fires.",
        "Far from 0, a price is wrong in the application or in the list: `prices show` prints the list.",
        # of a model that costs nothing by the list, any cost is too much
        prom(f"{q.ratio(f'abs({logged} - {expected})', expected)} or {logged}", "{{model}}"),
        unit=SHARE,
        steps=style.worse_above(TOLERANCE),
        soft={"axisSoftMax": 2 * TOLERANCE},
    )


def _by_model() -> Panel:
    figures = {
        "Checked calls": q.hourly(q.filtered(catalog.CHECKED), "model"),
        "Logged": q.hourly(LOGGED, "model"),
        "Expected": q.hourly(EXPECTED, "model"),
    }
    return table(
        "Is the bill right",
        "What the calls of the past hour cost in the log, and by the price list, by model. Calls are checked that ended"
        " well or have a cost, with input tokens and a known price; 15 minutes late.",
        "Two amounts that differ: see the runbook of `cost_tracking_inaccurate`.",
        *(prom(expr, table=True) for expr in figures.values()),
        columns=(
            column("Model", min_width=120, links=[by_model()]),
            column("Checked calls", unit=COUNT, decimals=0, width=110),
            column("Logged", unit=DOLLARS, decimals=4, width=85),
            column("Expected", unit=DOLLARS, decimals=4, width=95),
        ),
        transformations=joined("model", {"model": "Model", **values(figures)}),
        sort="Expected",
        empty="No call has been checked in the past hour",
    )


def _price_unknown() -> Panel:
    return timeseries(
        "Calls of unknown price",
        "Calls in the past hour whose cost cannot be checked, since no price of their model is known.",
        "Write the model's price into `prices` of the configuration, or its name into `models.aliases`.",
        prom(q.hourly(q.filtered(catalog.PRICE_UNKNOWN), "model"), "{{model}}"),
        unit=COUNT,
    )


def _unpriced() -> Panel:
    return timeseries(
        "Calls without a price",
        "Calls in the past hour that used tokens but have no cost, by model, without models that are configured as"
        " free. Counted 15 minutes late, so that costs have time to arrive.",
        "Spend is too low by what these calls cost: add the model's price to the application.",
        prom(q.hourly(q.filtered(catalog.UNPRICED), "model"), "{{model}}"),
        unit=COUNT,
    )


def _refunds() -> Panel:
    return timeseries(
        "Refunds",
        "Money that was refunded in the past hour, by model: costs below 0 in the log. Spend is less by it.",
        "A provider or gateway that gives much back has charged too much before: compare with its bill.",
        prom(q.hourly(q.filtered(catalog.REFUNDS), "model"), "{{model}}"),
        unit=USD,
    )


def _corrections() -> Panel:
    selector = q.filtered(catalog.COST_CORRECTIONS)
    return timeseries(
        "Corrections",
        "Cost that was counted and then removed from the log by edits or deletions, by operation, of the ten with most"
        " of it, less refunds that were removed. Spend does not include it.",
        "A step means that somebody edits or deletes rows of the log: ask why.",
        prom(q.largest(q.gauge(q.while_read(selector), "operation"), selector, "operation"), "{{operation}}"),
        unit=USD,
    )


def _recorded_less_logged() -> Panel:
    recorded = q.max_of(q.for_job(catalog.RECORDED_SPEND_TODAY))
    return stat(
        "Recorded less logged, team",
        "Today's spend of all users according to the application's budgets table, less the spend in the log.",
        "Far from zero, the application stops users at the wrong amount: check the job that updates the table.",
        prom(f"{recorded} - ({q.or_zero(TODAY)})", instant=True),
        unit=MORE_OR_LESS,
        decimals=2,
        empty="No budgets, or not read",
    )
