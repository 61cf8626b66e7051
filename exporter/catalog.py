"""Every metric that is exposed: name, type, unit, labels, help. The only place where these names are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

USD = 10**12
"""Units of money in one dollar. Sums of whole units are exact, and their order cannot matter."""

SECOND = 10**6
"""Units of latency in one second."""

ErrorClassName = Literal["timeout", "rate_limit", "auth", "context_length", "content_filter", "provider", "network"]

ERROR_CLASSES: tuple[str, ...] = (*get_args(ErrorClassName), "other")
"""Every class that a failed call can have; the last one is of messages that no pattern recognizes."""

USUAL_OPERATIONS = tuple(
    """
    email-compose email-classify email-respond calendar-prep calendar-time task-prioritize task-breakdown
    analytics-summary analytics-anomaly
    """.split()
)
"""The operations that are expected where the configuration names none."""

LATENCY_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Upper edges of the latency buckets in seconds; a last bucket without an edge follows."""

FIRST_TOKEN_EDGES = (0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper edges of the buckets of times to the first token in seconds; a last bucket without an edge follows."""

Kind = Literal["counter", "gauge", "histogram"]

SERIES = ("operation", "model")


@dataclass(frozen=True)
class Metric:
    """One metric family, see `counter`, `gauge` and `histogram`. `edges` are a histogram's finite upper edges."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    edges: tuple[float, ...] = ()


_UNITS = ("seconds", "usd", "tokens", "ratio", "bytes")


def _unit(name: str) -> str:
    """What a metric is in, as the end of its name says; empty for a number of things."""
    return next((unit for unit in _UNITS if name.removesuffix("_total").endswith(f"_{unit}")), "")


def counter(name: str, labels: tuple[str, ...], help: str) -> Metric:  # noqa: A002
    """What only rises; its name ends with `_total`."""
    return Metric(name, "counter", labels, help, _unit(name))


def gauge(name: str, labels: tuple[str, ...], help: str) -> Metric:  # noqa: A002
    """What rises and falls."""
    return Metric(name, "gauge", labels, help, _unit(name))


def histogram(name: str, labels: tuple[str, ...], help: str, edges: tuple[float, ...]) -> Metric:  # noqa: A002
    """Durations by how long they are."""
    return Metric(name, "histogram", labels, help, _unit(name), edges)


OPERATIONS = counter(
    "ai_operations_total",
    SERIES,
    "LLM calls that ended, whatever their outcome. Each minute counts the most calls that it ever held at once: after "
    "rows of a minute are deleted, later rows of that minute count only beyond that.",
)
FAILURES = counter(
    "ai_operation_failures_total",
    (*SERIES, "error_class"),
    "LLM calls that failed, by class of error; every class exists at 0 from the start.",
)
COST = counter("ai_operation_cost_usd_total", SERIES, "Cost of LLM calls, as logged; refunds are not taken off.")
REFUNDS = counter(
    "ai_operation_refunds_usd_total",
    SERIES,
    "Money that was refunded: amounts below 0 in the log. Gauges of spend are what is left of the cost.",
)
INPUT_TOKENS = counter("ai_operation_input_tokens_total", SERIES, "Tokens sent to models.")
OUTPUT_TOKENS = counter("ai_operation_output_tokens_total", SERIES, "Tokens received from models.")
LATENCY = histogram(
    "ai_operation_latency_seconds", SERIES, "Duration of LLM calls that ended and have one.", LATENCY_EDGES
)
TIME_TO_FIRST_TOKEN = histogram(
    "ai_operation_time_to_first_token_seconds",
    SERIES,
    "Time from the start of LLM calls to the first token of their answers, of calls that ended and have one. "
    "Absent if the log does not have it.",
    FIRST_TOKEN_EDGES,
)
OVER_TIMEOUT = counter(
    "ai_operations_over_timeout_total",
    SERIES,
    "LLM calls that took at least their model's timeout, or failed with class timeout.",
)
FALLBACKS = counter(
    "ai_operation_fallbacks_total",
    SERIES,
    "LLM calls that another model than the primary one of the operation's route has served.",
)
UNPRICED = counter(
    "ai_operations_unpriced_total",
    SERIES,
    "LLM calls with tokens but without a cost, for models not listed as free; counted a quarter of an hour late.",
)
CACHED_TOKENS = counter(
    "ai_operation_cached_tokens_total",
    SERIES,
    "Tokens sent to models that these had cached; 0 where the log does not tell.",
)
EXPECTED_COST = counter(
    "ai_operation_expected_cost_usd_total",
    SERIES,
    "What the checked calls cost by the price list: tokens times the price at their time. "
    "Counted a quarter of an hour late.",
)
CHECKED_COST = counter(
    "ai_operation_checked_cost_usd_total",
    SERIES,
    "Cost of the checked calls, as logged, to compare with their expected cost.",
)
CHECKED = counter(
    "ai_operations_checked_total",
    SERIES,
    "LLM calls whose cost is checked: they ended well or have a cost, they have input tokens, and the price list has "
    "their model.",
)
PRICE_UNKNOWN = counter(
    "ai_operations_price_unknown_total",
    SERIES,
    "LLM calls whose cost could be checked, if the price list had their model.",
)
COST_CORRECTIONS = gauge(
    "ai_operation_cost_corrections_usd",
    SERIES,
    "Money in the cost counter, less that of refunds, that deleted or edited rows have taken back.",
)
ROWS_SKIPPED = counter(
    "ai_rows_skipped_total",
    ("field", "reason"),
    "Values that could not be used; the other fields of their rows still count.",
)
SPEND_TODAY = gauge("ai_spend_today_usd", SERIES, "Cost of the present calendar day in the budget's time zone.")
SPEND_MONTH = gauge("ai_spend_month_usd", SERIES, "Cost of the present calendar month in the budget's time zone.")
WINDOW_START = gauge(
    "ai_spend_window_start_timestamp_seconds", ("window",), "Start of the calendar day or month that the spend is of."
)
WINDOW_END = gauge(
    "ai_spend_window_end_timestamp_seconds", ("window",), "End of the calendar day or month that the spend is of."
)
SPEND_ANOMALY = gauge(
    "ai_spend_anomaly_usd",
    ("operation",),
    "By how much the current clock hour of an operation, or the one before it, costs more than usual if that is odd, "
    "else 0. Like the other anomalies, absent until two weeks of history are known.",
)
SPEND_USUAL = gauge("ai_spend_usual_usd", ("operation",), "What the hour that the anomaly is about usually costs.")
SPEND_ANOMALY_START = gauge(
    "ai_spend_anomaly_start_timestamp_seconds",
    ("operation",),
    "Start of the first of the odd hours in a row, while the spend of the operation is odd.",
)
SPEND_ANOMALY_FACTOR = gauge(
    "ai_spend_anomaly_factor_ratio",
    ("operation", "model", "factor"),
    "Calls, tokens per call and price per token as multiples of the usual, for the model that makes the spend of an "
    "operation odd.",
)
CALLS_ANOMALY = gauge(
    "ai_calls_anomaly",
    ("operation",),
    "By how many the LLM calls in the hour of an operation are above the usual if that is odd, else 0.",
)
LATENCY_ANOMALY = gauge(
    "ai_latency_anomaly_seconds",
    ("operation",),
    "By how much the mean duration of the hour's LLM calls is above the usual if that is odd, else 0.",
)
ERROR_RATE_ANOMALY = gauge(
    "ai_error_rate_anomaly_ratio",
    ("operation",),
    "By how much the share of the hour's LLM calls that failed is above the usual if that is odd, else 0.",
)
COST_PER_CALL_ANOMALY = gauge(
    "ai_cost_per_call_anomaly_usd",
    ("operation",),
    "By how much the mean cost of the hour's LLM calls is above the usual if that is odd, else 0.",
)
TOKENS_PER_CALL_ANOMALY = gauge(
    "ai_tokens_per_call_anomaly",
    ("operation",),
    "By how much the mean number of tokens of the hour's LLM calls is above the usual if that is odd, else 0.",
)
USER_SPEND_TODAY = gauge(
    "ai_user_spend_today_usd", ("user",), "Cost of the present calendar day by user, from the log."
)
USER_INFO = gauge(
    "ai_user_info",
    ("user", "name"),
    "What a user that is shown is called, as `users.names` in the configuration says; always 1. Absent without names.",
)
USER_DAILY_LIMIT = gauge("ai_user_daily_limit_usd", ("user",), "Daily limit of users that have one and are shown.")
GROUP_SPEND_TODAY = gauge(
    "ai_group_spend_today_usd",
    ("group",),
    "Cost of the present calendar day by group, such as the team; absent if the log has no groups.",
)
GROUP_DAILY_LIMIT = gauge("ai_group_daily_limit_usd", ("group",), "Daily limit of groups that have one and are shown.")
SPEND_FORECAST = gauge(
    "ai_spend_forecast_usd",
    ("window", "bound"),
    "Expected cost of the present calendar day or month at its end, and the bounds between which four of five should "
    "end. Absent until four whole days of the log are known.",
)
LIMIT_REACHED = gauge(
    "ai_spend_limit_reached_timestamp_seconds",
    ("window",),
    "When the cost of the present calendar day or month is expected to exceed the team's limit; the present moment "
    "once it does. Absent if that is not expected.",
)
USER_SPEND_FORECAST = gauge(
    "ai_user_spend_forecast_usd",
    ("user",),
    "Expected cost of the present calendar day at its end, for users that are shown and have a history.",
)
USER_LIMIT_REACHED = gauge(
    "ai_user_limit_reached_timestamp_seconds",
    ("user",),
    "When a user is expected to exceed their daily limit; the present moment once they do. Absent if that is not "
    "expected.",
)
BUDGET_USERS = gauge("ai_budget_users", ("state",), "Users by the state of their daily budget, shown or not.")
BUDGET_GROUPS = gauge(
    "ai_budget_groups",
    ("state",),
    "Groups by the state of their daily budget, shown or not; absent where none has a limit.",
)
DAILY_LIMIT = gauge("ai_daily_limit_usd", (), "The team's own daily limit.")
MONTHLY_LIMIT = gauge("ai_monthly_limit_usd", (), "The team's own monthly limit.")
PERIOD_LIMIT = gauge(
    "ai_budget_limit_usd",
    ("user", "group", "period"),
    "Limit of budgets with a period: of users and groups that are shown and, where both are empty, of the team.",
)
PERIOD_SOFT_LIMIT = gauge(
    "ai_budget_soft_limit_usd",
    ("user", "group", "period"),
    "Soft limit of budgets with a period, which only warns; absent where none is set.",
)
PERIOD_SPEND = gauge(
    "ai_budget_spend_usd",
    ("user", "group", "period"),
    "Cost since the start of a budget's present period, from the log.",
)
PERIOD_RESET = gauge(
    "ai_budget_reset_timestamp_seconds", ("user", "group", "period"), "When the present period of a budget ends."
)
PERIOD_USERS = gauge(
    "ai_budget_period_users", ("period", "state"), "Users by the state of their budget with a period, shown or not."
)
RECORDED_SPEND_TODAY = gauge(
    "ai_budget_recorded_spend_today_usd",
    (),
    "What the budgets table believes was spent today, to compare with the log.",
)
IN_PROGRESS = gauge("ai_operations_in_progress", ("status",), "LLM calls that have not ended.")
OLDEST_IN_PROGRESS = gauge(
    "ai_oldest_in_progress_timestamp_seconds", ("status",), "Start of the oldest LLM call that has not ended."
)
APPROVALS_PENDING = gauge("ai_approvals_pending", (), "Approvals that are pending.")
RECOMMENDATIONS = gauge("ai_recommendations", ("type", "status"), "Recommendations by type and approval status.")
RECOMMENDATION_SAVINGS = gauge(
    "ai_recommendations_savings_usd",
    ("type",),
    "Estimated savings of pending recommendations, as the table has them; those that recommend wrote are for a day.",
)
ROUTE_INFO = gauge(
    "ai_model_route_info",
    ("operation", "primary_model", "fallback_model"),
    "Models of an operation's route, as the log spells them; always 1.",
)
ROUTE_ENABLED = gauge("ai_model_route_enabled", ("operation",), "Whether an operation's route is enabled.")
OPERATION_LAST_SEEN = gauge(
    "ai_operation_last_seen_timestamp_seconds", ("operation",), "Time of an operation's newest row."
)
MODEL_LAST_SUCCESS = gauge("ai_model_last_success_timestamp_seconds", ("model",), "Time of a model's newest success.")
MODEL_TIMEOUT = gauge("ai_model_timeout_seconds", ("model",), "Timeout of calls to a model, from the configuration.")
LOG_UP = gauge(
    "ai_operation_log_up",
    (),
    "Whether the log was read in this scrape, with every row visible, and the figures are current.",
)
LOG_NEWEST_ROW = gauge("ai_operation_log_newest_row_timestamp_seconds", (), "Time of the newest row that was read.")
COLLECTOR_SUCCESS = gauge(
    "ai_exporter_collector_success",
    ("collector",),
    "Whether a collector succeeded in this scrape; of an optional table, in its last read.",
)
COLLECTOR_DURATION = gauge(
    "ai_exporter_collector_duration_seconds",
    ("collector",),
    "How long a collector took in this scrape; of an optional table, in its last read.",
)
LAST_SUCCESS = gauge(
    "ai_exporter_last_success_timestamp_seconds", (), "When the log was last read by a scrape, by the database's clock."
)
BACKFILL_PROGRESS = gauge(
    "ai_exporter_backfill_progress_ratio", (), "How much of the first reading, a gap or changed settings is done."
)
LEDGER_DRIFT = gauge(
    "ai_exporter_ledger_drift_usd",
    (),
    "SQL less the ledger for one past day, sampled hourly; what changed after the horizon.",
)
CLOCK_OFFSET = gauge(
    "ai_exporter_database_clock_offset_seconds",
    (),
    "The database's clock, as last read, less the clock of the exporter's host.",
)
REPLICATION_LAG = gauge(
    "ai_exporter_replication_lag_seconds",
    (),
    "How far the database's server is behind its primary, as last read; 0 on a primary, absent where it does not say.",
)
ROWS_READ = counter("ai_exporter_rows_read_total", (), "Rows that reads of the log went over.")
LATE_ROWS = counter("ai_exporter_late_rows_total", (), "Rows found in slices that were closed already.")
SERIES_FOLDED = counter(
    "ai_exporter_series_folded_total", ("label",), "Rows counted under other since there is no room for their labels."
)
STATE_COMMIT_FAILURES = counter("ai_exporter_state_commit_failures_total", (), "Commits of the state that failed.")
LOGINS_REFUSED = counter(
    "ai_exporter_web_logins_refused_total",
    ("reason",),
    "Requests to the exporter's own pages that were refused for their name and password.",
)
BUILD_INFO = gauge("ai_exporter_build_info", ("version", "python"), "Version of the exporter and of Python; always 1.")

ALL: Mapping[str, Metric] = {metric.name: metric for metric in tuple(globals().values()) if isinstance(metric, Metric)}
"""The catalog by name, in the order above."""

STANDARD: tuple[Metric, ...] = (
    gauge("process_virtual_memory_bytes", (), "Virtual memory size in bytes."),
    gauge("process_resident_memory_bytes", (), "Resident memory size in bytes."),
    gauge("process_start_time_seconds", (), "Start time of the process since unix epoch in seconds."),
    counter("process_cpu_seconds_total", (), "Total user and system CPU time spent in seconds."),
    gauge("process_open_fds", (), "Number of open file descriptors."),
    gauge("process_max_fds", (), "Maximum number of open file descriptors."),
    gauge("python_info", ("version", "implementation", "major", "minor", "patchlevel"), "Python platform information"),
    counter("python_gc_objects_collected_total", ("generation",), "Objects collected during gc"),
    counter("python_gc_objects_uncollectable_total", ("generation",), "Uncollectable objects found during GC"),
    counter("python_gc_collections_total", ("generation",), "Number of times this generation was collected"),
)
"""Metrics of the process, which prometheus_client makes and names. Their counters start again with the process."""

USER_NAMES = "user_names"
"""The collector of users' names, and what stands for their table in `tables.accept_unproven`."""

COLLECTORS = ("log", "budgets", "routes", "recommendations", "approvals", USER_NAMES)
"""The parts of a scrape, as the label `collector` names them."""

GROUP_BUDGETS = "group_budgets"
"""One more, where the configuration names its table."""
