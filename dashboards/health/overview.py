"""The first row of Health: whether figures can be trusted, what fires, and what failed last."""

from dashboards import promql as q
from dashboards import sql, style
from dashboards.alerts import FIRING, AlertLine
from dashboards.base import CELL, COST, PERFORMANCE, to_dashboard
from dashboards.calls import NO_RULES, SEVERITIES, alerts_firing, calls_table, figures, worst_model
from dashboards.grid import TILE, Row, line
from dashboards.health.database import connections, max_connections
from dashboards.panels import Panel, column, link, only, stat, state_timeline, table
from dashboards.promql import PROJECT_ALERTS, prom
from dashboards.settings import Settings
from dashboards.style import SHARE


def row(settings: Settings) -> Row:
    """The row."""
    worst = worst_model(
        "The error log below has the messages. Check the provider's status page; use the fallback while it is down.",
        settings.alerts.error_rate,
    )
    firing = alerts_firing(settings, "Alerts firing", "The table below lists them, the worst first.", tuple(SEVERITIES))
    state = figures(settings), firing, worst
    shares = _success_rate(settings.alerts.error_rate), _api_availability(settings), _connections_used(settings)
    return Row(
        "",
        (
            line(TILE, *state),
            line(TILE, *shares),
            line(8, _alerts_now(settings), _alert_history(), widths=(15, 9)),
            line(9, _error_log()),
        ),
    )


def _success_rate(error_rate: AlertLine) -> Panel:
    succeeding = error_rate.complement
    note = succeeding.note("Red below {value}, the threshold of {alert}, which looks at five minutes of an operation.")
    return stat(
        "Success, hour",
        f"The share of calls in the past hour that succeeded.{note}",
        "The error log below shows the messages; Performance shows the operation and the class of error.",
        prom(q.or_no_calls(f"1 - {q.hourly_ratio(q.FAILED, q.CALLS)}"), instant=True),
        mappings=style.not_set(style.NO_CALLS),
        unit=SHARE,
        decimals=1,
        steps=succeeding.below(),
    )


def _api_availability(settings: Settings) -> Panel:
    return stat(
        "API, past hour",
        "The share of probes of your API that were answered in the past hour, by blackbox_exporter. “Not set up” means"
        " that Prometheus probes none: set `API_HEALTH_URL`, or build the dashboards with `--api-job`.",
        "Probe history, below, shows which target fails: see its provider's status page.",
        prom(f"avg(avg_over_time({probes(settings)}[1h]))", instant=True),
        unit=SHARE,
        decimals=1,
        steps=style.worse_below(0.95, 0.999),
        empty=style.NOT_THERE,
    )


def probes(settings: Settings) -> str:
    """A selector for what blackbox_exporter says of the user's API, and not of the monitoring's own pages."""
    return f'probe_success{{job=~"{settings.api_job}", instance!~".*/-/(healthy|ready)"}}'


def _connections_used(settings: Settings) -> Panel:
    job = settings.postgres_job
    return stat(
        "Connections",
        "Open connections as a share of `max_connections`, on the server where it is highest. From postgres_exporter.",
        "Near 100%, the server refuses new connections, the exporter's too: look for a leak, or use a pooler.",
        prom(
            f"max({connections(job)} / on (job, instance) {max_connections(job)})"
            f' or (0 * max(pg_up{{job=~"{job}"}} == 0) - 1)',
            instant=True,
        ),
        mappings=style.value_mappings({style.NOT_SET: ("Not reached", style.BAD)}),
        unit=SHARE,
        decimals=0,
        steps=style.worse_above(0.8, 0.95),
        empty=style.NOT_THERE,
    )


def _alerts_now(settings: Settings) -> Panel:
    severities = {str(rank): each for rank, each in enumerate(SEVERITIES.items(), 1)}
    listed = settings.alerts.counted()
    for rank, (severity, _) in severities.items():
        listed = f'label_replace({listed}, "rank", "{rank}", "severity", "{severity}")'
    since = f"1000 * ({listed} * ignoring (alertstate, rank) group_left () ALERTS_FOR_STATE)"
    # a phone shows the left columns
    names = {"rank": "Severity", "alertname": "Alert", "about": "What", "Value": "Since"}
    names |= {"alertstate": "State", "rung": "Rung", "reason": "Reason"}
    chosen = ("operation", "model", "user")
    for label in chosen:
        since = _or_all(since, label)
    names |= {f"{label}_or_all": f"{label}_or_all" for label in chosen}
    operation, model, user = (f"${{__data.fields.{label}_or_all}}" for label in chosen)
    links = [link("Runbook", f"{settings.runbooks.rstrip('/')}/{CELL}.md")] if settings.runbooks else []
    links += [
        link("Narrow Performance to it", to_dashboard(PERFORMANCE, operation=operation, model=model)),
        link("Narrow Cost to it", to_dashboard(COST, operation=operation, model=model, user=user)),
    ]
    return table(
        "Alerts now",
        "What is wrong now, the worst first: alerts that are pending or firing, what they are about, and since when.",
        "Click the alert to see its figures. Open the runbook of its name, in docs/runbooks: it covers meaning, impact,"
        " diagnosis and mitigation.",
        prom(_about(q.named(since, f"ALERTS{{{q.PROBLEMS}}}")), table=True),
        transformations=only(names),
        sort="Severity",
        rising=True,
        empty="No alert is pending or firing",
        columns=[
            column("Severity", width=76, colored=True, mappings=style.value_mappings(severities)),
            # no links from the cells to the right: many are empty, and Grafana would draw a link there, too
            column("Alert", min_width=160, links=links),
            column("What", min_width=112),
            column("Since", unit=style.SINCE, width=124, left=True),
            # a colour says how bad something is: that is the severity's
            column("State", width=72),
            column("Rung", width=55),
            column("Reason", width=90),
            *(column(f"{label}_or_all", hidden=True) for label in chosen),
        ],
    )


def _about(alerts: str) -> str:
    """Alerts with what they are about in the label `about`: an operation, a model, `user Anna`, `team`."""
    called = f'label_replace({alerts}, "name", "$1", "group", "(.+)")'
    joined = f'label_join({called}, "about", " ", "operation", "model", "scope", "name")'
    for pattern in (" *(.*[^ ]) *", " *()"):
        joined = f'label_replace({joined}, "about", "$1", "about", "{pattern}")'
    return joined


def _or_all(alerts: str, label: str) -> str:
    """Alerts with what a page is to be narrowed to by a label: its value, or else everything."""
    copied = f'label_replace({alerts}, "{label}_or_all", "$1", "{label}", "(.+)")'
    return f'label_replace({copied}, "{label}_or_all", "All", "{label}_or_all", "")'


def _alert_history() -> Panel:
    worse = {"critical": 4, "warning": 3, "info": 2}
    lasted = f'max_over_time(ALERTS{{{FIRING}, {q.PROBLEMS}, severity="%s"}}{q.STEP})'
    firing = " or ".join(f"max by (alertname) ({rank} * {lasted % severity})" for severity, rank in worse.items())
    pending = f'max by (alertname) (max_over_time(ALERTS{{alertstate="pending", {q.PROBLEMS}}}{q.STEP}))'
    quiet = f'label_replace(0 * max(ALERTS{{{PROJECT_ALERTS}, severity="none"}}), "alertname", "all is well", "", "")'
    states = {
        0: ("all is well", style.GOOD),
        1: ("pending", "yellow"),
        2: ("info", style.CALM),
        3: ("warning", style.WARN),
        4: ("critical", style.BAD),
    }
    return state_timeline(
        "Alert history",
        "When each alert was pending or firing in the time range, in the colour of its severity.",
        "Alerts at the same hours each day point to load. One that began with a release points to the release.",
        prom(f"{firing} or {pending} or ({quiet} unless on () ({firing} or {pending}))", "{{alertname}}"),
        mappings=style.value_mappings(states),
        empty=NO_RULES,
    )


def _error_log() -> Panel:
    return calls_table(
        "Error log",
        "The newest failed calls of the time range, from the log, without prompts and answers.",
        "The same message many times is one cause: search for it in the provider's documentation and status page.",
        sql.rows(
            ("operation", "model"),
            "outcome IN ('failed', 'timeout')",
            columns=(sql.TIME, sql.MESSAGE, sql.OPERATION, sql.MODEL, sql.USER, sql.LATENCY, sql.ID),
        ),
        empty="No call has failed. With a red mark: not read",
    )
