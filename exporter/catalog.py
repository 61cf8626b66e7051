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

LATENCY_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Upper edges of the latency buckets in seconds; a last bucket without an edge follows."""

FIRST_TOKEN_EDGES = (0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper edges of the buckets of times to the first token in seconds; a last bucket without an edge follows."""

Kind = Literal["counter", "gauge", "histogram"]

SERIES = ("operation", "model")


@dataclass(frozen=True)
class Metric:
    """One metric family. Counters are named with their `_total`; `edges` are a histogram's finite upper edges."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    edges: tuple[float, ...] = ()


OPERATIONS = Metric(
    "ai_operations_total",
    "counter",
    SERIES,
    "LLM calls that ended, whatever their outcome. Each minute counts the most calls that it ever held at once: after "
    "rows of a minute are deleted, later rows of that minute count only beyond that.",
)
FAILURES = Metric(
    "ai_operation_failures_total",
    "counter",
    (*SERIES, "error_class"),
    "LLM calls that failed, by class of error; every class exists at 0 from the start.",
)
COST = Metric(
    "ai_operation_cost_usd_total", "counter", SERIES, "Cost of LLM calls, as logged; refunds are not taken off.", "usd"
)
REFUNDS = Metric(
    "ai_operation_refunds_usd_total",
    "counter",
    SERIES,
    "Money that was refunded: amounts below 0 in the log. Gauges of spend are what is left of the cost.",
    "usd",
)
INPUT_TOKENS = Metric("ai_operation_input_tokens_total", "counter", SERIES, "Tokens sent to models.", "tokens")
OUTPUT_TOKENS = Metric("ai_operation_output_tokens_total", "counter", SERIES, "Tokens received from models.", "tokens")
LATENCY = Metric(
    "ai_operation_latency_seconds",
    "histogram",
    SERIES,
    "Duration of LLM calls that ended and have one.",
    "seconds",
    LATENCY_EDGES,
)
TIME_TO_FIRST_TOKEN = Metric(
    "ai_operation_time_to_first_token_seconds",
    "histogram",
    SERIES,
    "Time from the start of LLM calls to the first token of their answers, of calls that ended and have one. "
    "Absent if the log does not have it.",
    "seconds",
    FIRST_TOKEN_EDGES,
)
OVER_TIMEOUT = Metric(
    "ai_operations_over_timeout_total",
    "counter",
    SERIES,
    "LLM calls that took at least their model's timeout, or failed with class timeout.",
)
FALLBACKS = Metric(
    "ai_operation_fallbacks_total",
    "counter",
    SERIES,
    "LLM calls that another model than the primary one of the operation's route has served.",
)
UNPRICED = Metric(
    "ai_operations_unpriced_total",
    "counter",
    SERIES,
    "LLM calls with tokens but without a cost, for models not listed as free; counted a quarter of an hour late.",
)
CACHED_TOKENS = Metric(
    "ai_operation_cached_tokens_total",
    "counter",
    SERIES,
    "Tokens sent to models that these had cached; 0 where the log does not tell.",
    "tokens",
)
EXPECTED_COST = Metric(
    "ai_operation_expected_cost_usd_total",
    "counter",
    SERIES,
    "What the checked calls cost by the price list: tokens times the price at their time. "
    "Counted a quarter of an hour late.",
    "usd",
)
CHECKED_COST = Metric(
    "ai_operation_checked_cost_usd_total",
    "counter",
    SERIES,
    "Cost of the checked calls, as logged, to compare with their expected cost.",
    "usd",
)
CHECKED = Metric(
    "ai_operations_checked_total",
    "counter",
    SERIES,
    "LLM calls whose cost is checked: they ended well or have a cost, they have input tokens, and the price list has "
    "their model.",
)
PRICE_UNKNOWN = Metric(
    "ai_operations_price_unknown_total",
    "counter",
    SERIES,
    "LLM calls whose cost could be checked, if the price list had their model.",
)
COST_CORRECTIONS = Metric(
    "ai_operation_cost_corrections_usd",
    "gauge",
    SERIES,
    "Money in the cost counter, less that of refunds, that deleted or edited rows have taken back.",
    "usd",
)
ROWS_SKIPPED = Metric(
    "ai_rows_skipped_total",
    "counter",
    ("field", "reason"),
    "Values that could not be used; the other fields of their rows still count.",
)
SPEND_TODAY = Metric(
    "ai_spend_today_usd", "gauge", SERIES, "Cost of the present calendar day in the budget's time zone.", "usd"
)
SPEND_MONTH = Metric(
    "ai_spend_month_usd", "gauge", SERIES, "Cost of the present calendar month in the budget's time zone.", "usd"
)
WINDOW_START = Metric(
    "ai_spend_window_start_timestamp_seconds",
    "gauge",
    ("window",),
    "Start of the calendar day or month that the spend is of.",
    "seconds",
)
WINDOW_END = Metric(
    "ai_spend_window_end_timestamp_seconds",
    "gauge",
    ("window",),
    "End of the calendar day or month that the spend is of.",
    "seconds",
)
SPEND_ANOMALY = Metric(
    "ai_spend_anomaly_usd",
    "gauge",
    ("operation",),
    "By how much the current clock hour of an operation, or the one before it, costs more than usual if that is odd, "
    "else 0. Like the other anomalies, absent until two weeks of history are known.",
    "usd",
)
SPEND_USUAL = Metric(
    "ai_spend_usual_usd", "gauge", ("operation",), "What the hour that the anomaly is about usually costs.", "usd"
)
SPEND_ANOMALY_START = Metric(
    "ai_spend_anomaly_start_timestamp_seconds",
    "gauge",
    ("operation",),
    "Start of the first of the odd hours in a row, while the spend of the operation is odd.",
    "seconds",
)
SPEND_ANOMALY_FACTOR = Metric(
    "ai_spend_anomaly_factor_ratio",
    "gauge",
    ("operation", "model", "factor"),
    "Calls, tokens per call and price per token as multiples of the usual, for the model that makes the spend of an "
    "operation odd.",
    "ratio",
)
CALLS_ANOMALY = Metric(
    "ai_calls_anomaly",
    "gauge",
    ("operation",),
    "By how many the LLM calls in the hour of an operation are above the usual if that is odd, else 0.",
)
LATENCY_ANOMALY = Metric(
    "ai_latency_anomaly_seconds",
    "gauge",
    ("operation",),
    "By how much the mean duration of the hour's LLM calls is above the usual if that is odd, else 0.",
    "seconds",
)
ERROR_RATE_ANOMALY = Metric(
    "ai_error_rate_anomaly_ratio",
    "gauge",
    ("operation",),
    "By how much the share of the hour's LLM calls that failed is above the usual if that is odd, else 0.",
    "ratio",
)
COST_PER_CALL_ANOMALY = Metric(
    "ai_cost_per_call_anomaly_usd",
    "gauge",
    ("operation",),
    "By how much the mean cost of the hour's LLM calls is above the usual if that is odd, else 0.",
    "usd",
)
TOKENS_PER_CALL_ANOMALY = Metric(
    "ai_tokens_per_call_anomaly",
    "gauge",
    ("operation",),
    "By how much the mean number of tokens of the hour's LLM calls is above the usual if that is odd, else 0.",
)
USER_SPEND_TODAY = Metric(
    "ai_user_spend_today_usd", "gauge", ("user",), "Cost of the present calendar day by user, from the log.", "usd"
)
USER_INFO = Metric(
    "ai_user_info",
    "gauge",
    ("user", "name"),
    "What a user that is shown is called, as `users.names` in the configuration says; always 1. Absent without names.",
)
USER_DAILY_LIMIT = Metric(
    "ai_user_daily_limit_usd", "gauge", ("user",), "Daily limit of users that have one and are shown.", "usd"
)
GROUP_SPEND_TODAY = Metric(
    "ai_group_spend_today_usd",
    "gauge",
    ("group",),
    "Cost of the present calendar day by group, such as the team; absent if the log has no groups.",
    "usd",
)
GROUP_DAILY_LIMIT = Metric(
    "ai_group_daily_limit_usd", "gauge", ("group",), "Daily limit of groups that have one and are shown.", "usd"
)
SPEND_FORECAST = Metric(
    "ai_spend_forecast_usd",
    "gauge",
    ("window", "bound"),
    "Expected cost of the present calendar day or month at its end, and the bounds between which four of five should "
    "end. Absent until four whole days of the log are known.",
    "usd",
)
LIMIT_REACHED = Metric(
    "ai_spend_limit_reached_timestamp_seconds",
    "gauge",
    ("window",),
    "When the cost of the present calendar day or month is expected to exceed the team's limit; the present moment "
    "once it does. Absent if that is not expected.",
    "seconds",
)
USER_SPEND_FORECAST = Metric(
    "ai_user_spend_forecast_usd",
    "gauge",
    ("user",),
    "Expected cost of the present calendar day at its end, for users that are shown and have a history.",
    "usd",
)
USER_LIMIT_REACHED = Metric(
    "ai_user_limit_reached_timestamp_seconds",
    "gauge",
    ("user",),
    "When a user is expected to exceed their daily limit; the present moment once they do. Absent if that is not "
    "expected.",
    "seconds",
)
BUDGET_USERS = Metric("ai_budget_users", "gauge", ("state",), "Users by the state of their daily budget, shown or not.")
BUDGET_GROUPS = Metric(
    "ai_budget_groups",
    "gauge",
    ("state",),
    "Groups by the state of their daily budget, shown or not; absent where none has a limit.",
)
DAILY_LIMIT = Metric("ai_daily_limit_usd", "gauge", (), "The team's own daily limit.", "usd")
MONTHLY_LIMIT = Metric("ai_monthly_limit_usd", "gauge", (), "The team's own monthly limit.", "usd")
PERIOD_LIMIT = Metric(
    "ai_budget_limit_usd",
    "gauge",
    ("user", "group", "period"),
    "Limit of budgets with a period: of users and groups that are shown and, where both are empty, of the team.",
    "usd",
)
PERIOD_SOFT_LIMIT = Metric(
    "ai_budget_soft_limit_usd",
    "gauge",
    ("user", "group", "period"),
    "Soft limit of budgets with a period, which only warns; absent where none is set.",
    "usd",
)
PERIOD_SPEND = Metric(
    "ai_budget_spend_usd",
    "gauge",
    ("user", "group", "period"),
    "Cost since the start of a budget's present period, from the log.",
    "usd",
)
PERIOD_RESET = Metric(
    "ai_budget_reset_timestamp_seconds",
    "gauge",
    ("user", "group", "period"),
    "When the present period of a budget ends.",
    "seconds",
)
PERIOD_USERS = Metric(
    "ai_budget_period_users",
    "gauge",
    ("period", "state"),
    "Users by the state of their budget with a period, shown or not.",
)
RECORDED_SPEND_TODAY = Metric(
    "ai_budget_recorded_spend_today_usd",
    "gauge",
    (),
    "What the budgets table believes was spent today, to compare with the log.",
    "usd",
)
IN_PROGRESS = Metric("ai_operations_in_progress", "gauge", ("status",), "LLM calls that have not ended.")
OLDEST_IN_PROGRESS = Metric(
    "ai_oldest_in_progress_timestamp_seconds",
    "gauge",
    ("status",),
    "Start of the oldest LLM call that has not ended.",
    "seconds",
)
APPROVALS_PENDING = Metric("ai_approvals_pending", "gauge", (), "Approvals that are pending.")
RECOMMENDATIONS = Metric(
    "ai_recommendations", "gauge", ("type", "status"), "Recommendations by type and approval status."
)
RECOMMENDATION_SAVINGS = Metric(
    "ai_recommendations_savings_usd",
    "gauge",
    ("type",),
    "Estimated savings of pending recommendations, as the table has them; those that recommend wrote are for a day.",
    "usd",
)
ROUTE_INFO = Metric(
    "ai_model_route_info",
    "gauge",
    ("operation", "primary_model", "fallback_model"),
    "Models of an operation's route, as the log spells them; always 1.",
)
ROUTE_ENABLED = Metric("ai_model_route_enabled", "gauge", ("operation",), "Whether an operation's route is enabled.")
OPERATION_LAST_SEEN = Metric(
    "ai_operation_last_seen_timestamp_seconds", "gauge", ("operation",), "Time of an operation's newest row.", "seconds"
)
MODEL_LAST_SUCCESS = Metric(
    "ai_model_last_success_timestamp_seconds", "gauge", ("model",), "Time of a model's newest success.", "seconds"
)
MODEL_TIMEOUT = Metric(
    "ai_model_timeout_seconds", "gauge", ("model",), "Timeout of calls to a model, from the configuration.", "seconds"
)
LOG_UP = Metric(
    "ai_operation_log_up",
    "gauge",
    (),
    "Whether the log was read in this scrape, with every row visible, and the figures are current.",
)
LOG_NEWEST_ROW = Metric(
    "ai_operation_log_newest_row_timestamp_seconds", "gauge", (), "Time of the newest row that was read.", "seconds"
)
COLLECTOR_SUCCESS = Metric(
    "ai_exporter_collector_success",
    "gauge",
    ("collector",),
    "Whether a collector succeeded in this scrape; of an optional table, in its last read.",
)
COLLECTOR_DURATION = Metric(
    "ai_exporter_collector_duration_seconds",
    "gauge",
    ("collector",),
    "How long a collector took in this scrape; of an optional table, in its last read.",
    "seconds",
)
LAST_SUCCESS = Metric(
    "ai_exporter_last_success_timestamp_seconds",
    "gauge",
    (),
    "When the log was last read by a scrape, by the database's clock.",
    "seconds",
)
BACKFILL_PROGRESS = Metric(
    "ai_exporter_backfill_progress_ratio",
    "gauge",
    (),
    "How much of the first reading, a gap or changed settings is done.",
    "ratio",
)
LEDGER_DRIFT = Metric(
    "ai_exporter_ledger_drift_usd",
    "gauge",
    (),
    "SQL less the ledger for one past day, sampled hourly; what changed after the horizon.",
    "usd",
)
CLOCK_OFFSET = Metric(
    "ai_exporter_database_clock_offset_seconds",
    "gauge",
    (),
    "The database's clock, as last read, less the clock of the exporter's host.",
    "seconds",
)
REPLICATION_LAG = Metric(
    "ai_exporter_replication_lag_seconds",
    "gauge",
    (),
    "How far the database's server is behind its primary, as last read; 0 on a primary, absent where it does not say.",
    "seconds",
)
ROWS_READ = Metric("ai_exporter_rows_read_total", "counter", (), "Rows that reads of the log went over.")
LATE_ROWS = Metric("ai_exporter_late_rows_total", "counter", (), "Rows found in slices that were closed already.")
SERIES_FOLDED = Metric(
    "ai_exporter_series_folded_total",
    "counter",
    ("label",),
    "Rows counted under other since there is no room for their labels.",
)
STATE_COMMIT_FAILURES = Metric(
    "ai_exporter_state_commit_failures_total", "counter", (), "Commits of the state that failed."
)
LOGINS_REFUSED = Metric(
    "ai_exporter_web_logins_refused_total",
    "counter",
    ("reason",),
    "Requests to the exporter's own pages that were refused for their name and password.",
)
BUILD_INFO = Metric(
    "ai_exporter_build_info", "gauge", ("version", "python"), "Version of the exporter and of Python; always 1."
)

ALL: Mapping[str, Metric] = {metric.name: metric for metric in tuple(globals().values()) if isinstance(metric, Metric)}
"""The catalog by name, in the order above."""

STANDARD: tuple[Metric, ...] = (
    Metric("process_virtual_memory_bytes", "gauge", (), "Virtual memory size in bytes.", "bytes"),
    Metric("process_resident_memory_bytes", "gauge", (), "Resident memory size in bytes.", "bytes"),
    Metric(
        "process_start_time_seconds", "gauge", (), "Start time of the process since unix epoch in seconds.", "seconds"
    ),
    Metric("process_cpu_seconds_total", "counter", (), "Total user and system CPU time spent in seconds.", "seconds"),
    Metric("process_open_fds", "gauge", (), "Number of open file descriptors."),
    Metric("process_max_fds", "gauge", (), "Maximum number of open file descriptors."),
    Metric(
        "python_info",
        "gauge",
        ("version", "implementation", "major", "minor", "patchlevel"),
        "Python platform information",
    ),
    Metric("python_gc_objects_collected_total", "counter", ("generation",), "Objects collected during gc"),
    Metric(
        "python_gc_objects_uncollectable_total", "counter", ("generation",), "Uncollectable objects found during GC"
    ),
    Metric("python_gc_collections_total", "counter", ("generation",), "Number of times this generation was collected"),
)
"""Metrics of the process, which prometheus_client makes and names. Their counters start again with the process."""

USER_NAMES = "user_names"
"""The collector of users' names, and what stands for their table in `tables.accept_unproven`."""

COLLECTORS = ("log", "budgets", "routes", "recommendations", "approvals", USER_NAMES)
"""The parts of a scrape, as the label `collector` names them."""

GROUP_BUDGETS = "group_budgets"
"""One more, where the configuration names its table."""
