"""The row of Health with the exporter itself."""

from dashboards import promql as q
from dashboards import style
from dashboards.grid import Row, line
from dashboards.panels import Panel, stat, state_timeline, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SCALED_SECONDS, SECONDS, SHARE, USD
from exporter import catalog


def row(_: Settings) -> Row:
    """The row."""
    numbers = _drift(), _clock_offset(), _commit_failures(), _caught_up(), _routes_enabled(), _versions()
    return Row(
        "The exporter itself",
        (
            line(7, _parts_of_the_scrape(), _durations(), _freshness()),
            line(7, _rows_read(), _values_not_used(), _late_and_folded(), _logins_refused()),
            line(4, *numbers[:3]),
            line(4, *numbers[3:]),
        ),
        collapsed=True,
    )


def _parts_of_the_scrape() -> Panel:
    return state_timeline(
        "Parts of the scrape",
        "Whether each part of the exporter's scrape succeeded and whether the log was read and current.",
        "The exporter's log says what failed and how to fix it, once for each change.",
        prom(q.max_of(q.at_worst(catalog.COLLECTOR_SUCCESS), "collector"), "{{collector}}"),
        prom(q.max_of(q.at_worst(catalog.LOG_UP), "job"), "log is current"),
        mappings=style.value_mappings({1: ("succeeded", style.GOOD), 0: ("failed", style.BAD)}),
    )


def _durations() -> Panel:
    return timeseries(
        "Duration of the scrape's parts",
        "How long each part of the scrape took, in the slowest replica. Parts that did not run are left out.",
        "If the log's part grows with the table, the index on the log's time is not used: run `check`.",
        prom(f"{q.max_of(q.for_job(catalog.COLLECTOR_DURATION), 'collector')} > 0", "{{collector}}"),
        unit=SCALED_SECONDS,
        log=True,
    )


def _freshness() -> Panel:
    return timeseries(
        "Freshness",
        "The time since the log was last read, and the age of its newest row.",
        "If the log was read but its rows are old, nobody calls models, or the writer has stopped. If it was not"
        " read, see Figures.",
        prom(q.age(q.max_of(q.for_job(catalog.LAST_SUCCESS))), "last read"),
        prom(q.age(q.max_of(q.for_job(catalog.LOG_NEWEST_ROW))), "newest row"),
        unit=SECONDS,
    )


def _rows_read() -> Panel:
    return timeseries(
        "Rows read per second",
        "Rows of the log that the exporter read, in scrapes and in the background.",
        "The number follows traffic, not the size of the table. If it is much higher, the exporter reads history or"
        " catches up after an outage: wait.",
        prom(q.rate(q.for_job(catalog.ROWS_READ), "instance"), "{{instance}}"),
        unit=style.COUNT,
    )


def _values_not_used() -> Panel:
    values = q.for_job(catalog.ROWS_SKIPPED)
    return timeseries(
        "Values not used, hour",
        "Values in the past hour that the exporter could not use: all of them, and by field and reason. The rows'"
        " other fields count.",
        "Fix the program that writes the log: a negative latency or a missing status is a bug there.",
        prom(q.hourly(values), "all"),
        prom(f"{q.hourly(values, 'field', 'reason')} > 0", "{{field}} {{reason}}"),
        unit=style.COUNT,
    )


def _late_and_folded() -> Panel:
    return timeseries(
        "Late and folded, hour",
        "Late rows arrived after their minute was closed; they are counted all the same. Folded rows are counted"
        " under `other`, since `max_series` is reached.",
        "For folded rows, raise `max_series`, or find the program that writes ever new names.",
        prom(q.hourly(q.for_job(catalog.LATE_ROWS)), "late"),
        prom(q.hourly(q.for_job(catalog.SERIES_FOLDED)), "folded"),
        unit=style.COUNT,
    )


def _logins_refused() -> Panel:
    return timeseries(
        "Refused logins, hour",
        "Requests to the exporter in the past hour without a user name and password, with wrong ones, or refused"
        " unchecked because too many came at once.",
        "The exporter's log shows the addresses. A few are a scraper with an old password. Thousands are an attempt"
        " to guess passwords: block the port for that network.",
        prom(q.hourly(q.for_job(catalog.LOGINS_REFUSED), "reason"), "{{reason}}"),
        unit=style.COUNT,
    )


def _drift() -> Panel:
    return stat(
        "Drift",
        "Spend of one past day in the log, less what the exporter counted for it. Sampled hourly, never corrected.",
        "Far from zero, somebody edits old rows: ask who. The past days on Cost show the log as it is now.",
        prom(q.max_of(q.for_job(catalog.LEDGER_DRIFT)), instant=True),
        unit=USD,
        decimals=2,
    )


def _clock_offset() -> Panel:
    return stat(
        "Clock offset",
        "The database's clock less the clock of the exporter's host. After a jump, figures are missing until it has"
        " lasted for five minutes.",
        "Beyond a minute, synchronize the clocks of both hosts with NTP.",
        prom(q.max_of(q.for_job(catalog.CLOCK_OFFSET)), instant=True),
        unit=SECONDS,
        decimals=1,
    )


def _commit_failures() -> Panel:
    return stat(
        "Failed commits",
        "How often the exporter could not write its state in the past hour. Counters stand still meanwhile. Red"
        " from one failure on.",
        "Check the state folder: the disk may be full, or the exporter may not write there.",
        prom(q.hourly(q.for_job(catalog.STATE_COMMIT_FAILURES)), instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
    )


def _caught_up() -> Panel:
    return stat(
        "Caught up",
        "How much of the log's history, or of the time after an outage, the exporter has read. At 100%, figures are"
        " current.",
        "Wait. If it does not rise, the exporter's log says what it waits for.",
        prom(f"min({q.for_job(catalog.BACKFILL_PROGRESS)})", instant=True),
        unit=SHARE,
        decimals=0,
    )


def _routes_enabled() -> Panel:
    return stat(
        "Routes enabled",
        "The number of operations whose route is enabled. Only where the database has that table.",
        "The table of registered operations shows which routes are not enabled.",
        prom(f"sum({q.max_of(q.for_job(catalog.ROUTE_ENABLED), 'operation')})", instant=True),
        unit=style.PLAIN,
        decimals=0,
    )


def _versions() -> Panel:
    return stat(
        "Replicas by version",
        "The number of replicas of the exporter that run each version.",
        "Two versions for long mean an upgrade that stopped halfway.",
        prom(f"count by (version) ({q.for_job(catalog.BUILD_INFO)})", "{{version}}", instant=True),
        unit=style.PLAIN,
        named=True,
    )
