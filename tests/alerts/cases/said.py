"""What messages say, written by hand: the compiler has no part in what is expected of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.scenario import JOB

Expected = Mapping[str, Mapping[str, str]]

GRAFANA = "http://localhost:3000/d"


TEAM, UNLISTED = 3, 2
"""Tiers: what is named before all users."""


def expected(labels: Mapping[str, str], **annotations: str) -> Expected:
    """An alert with these labels and annotations."""
    return {"labels": {"channel": "discord", **labels}, "annotations": {**annotations, "job": ""}}


def rank(value: str, *, tier: int = 1, of: str = "") -> str:
    """How bad an alert is said to be, by the value that it shows, and by the limit where there is one to look up."""
    if of:
        over = number(value) / number(of) if number(of) else None
        return f"{tier}{over:018.3f}" if over is not None else f"{tier}{'9' * 14}"
    return f"{tier}{number(value):024.9f}" if value.startswith("$") else f"{tier}{number(value):018.3f}"


def number(shown: str) -> float:
    """The number behind a value as it is shown: `$212.40`, `5%`, `1m 30s`, `350ms` or `42`."""
    if shown.endswith("%"):
        return float(shown[:-1]) / 100
    if re.fullmatch(r"[0-9.]+ms", shown):
        return float(shown[:-2]) / 1000
    if parts := re.findall(r"([0-9.]+)([hms])", shown):
        return sum(float(digits) * {"h": 3600, "m": 60, "s": 1}[unit] for digits, unit in parts)
    return float(shown.lstrip("$").replace(",", ""))


def links(name: str, dashboard: str) -> dict[str, str]:
    """The two links of an alert."""
    return {"runbook_url": f"docs/runbooks/{name}.md", "dashboard_url": f"{GRAFANA}/{dashboard}"}


def high_daily_spend(value: str, ends: int, *contributors: str, exact: str = "", job: str = JOB) -> Expected:
    """`exact` is the value where what is shown of it is not all."""
    return expected(
        {"severity": "warning", "job": job},
        summary="Spend today is above $200.",
        description=f"The team's spend today is {value}, above $200.",
        value=value,
        rank=rank(exact or value),
        contributors=lines(contributors),
        budget_day_ends=str(ends),
        **links("high_daily_spend", "ai-cost"),
    )


def user_over_limit(
    user: str, value: str, limit: str, ends: int, *, escaped: str = "", called: str = "", job: str = JOB
) -> Expected:
    """`called` is the user's name, where one is known."""
    page, said = f"ai-cost?var-user={escaped or user}", called or user
    return _over_limit("user", user, said, value, limit, ends, page, job, user=said)


def group_over_limit(group: str, value: str, limit: str, ends: int, *, job: str = JOB) -> Expected:
    return _over_limit("group", group, group, value, limit, ends, "ai-cost", job)


def _over_limit(
    scope: str, name: str, called: str, value: str, limit: str, ends: int, page: str, job: str, **more: str
) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "scope": scope, scope: name},
        summary="Spend today is above the daily limit.",
        description=f"Spend today of {scope} {called} is {value}, above the daily limit of {limit}.",
        value=value,
        rank=rank(value, of=limit),
        budget_day_ends=str(ends),
        **more,
        **links("budget_exceeded", page),
    )


def unlisted_over_limit(count: int, ends: int, *, job: str = JOB) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "scope": "unlisted"},
        summary="Spend today is above the daily limit.",
        description=f"Users over their daily limit beyond those listed: {count}.",
        value=str(count),
        rank=rank(str(count), tier=UNLISTED),
        budget_day_ends=str(ends),
        **links("budget_exceeded", "ai-cost"),
    )


def team_over_limit(value: str, limit: str, ends: int, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "critical", "job": job, "scope": "team"},
        summary="Spend today is above the daily limit.",
        description=f"The team's spend today is {value}, above the daily limit of {limit}.",
        value=value,
        rank=rank(value, tier=TEAM, of=limit),
        contributors=lines(contributors),
        budget_day_ends=str(ends),
        **links("budget_exceeded", "ai-cost"),
    )


def budget_used(
    rung: int, value: str, ends: int, *contributors: str, user: str = "", group: str = "", job: str = JOB
) -> Expected:
    scope, name = ("user", user) if user else ("group", group) if group else ("team", "")
    labels = {"severity": "warning", "job": job, "rung": str(rung), "scope": scope}
    what = f"Share of the daily limit spent of {scope} {name}" if name else "The team's share of the daily limit spent"
    said = {
        "summary": "Share of the daily limit spent is at or above one of its steps.",
        "description": f"{what} is {value}, at or above {rung}%.",
        "value": value,
        "rank": rank(value, tier=1 if name else TEAM),
        "budget_day_ends": str(ends),
        **links("budget_used", "ai-cost" + (f"?var-user={user}" if user else "")),
    }
    if name:
        more = {"user": user} if user else {}
        return expected({**labels, scope: name}, **said, **more)
    return expected(labels, **said, contributors=lines(contributors))


def period_budget(
    name: str,
    rung: int,
    value: str,
    user: str,
    period: str,
    *,
    group: str = "",
    severity: str = "warning",
    job: str = JOB,
) -> Expected:
    """A budget with a period, of the team where there is no user and no group."""
    soft = name == "soft_limit_reached"
    labels = {"severity": severity, "job": job, "period": period}
    labels |= {"user": user} if user else {"group": group} if group else {}
    labels |= {} if soft else {"rung": str(rung)}
    of = f"user {user}" if user else f"group {group}" if group else "the team"
    whose = f"{'soft ' * soft}limit spent of {of}"
    return expected(
        labels,
        user=user,
        summary="The soft limit of a budget is reached."
        if soft
        else "A budget with a period is nearly spent, or exceeded.",
        description=f"Share of the {whose} for {period} is {value}, at or above {rung}%.",
        value=value,
        rank=rank(value),
        **links(name, "ai-cost" + (f"?var-user={user}" if user else "")),
    )


def budget_will_not_last(value: str, limit: str, ends: int, *contributors: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "warning", "job": job},
        summary="Projected spend of today is above the daily limit.",
        description=f"The team's projected spend of today is {value}, above the daily limit of {limit}.",
        value=value,
        rank=rank(value, of=limit),
        contributors=lines(contributors),
        budget_day_ends=str(ends),
        **links("budget_will_not_last", "ai-cost"),
    )


def high_error_rate(
    operation: str, value: str, counts: str, *contributors: str, job: str = JOB, unknown_from: int | None = None
) -> Expected:
    """`counts` is like `3 of 42 calls`."""
    told = f" ({counts})" if unknown_from is None else ""
    return expected(
        {"severity": "critical", "job": job, "operation": operation},
        summary="Error rate is above 5%.",
        description=f"Error rate of operation {operation} is {value}{told}, above 5%.",
        value=value,
        rank=rank(value),
        contributors=lines(contributors),
        unknown_from="" if unknown_from is None else str(unknown_from),
        unknown_because="" if unknown_from is None else "too few calls any more",
        **links("high_error_rate", f"ai-performance?var-operation={operation}"),
    )


def slow_operations(
    operation: str, value: str, calls: str, *contributors: str, job: str = JOB, unknown_from: int | None = None
) -> Expected:
    """`calls` is like `42 calls`."""
    told = f" (over {calls})" if unknown_from is None else ""
    return expected(
        {"severity": "warning", "job": job, "operation": operation},
        summary="Average latency is above 2000ms.",
        description=f"Average latency of operation {operation} is {value}{told}, above 2000ms.",
        value=value,
        rank=rank(value),
        contributors=lines(contributors),
        unknown_from="" if unknown_from is None else str(unknown_from),
        unknown_because="" if unknown_from is None else "too few calls any more",
        **links("slow_operations", f"ai-performance?var-operation={operation}"),
    )


def model_unavailable(
    model: str,
    description: str,
    value: str,
    worst: str,
    contributors: Sequence[str],
    unknown_from: int | None = None,
    job: str = JOB,
) -> Expected:
    """`worst` is the figure that the alert is ranked by."""
    return expected(
        {"severity": "critical", "job": job, "model": model},
        summary="A model does not answer in time, or not at all.",
        description=description,
        value=value,
        rank=rank(worst),
        contributors=lines(contributors),
        unknown_from="" if unknown_from is None else str(unknown_from),
        **links("model_unavailable", f"ai-performance?var-model={model}"),
    )


def model_over_timeout(
    model: str,
    value: str,
    counts: str,
    timeout: str,
    *contributors: str,
    took: str = "",
    unknown_from: int | None = None,
    job: str = JOB,
) -> Expected:
    """`counts` is like `3 of 4 calls`; `took` is the mean of the calls, where it is known."""
    average = f"; on average they took {took}" if took else ""
    of = f" ({counts})" if counts else ""
    said = f"{value} of the calls to {model}{of} reached their timeout of {timeout}{average}."
    return model_unavailable(model, said, f"{value} over the timeout", value, contributors, unknown_from, job)


def model_without_success(
    model: str, calls: int, *contributors: str, unknown_from: int | None = None, job: str = JOB
) -> Expected:
    said = f"{calls} calls to {model} ended, and none of them succeeded."
    short = f"{calls} calls without a success"
    return model_unavailable(model, said, short, str(calls), contributors, unknown_from, job)


def companion(name: str, severity: str, summary: str, description: str, **labels: str) -> Expected:
    said = expected(
        {"severity": severity, **labels}, summary=summary, description=description, **links(name, "ai-health")
    )
    return {**said, "annotations": {key: text for key, text in said["annotations"].items() if key != "job"}}


def lines(contributors: Any) -> str:
    """Each contributor on a line of its own."""
    return "".join(f"{line}\n" for line in contributors)
