"""The dashboard Health, a module for each row."""

from dashboards.base import HEALTH, Page
from dashboards.health import availability, database, exporter, overview, queues, recent
from dashboards.settings import Settings


def page(settings: Settings) -> Page:
    """The dashboard."""
    return Page(
        HEALTH,
        "Health",
        "Whether anything is broken: alerts, providers, queues, the database, and the exporter itself.",
        [module.row(settings) for module in (overview, availability, queues, database, recent, exporter)],
        since="now-6h",
    )
