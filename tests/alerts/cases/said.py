"""What messages say, written by hand: the compiler has no part in what is expected of it."""

from collections.abc import Mapping
from typing import Any

from tests.alerts.scenario import JOB

Expected = Mapping[str, Mapping[str, str]]

GRAFANA = "http://localhost:3000/d"


def expected(labels: Mapping[str, str], **annotations: str) -> Expected:
    """An alert with these labels and annotations."""
    return {"labels": {"channel": "discord", **labels}, "annotations": annotations}


def links(name: str, dashboard: str) -> dict[str, str]:
    """The two links of an alert."""
    return {"runbook_url": f"docs/runbooks/{name}.md", "dashboard_url": f"{GRAFANA}/{dashboard}"}


def high_daily_spend(value: str, ends: int, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "warning", "job": job},
        summary="Spend today is above $200.",
        description=f"Spend today is {value}, above $200.",
        value=value,
        contributors=lines(contributors),
        budget_day_ends=str(ends),
        **links("high_daily_spend", "ai-cost"),
    )


def user_over_limit(user: str, value: str, limit: str, ends: int, *, escaped: str = "", job: str = JOB) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "scope": "user", "user": user},
        summary="Spend today is above the daily limit.",
        description=f"Spend today of user {user} is {value}, above the daily limit of {limit}.",
        value=value,
        budget_day_ends=str(ends),
        **links("budget_exceeded", f"ai-cost?var-user={escaped or user}"),
    )


def unlisted_over_limit(count: int, ends: int, *, job: str = JOB) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "scope": "unlisted"},
        summary="Spend today is above the daily limit.",
        description=f"Users over their daily limit beyond those listed: {count}.",
        value=str(count),
        budget_day_ends=str(ends),
        **links("budget_exceeded", "ai-cost"),
    )


def team_over_limit(value: str, limit: str, ends: int, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "scope": "team"},
        summary="Spend today is above the daily limit.",
        description=f"Spend today is {value}, above the daily limit of {limit}.",
        value=value,
        contributors=lines(contributors),
        budget_day_ends=str(ends),
        **links("budget_exceeded", "ai-cost"),
    )


def budget_used(rung: int, value: str, ends: int, *contributors: str, user: str = "", job: str = JOB) -> Expected:
    severity = "critical" if rung == 100 else "warning"
    labels = {"severity": severity, "job": job, "rung": str(rung), "scope": "user" if user else "team"}
    of = f" of user {user}" if user else ""
    said = {
        "summary": "Share of the daily limit spent is at or above a rung of its ladder.",
        "description": f"Share of the daily limit spent{of} is {value}, at or above {rung}%.",
        "value": value,
        "budget_day_ends": str(ends),
        **links("budget_used", "ai-cost" + (f"?var-user={user}" if user else "")),
    }
    if user:
        return expected({**labels, "user": user}, **said)
    return expected(labels, **said, contributors=lines(contributors))


def budget_will_not_last(value: str, limit: str, ends: int, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "warning", "job": job},
        summary="Projected spend of today is above the daily limit.",
        description=f"Projected spend of today is {value}, above the daily limit of {limit}.",
        value=value,
        contributors=lines(contributors),
        budget_day_ends=str(ends),
        **links("budget_will_not_last", "ai-cost"),
    )


def high_error_rate(operation: str, value: str, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "operation": operation},
        summary="Error rate is above 5%.",
        description=f"Error rate of operation {operation} is {value}, above 5%.",
        value=value,
        contributors=lines(contributors),
        **links("high_error_rate", f"ai-performance?var-operation={operation}"),
    )


def slow_operations(operation: str, value: str, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "warning", "job": job, "operation": operation},
        summary="Average latency is above 2000ms.",
        description=f"Average latency of operation {operation} is {value}, above 2000ms.",
        value=value,
        contributors=lines(contributors),
        **links("slow_operations", f"ai-performance?var-operation={operation}"),
    )


def _unavailable(reason: str, model: str, description: str, value: str, contributors: Any, job: str) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "model": model, "reason": reason},
        summary="A model does not answer in time, or not at all.",
        description=description,
        value=value,
        contributors=lines(contributors),
        **links("model_unavailable", f"ai-performance?var-model={model}"),
    )


def model_over_timeout(model: str, value: str, timeout: str, *contributors: str, job: str = JOB) -> Expected:
    said = f"{value} of the calls to {model} reached their timeout of {timeout}."
    return _unavailable("timeouts", model, said, value, contributors, job)


def model_without_success(model: str, calls: int, *contributors: str, job: str = JOB) -> Expected:
    said = f"{calls} calls to {model} ended, and none of them succeeded."
    return _unavailable("no_success", model, said, str(calls), contributors, job)


def companion(name: str, severity: str, summary: str, description: str, **labels: str) -> Expected:
    return expected(
        {"severity": severity, **labels}, summary=summary, description=description, **links(name, "ai-health")
    )


def lines(contributors: Any) -> str:
    """Each contributor on a line of its own."""
    return "".join(f"{line}\n" for line in contributors)
