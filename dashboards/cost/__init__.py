"""The dashboard Cost, a module for each row."""

from dashboards.base import COST, Page
from dashboards.cost import (
    anomalies,
    budgets,
    changes,
    forecast,
    groups,
    past_days,
    periods,
    prices,
    recent,
    today,
    traffic,
)
from dashboards.settings import Settings


def page(settings: Settings) -> Page:
    """The dashboard."""
    rows = (
        today.row,
        past_days.row,
        forecast.row,
        budgets.row,
        groups.row,
        periods.row,
        anomalies.row,
        past_days.closed,
        traffic.row,
        prices.row,
        changes.row,
        recent.row,
    )
    return Page(
        COST,
        "Cost",
        "What today costs against the limit, what drives it, and who is near a limit of their own.",
        [row(settings) for row in rows],
        since="now-24h",
        by_user=True,
        refresh="2m",
    )
