"""The row of Health with the database."""

from dashboards import promql as q
from dashboards import style
from dashboards.grid import Row, line
from dashboards.panels import Panel, state_timeline, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SECONDS, SHARE
from exporter import catalog

CONNECTIONS = "sum by (job, instance) (pg_stat_database_numbackends)"
MAX_CONNECTIONS = "max by (job, instance) (pg_settings_max_connections)"
_DATABASES = 'datname!~"template.*|"'


def row(_: Settings) -> Row:
    """The row."""
    return Row("Database", (line(7, _database_reached(), _connections(), _cache_hit_rate(), _replication_lag()),))


def _database_reached() -> Panel:
    return state_timeline(
        "Database reached",
        "Whether postgres_exporter reached each database, over time.",
        "If it does not and the log is not read either, the database is down. If only the log is not read, check"
        " the exporter's role.",
        prom("min by (instance) (pg_up)", "{{instance}}"),
        mappings=style.value_mappings({1: ("reached", style.GOOD), 0: ("not reached", style.BAD)}),
    )


def _connections() -> Panel:
    return timeseries(
        "Connections against the maximum",
        "Open connections by database, and the server's `max_connections`.",
        "Connections that only grow are a leak: restart the service that holds them.",
        prom(f"sum by (datname) (pg_stat_database_numbackends{{{_DATABASES}}})", "{{datname}}"),
        prom(f"max({MAX_CONNECTIONS})", "maximum"),
        unit=style.COUNT,
    )


def _cache_hit_rate() -> Panel:
    # delta(), since the names of these counters lack _total: Prometheus warns about rate(), and Grafana shows that
    hit, read = (
        f"sum by (datname) (clamp_min(delta(pg_stat_database_blks_{kind}{{{_DATABASES}}}{q.RATE}), 0))"
        for kind in ("hit", "read")
    )
    return timeseries(
        "Cache hit rate",
        "The share of block reads that PostgreSQL's shared buffers served, by database.",
        "If it stays below 99%, the data in use does not fit: raise `shared_buffers`, or find the query that reads"
        " whole tables.",
        prom(f"{hit} / ({hit} + {read} > 0)", "{{datname}}"),
        unit=SHARE,
        high=1,
        interval="1m",
        steps=style.worse_below(0.9, 0.99),
    )


def _replication_lag() -> Panel:
    lag = q.for_job(catalog.REPLICATION_LAG)
    # A lag of 0 counts only while the log is read: without the database, it would say that all is well.
    shown = f"{lag} > 0 or {lag} and on (job, instance) {q.UP}"
    return timeseries(
        "Replication lag",
        "How far the server that the exporter reads is behind its primary: 0 on a primary, no data where the server"
        " does not report it. Beyond `database.max_replica_lag`, figures of today are missing.",
        "Run `check`: it shows whether replay is paused, slow, or receives nothing. Or let the exporter read the"
        " primary.",
        prom(q.max_of(shown, "instance"), "{{instance}}"),
        unit=SECONDS,
    )
