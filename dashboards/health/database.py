"""The row of Health with the database."""

from dashboards import promql as q
from dashboards import style
from dashboards.grid import Row, line
from dashboards.panels import Panel, state_timeline, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SHARE
from exporter import catalog

_DATABASES = 'datname!~"template.*|"'


def connections(job: str) -> str:
    """Open connections by server, of the jobs that match."""
    return f'sum by (job, instance) (pg_stat_database_numbackends{{job=~"{job}"}})'


def max_connections(job: str) -> str:
    """The most connections that each server takes, of the jobs that match."""
    return f'max by (job, instance) (pg_settings_max_connections{{job=~"{job}"}})'


def row(settings: Settings) -> Row:
    """The row."""
    job = settings.postgres_job
    charts = _database_reached(job), _connections(job), _cache_hit_rate(job), _replication_lag()
    return Row("Database", (line(7, *charts, widths=(5, 8, 6, 5)),), collapsed=True)


def _database_reached(job: str) -> Panel:
    return state_timeline(
        "Database reached",
        "Whether postgres_exporter reached each database, over time.",
        "If it does not and the log is not read either, the database is down. If only the log is not read, check"
        " the exporter's role.",
        prom(f'min by (instance) (min_over_time(pg_up{{job=~"{job}"}}{q.STEP}))', "{{instance}}"),
        mappings=style.value_mappings({1: ("reached", style.GOOD), 0: ("not reached", style.BAD)}),
        empty=style.NOT_THERE,
    )


def _connections(job: str) -> Panel:
    return timeseries(
        "Connections against the maximum",
        "Open connections by database, and the server's `max_connections`.",
        "Connections that only grow are a leak: restart the service that holds them.",
        prom(f'sum by (datname) (pg_stat_database_numbackends{{job=~"{job}", {_DATABASES}}})', "{{datname}}"),
        prom(f"max({max_connections(job)})", "maximum"),
        unit=style.COUNT,
        empty=style.NOT_THERE,
    )


def _cache_hit_rate(job: str) -> Panel:
    # delta(), since the names of these counters lack _total: Prometheus warns about rate(), and Grafana shows that
    hit, read = (
        f'sum by (datname) (clamp_min(delta(pg_stat_database_blks_{kind}{{job=~"{job}", {_DATABASES}}}{q.RATE}), 0))'
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
        soft={"axisSoftMin": 0.9},
        low=None,
        empty=style.NOT_THERE,
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
        unit=style.SECONDS,
        empty="Not read, or the server does not say",
    )
