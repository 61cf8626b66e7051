"""The PromQL of spend and limits that several rows show."""

from alert_rules.quantities.promql import day_projected, highest_replica
from dashboards import promql as q
from exporter import catalog

TODAY = q.gauge(q.for_job(catalog.SPEND_TODAY))
MONTH = q.gauge(q.for_job(catalog.SPEND_MONTH))
DAILY_LIMIT = f"sum (min by (job) ({q.for_job(catalog.DAILY_LIMIT)}))"
MONTHLY_LIMIT = f"sum (min by (job) ({q.for_job(catalog.MONTHLY_LIMIT)}))"

_DAY = 'window="day"'
_START = f"max by (job) ({q.for_job(catalog.WINDOW_START, _DAY)})"
_END = f"max by (job) ({q.for_job(catalog.WINDOW_END, _DAY)})"
_FORECAST = q.for_job(catalog.SPEND_FORECAST, _DAY, 'bound="expected"')
_STRAIGHT = f"{highest_replica(q.for_job(catalog.SPEND_TODAY))} * {day_projected(_START, _END)}"
PROJECTED = f"sum (max by (job) ({_FORECAST}) or {_STRAIGHT})"
"""Spend at the end of the day as forecast, or else at the day's average pace; then nothing in its first two hours."""

FILTERS = ("operation", "model", "user")
"""The variables that narrow this dashboard's queries of the log."""
