"""The dashboard Cost, a module for each row."""

from dashboards.base import COST, Page
from dashboards.cost import bill, budgets, changes, past_days, prices, today
from dashboards.settings import Settings


def page(settings: Settings) -> Page:
    """The dashboard."""
    return Page(
        COST,
        "Cost",
        "What today costs against the limit, what drives it, and who is near a limit of their own.",
        [module.row(settings) for module in (today, past_days, budgets, bill, prices, changes)],
        since="now-24h",
        by_user=True,
    )
