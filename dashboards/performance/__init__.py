"""The dashboard Performance, a module for each row."""

from dashboards.base import PERFORMANCE, Page
from dashboards.performance import errors, latency, models, overview, streaming, tokens
from dashboards.settings import Settings


def page(settings: Settings) -> Page:
    """The dashboard."""
    return Page(
        PERFORMANCE,
        "Performance",
        "How long calls take, which of them fail and why, which models serve them, and what they use.",
        [module.row(settings) for module in (overview, errors, latency, streaming, models, tokens)],
        since="now-6h",
    )
