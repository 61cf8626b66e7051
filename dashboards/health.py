"""The dashboard Health: whether anything is broken, from the providers to the exporter itself."""

from typing import Any

from alert_rules.compiler.thresholds import threshold
from dashboards import promql as q
from dashboards import sql as log
from dashboards import style
from dashboards.frame import COST, HEALTH, OF_THE_RULES, OURS, dashboard, to_dashboard
from dashboards.layout import Cell, Line, Section, line
from dashboards.panels import (
    About,
    bar_gauge,
    column,
    joined,
    link,
    organize,
    stat,
    state_timeline,
    table,
    timeseries,
)
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.sql import sql
from dashboards.style import SECONDS, SHARE, USD
from exporter import catalog

FILTERS = ("operation", "model")
FAILING = threshold("high_error_rate")
NEVER = style.NOT_SET

DATABASES = 'datname!~"template.*|"'
CONNECTIONS = "sum by (job, instance) (pg_stat_database_numbackends)"
MOST_CONNECTIONS = "max by (job, instance) (pg_settings_max_connections)"


def build(settings: Settings) -> Any:
    """The dashboard, as grafanalib's object."""
    sections = (
        Section(
            "",
            (
                line(4, log_is_read(), alerts_firing(), probes(), success(), connections_used(), waiting()),
                Line(8, (Cell(alerts(settings), 15), Cell(alert_history(), 9))),
                Line(9, (Cell(error_log(), 24),)),
            ),
        ),
        Section(
            "Is each part there?",
            (
                line(8, probe_history(), probe_duration(), success_by_model()),
                line(8, reporting(), last_success()),
            ),
        ),
        Section(
            "Queues",
            (line(7, in_progress(), oldest_waiting(), approvals(), recommendations()),),
        ),
        Section(
            "Database",
            (line(7, database_up(), connections(), cache_hits(), replication_lag()),),
        ),
        Section("Recent operations", (Line(10, (Cell(recent(), 24),)),)),
        Section(
            "The exporter itself",
            (
                line(7, collectors(), collector_durations(), freshness()),
                line(7, rows_read(), skipped(), late_and_folded(), logins_refused()),
                Line(
                    5,
                    (
                        Cell(drift(), 4),
                        Cell(clock_offset(), 4),
                        Cell(commit_failures(), 4),
                        Cell(backfill(), 4),
                        Cell(routes_enabled(), 4),
                        Cell(versions(), 4),
                    ),
                ),
            ),
        ),
    )
    about = "Whether anything is broken: alerts, providers, queues, the database, and the exporter itself."
    return dashboard(HEALTH, "AI operations / Health", about, sections, settings, since="now-6h")


# --- the answer ---


def log_is_read() -> Any:
    """Whether what is shown can be trusted."""
    return stat(
        About(
            "The log is read",
            "Whether the exporter has read the log in its last scrape, saw every row and has caught up. While it does"
            " not, figures of today are absent everywhere and charts have a gap.",
            "Run `ai-operation-exporter check`: it names what is wrong with the SQL or the setting that fixes it.",
        ),
        prom(q.newest(q.whole(catalog.LOG_UP)), instant=True),
        unit=style.PLAIN,
        mappings=style.YES_NO,
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1)),
        absent=style.BAD,
    )


def alerts_firing() -> Any:
    """How many alerts fire."""
    return stat(
        About(
            "Alerts firing",
            "How many alerts fire now. No data means that Prometheus has not loaded the rules: then nothing would"
            " fire.",
            "The table below names them and their runbooks.",
        ),
        prom(
            f'count(ALERTS{{alertstate="firing", {OF_THE_RULES}}}) or 0 * count(ALERTS{{{OURS}, severity="none"}})',
            instant=True,
        ),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
    )


def probes() -> Any:
    """Whether providers answer."""
    return stat(
        About(
            "API availability",
            "The part of the probes of the last hour that succeeded, over all targets of the blackbox exporter. No"
            " data where it is not set up.",
            "Probe history, below, names the target; its provider's status page knows more.",
        ),
        prom("avg(avg_over_time(probe_success[1h]))", instant=True),
        unit=SHARE,
        decimals=1,
        steps=style.worse_below(0.95, 0.999),
    )


def success() -> Any:
    """Whether calls go well."""
    failed, calls = (q.hourly(q.select(metric)) for metric in (catalog.FAILURES, catalog.OPERATIONS))
    return stat(
        About(
            "Success of calls",
            f"The part of the last hour's calls that went well. Red below {1 - FAILING:.0%}, where"
            f" `high_error_rate` fires.",
            "The error log below has the messages; Performance shows which operation and class.",
        ),
        prom(f"1 - {q.ratio(failed, calls)}", instant=True),
        unit=SHARE,
        decimals=1,
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1 - FAILING)),
    )


def connections_used() -> Any:
    """How full the database is."""
    return stat(
        About(
            "Database connections",
            "Open connections as a part of `max_connections`, from the PostgreSQL exporter; the fullest server.",
            "Near 100 % new ones are refused, the exporter's too: look for a leak, or put a pooler in front.",
        ),
        prom(f"max({CONNECTIONS} / on (job, instance) {MOST_CONNECTIONS})", instant=True),
        unit=SHARE,
        decimals=0,
        steps=style.worse_above(0.8, 0.95),
    )


def waiting() -> Any:
    """How much is in progress."""
    queue = q.gauge(q.whole(catalog.IN_PROGRESS))
    return stat(
        About(
            "Calls in progress",
            "Calls that have begun and not ended, pending and running. A log that has only ended calls has none.",
            "A queue that grows with an old head is stuck: see the oldest waiting under Queues.",
        ),
        prom(q.or_not_set(queue, q.newest(q.whole(catalog.LOG_NEWEST_ROW))), instant=True),
        unit=style.COUNT,
        decimals=0,
        mappings=style.not_set("Not in this log"),
    )


# --- alerts ---


def alerts(settings: Settings) -> Any:
    """Which alerts are pending or firing."""
    labels = ("severity", "operation", "model", "user", "rung", "reason", "runbook")
    names = {"alertname": "Alert", "alertstate": "State"} | {label: label.capitalize() for label in labels}
    named = 'label_replace({}, "runbook", "docs/runbooks/$1.md", "alertname", "(.*)")'
    states = {"firing": ("firing", style.BAD), "pending": ("pending", style.WARN)}
    mapping = [
        {
            "type": "value",
            "options": {
                state: {"color": color, "index": index, "text": text}
                for index, (state, (text, color)) in enumerate(states.items())
            },
        }
    ]
    opened = [link("Runbook", settings.runbook("${__value.raw}"))] if settings.runbooks else []
    return table(
        About(
            "Alerts now",
            "Alerts that are pending or firing, with what they are about. Empty when all is well.",
            "Open the runbook that is named beside the alert: meaning, impact, diagnosis, mitigation.",
        ),
        prom(named.format(f"ALERTS{{{OF_THE_RULES}}}"), table=True),
        unit=style.PLAIN,
        transformations=[
            {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}},
            organize(names),
        ],
        columns=[
            column("Alert", links=opened),
            column("State", colored=True, mappings=mapping, width=110),
            column("Severity", width=80),
            column("Operation", width=120),
            column("User", width=120),
            column("Rung", width=60),
        ],
    )


def alert_history() -> Any:
    """When alerts were pending or firing."""
    of_state = {state: f'ALERTS{{alertstate="{state}", {OF_THE_RULES}}}' for state in ("firing", "pending")}
    return state_timeline(
        About(
            "Alert history",
            "When each alert was pending or firing in the time range. Empty when all was well.",
            "Alerts that come and go at the same hours are load; one that began with a release is the release.",
        ),
        prom(f"max by (alertname) (2 * {of_state['firing']} or {of_state['pending']})", "{{alertname}}"),
        unit=style.PLAIN,
        mappings=style.says({1: ("pending", style.WARN), 2: ("firing", style.BAD)}),
    )


def error_log() -> Any:
    """What failed last."""
    return table(
        About(
            "Error log",
            "The newest failed calls of the time range, from the log; prompts and answers are not among it.",
            "The same message many times is one cause: search it in the provider's documentation and status page.",
        ),
        sql(log.rows(FILTERS, "outcome IN ('failed', 'timeout')")),
        unit=style.PLAIN,
        columns=_row_columns(),
    )


def recent() -> Any:
    """What was called last."""
    return table(
        About(
            "Recent operations",
            "The newest calls of the time range, whatever their outcome, from the log.",
            "Find the call that somebody complains about by its time; narrow by operation and model in the dropdowns.",
        ),
        sql(log.rows(FILTERS)),
        unit=style.PLAIN,
        columns=_row_columns(),
    )


def _row_columns() -> list[dict[str, Any]]:
    outcomes = {
        "ok": style.GOOD,
        "failed": style.BAD,
        "timeout": style.BAD,
        "running": style.CALM,
        "pending": style.DIM,
    }
    mapping = [
        {
            "type": "value",
            "options": {
                name: {"color": color, "index": index, "text": name}
                for index, (name, color) in enumerate(outcomes.items())
            },
        }
    ]
    drill = link("This user's cost", to_dashboard(COST, user="${__value.raw}"))
    return [
        column("Time", unit=style.TIME, width=170),
        column("Operation", width=150),
        column("Model", width=150),
        column("User", width=275, links=[drill]),
        column("Outcome", width=90, colored=True, mappings=mapping),
        column("Cost", unit=USD, decimals=6, width=100),
        column("Latency", unit=SECONDS, decimals=2, width=90),
    ]


# --- is each part there ---


def probe_history() -> Any:
    """When which target answered."""
    return state_timeline(
        About(
            "Probe history",
            "Whether each target of the blackbox exporter answered, over time.",
            "A target that is down for all is the provider's; check its status page before your own network.",
        ),
        prom("min by (instance) (probe_success)", "{{instance}}"),
        unit=style.PLAIN,
        mappings=style.says({1: ("answers", style.GOOD), 0: ("does not answer", style.BAD)}),
    )


def probe_duration() -> Any:
    """How long targets take to answer."""
    return timeseries(
        About(
            "Probe duration",
            "How long each target took to answer its probe: name resolution, connection, TLS and answer.",
            "A slow probe with fast calls is the prober's own network; both slow is the provider.",
        ),
        prom("max by (instance) (probe_duration_seconds)", "{{instance}}"),
        unit=SECONDS,
    )


def success_by_model() -> Any:
    """Whether calls go well, by model."""
    return timeseries(
        About(
            "Success of calls by model",
            "The part of each model's calls that went well; the line is where `high_error_rate` fires.",
            "A model that fails while its probe answers refuses us: look at its errors' class on Performance.",
        ),
        prom(f"1 - {q.failed_share('model')}", "{{model}}"),
        unit=SHARE,
        low=None,
        high=1,
        soft={"axisSoftMin": 1 - 2 * FAILING},
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1 - FAILING)),
        interval="5m",
    )


def reporting() -> Any:
    """Which of the registered operations are seen in the log."""
    info = q.newest(q.select(catalog.ROUTE_INFO), "operation, primary_model, fallback_model")
    enabled = q.newest(q.select(catalog.ROUTE_ENABLED), "operation")
    seen = q.age(q.newest(q.select(catalog.OPERATION_LAST_SEEN), "operation"))
    silent = f"(0 * {enabled} unless on (operation) {q.newest(q.select(catalog.OPERATION_LAST_SEEN), 'operation')})"
    names = {
        "operation": "Operation",
        "Value #A": "Last call",
        "Value #B": "Enabled",
        "primary_model": "Primary model",
        "fallback_model": "Fallback",
    }
    return table(
        About(
            "Registered operations",
            "Each operation of the routes table or of the log: how long ago its last call was, whether its route is"
            " enabled, and its models.",
            "One that never reported is not instrumented, or not used; one that fell silent has probably broken.",
        ),
        prom(f"({seen}) or ({silent} - 1)", table=True),
        prom(enabled, table=True),
        prom(info, table=True),
        unit=style.PLAIN,
        transformations=joined("operation", names),
        columns=[
            column(
                "Last call",
                unit=SECONDS,
                decimals=0,
                width=110,
                colored=True,
                steps=style.worse_above(3600, 86400),
                mappings=style.says({NEVER: ("never", style.BAD)}),
            ),
            column("Enabled", width=80, colored=True, mappings=style.YES_NO),
        ],
    )


def last_success() -> Any:
    """How long each model has gone without a success, beside its timeout."""
    ages = q.age(q.newest(q.select(catalog.MODEL_LAST_SUCCESS), "model"))
    timeout = q.newest(q.select(catalog.MODEL_TIMEOUT), "model")
    names = {"model": "Model", "Value #A": "Last success", "Value #B": "Timeout"}
    return table(
        About(
            "Models: last success, and timeout",
            "How long ago each model last answered well, and after how long a call to it is given up.",
            "Calls but no success for a quarter of an hour fire `model_unavailable`: use the fallback meanwhile.",
        ),
        prom(ages, table=True),
        prom(timeout, table=True),
        unit=style.PLAIN,
        transformations=joined("model", names),
        columns=[
            column("Last success", unit=SECONDS, decimals=0, colored=True, steps=style.worse_above(900)),
            column("Timeout", unit=SECONDS, decimals=0),
        ],
    )


# --- queues ---


def in_progress() -> Any:
    """How deep the queue is."""
    return timeseries(
        About(
            "Queue depth",
            "Calls that have not ended, by status; only in a log that writes a call when it begins.",
            "Pending that grows while running does not means too few workers, or all of them stuck.",
        ),
        prom(q.gauge(q.whole(catalog.IN_PROGRESS), "status"), "{{status}}"),
        unit=style.COUNT,
    )


def oldest_waiting() -> Any:
    """How long the oldest has waited."""
    oldest = f"min by (status) ({q.whole(catalog.OLDEST_IN_PROGRESS)})"
    return timeseries(
        About(
            "Oldest waiting",
            "For how long the oldest call that has not ended has been waiting, by status.",
            "One older than every timeout was lost by its worker: end it in the log, or it waits for ever.",
        ),
        prom(q.age(oldest), "{{status}}"),
        unit=SECONDS,
    )


def approvals() -> Any:
    """Approvals that wait."""
    pending = q.newest(q.whole(catalog.APPROVALS_PENDING))
    return stat(
        About(
            "Approvals pending",
            "Approval gates that wait for a person; only where the database has that table.",
            "They hold up the operations behind them: decide them in the application.",
        ),
        prom(q.or_not_set(pending, q.newest(q.whole(catalog.LOG_NEWEST_ROW))), instant=True),
        unit=style.PLAIN,
        decimals=0,
        mappings=style.not_set("No such table"),
    )


def recommendations() -> Any:
    """Recommendations by what became of them."""
    return bar_gauge(
        About(
            "Recommendations",
            "Recommendations by type and by what became of them; only where the database has that table.",
            "Pending ones are savings that nobody has decided on yet.",
        ),
        prom(q.newest(q.whole(catalog.RECOMMENDATIONS), "type, status"), "{{type}} {{status}}", instant=True),
        unit=style.PLAIN,
    )


# --- database ---


def database_up() -> Any:
    """When the database could be reached."""
    return state_timeline(
        About(
            "Database reached",
            "Whether the PostgreSQL exporter reached each database, over time.",
            "Down here and the log not read: it is the database. Only the log not read: look at the exporter's role.",
        ),
        prom("min by (instance) (pg_up)", "{{instance}}"),
        unit=style.PLAIN,
        mappings=style.says({1: ("reached", style.GOOD), 0: ("not reached", style.BAD)}),
    )


def connections() -> Any:
    """Connections against the maximum."""
    return timeseries(
        About(
            "Connections against the maximum",
            "Open connections by database, and `max_connections` of the server.",
            "A database whose connections only grow has a leak; restart the service that holds them.",
        ),
        prom(f"sum by (datname) (pg_stat_database_numbackends{{{DATABASES}}})", "{{datname}}"),
        prom(f"max({MOST_CONNECTIONS})", "maximum"),
        unit=style.COUNT,
    )


def cache_hits() -> Any:
    """How often the database needs its disk."""
    # Counters by nature, but their names lack _total: Prometheus warns of rate() on them, and the panel shows that.
    hit, read = (
        f"sum by (datname) (clamp_min(delta(pg_stat_database_blks_{kind}{{{DATABASES}}}{q.RATE}), 0))"
        for kind in ("hit", "read")
    )
    return timeseries(
        About(
            "Cache hit rate",
            "The part of block reads that PostgreSQL's shared buffers served, by database.",
            "Lastingly below 99 %, the working set does not fit: more shared_buffers, or find the query that reads"
            " all.",
        ),
        prom(f"{hit} / ({hit} + {read} > 0)", "{{datname}}"),
        unit=SHARE,
        high=1,
        interval="1m",
        steps=style.worse_below(0.9, 0.99),
    )


def replication_lag() -> Any:
    """Whether what is read is of the present."""
    lag = q.whole(catalog.REPLICATION_LAG)
    # the last lag that was seen: in an outage of the database a 0 would say that all is well
    shown = f"{lag} > 0 or {lag} and on (job, instance) {q.UP}"
    return timeseries(
        About(
            "Replication lag",
            "How far the server that the exporter reads is behind its primary: 0 on a primary, nothing where the server"
            " does not say. Beyond `database.max_replica_lag`, the log does not count as current.",
            "Run `check`: it says whether replay is paused, slow, or receives nothing. Or let the exporter read the"
            " primary.",
        ),
        prom(q.newest(shown, "instance"), "{{instance}}"),
        unit=SECONDS,
    )


# --- the exporter ---


def collectors() -> Any:
    """Which parts of the scrape succeeded."""
    return state_timeline(
        About(
            "Parts of the scrape",
            "Whether each part of the exporter's scrape succeeded, over time; and whether the log was read and"
            " current.",
            "The exporter's log says once for each change what failed, and what fixes it.",
        ),
        prom(q.newest(q.whole(catalog.COLLECTOR_SUCCESS), "collector"), "{{collector}}"),
        prom(q.newest(q.whole(catalog.LOG_UP), "job"), "log is current"),
        unit=style.PLAIN,
        mappings=style.says({1: ("succeeded", style.GOOD), 0: ("failed", style.BAD)}),
    )


def collector_durations() -> Any:
    """How long the parts take."""
    return timeseries(
        About(
            "Duration of the scrape's parts",
            "How long each part of the scrape took, in the slowest replica; nothing for a part that was not reached.",
            "When the log's part grows with the table, its index on the time is not used: run `check`.",
        ),
        prom(f"{q.newest(q.whole(catalog.COLLECTOR_DURATION), 'collector')} > 0", "{{collector}}"),
        unit=SECONDS,
    )


def freshness() -> Any:
    """How old what is shown is."""
    return timeseries(
        About(
            "Freshness",
            "How long ago the log was last read, and how old its newest row was.",
            "Read lately but old rows: nobody calls models, or the writer has stopped. Not read: see the first panel.",
        ),
        prom(q.age(q.newest(q.whole(catalog.LAST_SUCCESS))), "last read"),
        prom(q.age(q.newest(q.whole(catalog.LOG_NEWEST_ROW))), "newest row"),
        unit=SECONDS,
    )


def rows_read() -> Any:
    """How much the exporter reads."""
    return timeseries(
        About(
            "Rows read per second",
            "Rows of the log that the exporter's reads went over, in scrapes and in the background.",
            "It follows traffic, not the size of the table; much more is a first reading or a gap being caught up.",
        ),
        prom(q.rate(q.whole(catalog.ROWS_READ), "instance"), "{{instance}}"),
        unit=style.COUNT,
    )


def skipped() -> Any:
    """Values that could not be used."""
    values = q.whole(catalog.ROWS_SKIPPED)
    return timeseries(
        About(
            "Values not used, per hour",
            "Values of rows that could not be used in the hour before: all of them, and by field and reason; the rows'"
            " other fields count.",
            "Fix the writer: a negative cost or a missing status is a bug there.",
        ),
        prom(q.hourly(values), "all"),
        prom(f"{q.hourly(values, 'field, reason')} > 0", "{{field}} {{reason}}"),
        unit=style.COUNT,
    )


def late_and_folded() -> Any:
    """Rows that came late, and rows without room."""
    return timeseries(
        About(
            "Late and folded rows, per hour",
            "Rows found after their minutes were closed, and rows counted under `other` since there is no room for"
            " their labels.",
            "Folded rows: raise `max_series`, or find what writes ever new names. Late rows are counted, only later.",
        ),
        prom(q.hourly(q.whole(catalog.LATE_ROWS)), "late"),
        prom(q.hourly(q.whole(catalog.SERIES_FOLDED)), "folded"),
        unit=style.COUNT,
    )


def logins_refused() -> Any:
    """Whether somebody guesses passwords."""
    return timeseries(
        About(
            "Refused logins, per hour",
            "Requests to the exporter's own pages in the hour before that had no name and password, wrong ones, or ones"
            " that were not checked since too many came at once.",
            "The exporter's log says from which addresses they come. A few wrong ones are a scraper with an old"
            " password; thousands are somebody who guesses: keep the port away from their network.",
        ),
        prom(q.hourly(q.whole(catalog.LOGINS_REFUSED), "reason"), "{{reason}}"),
        unit=style.COUNT,
    )


def drift() -> Any:
    """What changed after everything was closed."""
    return stat(
        About(
            "Drift",
            "SQL less the exporter's books for one past day, sampled hourly: what changed after rows were closed for"
            " good. Shown, never applied.",
            "Far from zero, somebody edits old rows: ask who; the past days on Cost show the log as it is now.",
        ),
        prom(q.newest(q.whole(catalog.LEDGER_DRIFT)), instant=True),
        unit=USD,
        decimals=2,
    )


def clock_offset() -> Any:
    """Whether the database and the exporter agree on the time."""
    return stat(
        About(
            "Clock offset",
            "The database's clock less the clock of the exporter's host. A leap is not believed before it has lasted"
            " for five minutes; figures are absent meanwhile.",
            "Beyond a minute, synchronize the clocks of both hosts (NTP).",
        ),
        prom(q.newest(q.whole(catalog.CLOCK_OFFSET)), instant=True),
        unit=SECONDS,
        decimals=1,
    )


def commit_failures() -> Any:
    """Whether what was counted can be kept."""
    return stat(
        About(
            "Failed commits",
            "How often the exporter could not write its state in the last hour. Counters stand still meanwhile.",
            "Look at the state folder: disk full, or no right to write. Red from the first one on.",
        ),
        prom(q.hourly(q.whole(catalog.STATE_COMMIT_FAILURES)), instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
    )


def backfill() -> Any:
    """How far the first reading is."""
    return stat(
        About(
            "Caught up",
            "How much of the first reading of the log, or of a gap, is done. At 100 % the figures are current.",
            "Wait; when it does not rise, the exporter's log says what it waits for.",
        ),
        prom(f"min({q.whole(catalog.BACKFILL_PROGRESS)})", instant=True),
        unit=SHARE,
        decimals=0,
    )


def routes_enabled() -> Any:
    """How many routes are on."""
    return stat(
        About(
            "Routes enabled",
            "How many operations' routes are enabled; only where the database has that table.",
            "The table of registered operations names those that are not.",
        ),
        prom(f"sum({q.newest(q.whole(catalog.ROUTE_ENABLED), 'operation')})", instant=True),
        unit=style.PLAIN,
        decimals=0,
    )


def versions() -> Any:
    """What runs."""
    return stat(
        About(
            "Replicas by version",
            "How many replicas of the exporter run in which version.",
            "Two versions for long is an upgrade that stopped halfway.",
        ),
        prom(f"count by (version) ({q.whole(catalog.BUILD_INFO)})", "{{version}}", instant=True),
        unit=style.PLAIN,
        named=True,
    )
