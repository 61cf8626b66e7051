"""Check how far away the database is, and what that costs a scrape."""

import psycopg

from exporter.database.foresight import ROUND_TRIPS, ROUND_TRIPS_WITHOUT
from exporter.findings import Finding, ok, warn
from exporter.preflight.context import CheckContext

DISTANCE = "distance"


def check_distance(context: CheckContext) -> list[Finding]:
    """Measure a round trip."""
    return [evaluate_distance(context.session.round_trip(), is_pipelined=psycopg.Pipeline.is_supported())]


def evaluate_distance(seconds: float, *, is_pipelined: bool) -> Finding:
    """Say what a round trip of so many seconds means for a scrape, with or without a pipeline."""
    trip = f"{1000 * seconds:.1f} ms a round trip"
    if is_pipelined:
        return ok(DISTANCE, f"{trip}; a scrape waits for {ROUND_TRIPS}")
    return warn(
        DISTANCE,
        f"{trip}; a scrape waits for about {ROUND_TRIPS_WITHOUT}, since this libpq has no pipelines",
        f"install libpq 14 or later, or psycopg[binary], which brings it: a scrape then waits for {ROUND_TRIPS}",
    )
