"""The dashboard Cost, a module for each row."""

from dashboards.base import COST, Page
from dashboards.cost import anomalies, bill, budgets, forecast, past_days, prices, today
from dashboards.settings import Settings


def page(settings: Settings) -> Page:
    """The dashboard."""
    return Page(
        COST,
        "Cost",
        "What today costs against the limit, what drives it, and who is near a limit of their own.",
        [module.row(settings) for module in (today, forecast, past_days, budgets, anomalies, bill, prices)],
        since="now-24h",
        by_user=True,
    )
