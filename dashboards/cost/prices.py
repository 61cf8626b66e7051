"""The row of Cost that asks whether the bill is right: costs in the log beside the price list."""

from alert_rules.quantities.bill import TOLERANCE
from dashboards import promql as q
from dashboards import style
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SHARE, USD
from exporter import catalog

LOGGED, EXPECTED = q.filtered(catalog.CHECKED_COST), q.filtered(catalog.EXPECTED_COST)


def row(_: Settings) -> Row:
    """The row."""
    return Row("Is the bill right", (line(8, _difference(), _by_model(), _price_unknown()),))


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
    names = {
        "model": "Model",
        **{f"Value #{letter}": name for letter, name in zip("ABC", figures, strict=True)},
    }
    return table(
        "Is the bill right",
        "What the calls of the past hour cost in the log, and by the price list, by model. Calls are checked that ended"
        " well or have a cost, with input tokens and a known price; 15 minutes late.",
        "Two amounts that differ: see the runbook of `cost_tracking_inaccurate`.",
        *(prom(expr, table=True) for expr in figures.values()),
        columns=(
            column("Checked calls", unit=COUNT, decimals=0),
            column("Logged", unit=USD, decimals=4),
            column("Expected", unit=USD, decimals=4),
        ),
        transformations=joined("model", names),
        sort="Expected",
    )


def _price_unknown() -> Panel:
    return timeseries(
        "Calls of unknown price",
        "Calls in the past hour whose cost cannot be checked, since no price of their model is known.",
        "Write the model's price into `prices` of the configuration, or its name into `models.aliases`.",
        prom(q.hourly(q.filtered(catalog.PRICE_UNKNOWN), "model"), "{{model}}"),
        unit=COUNT,
    )
