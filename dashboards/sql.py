"""Queries of the view in `deploy/sql/dashboards.sql`, which hides how the two layouts of the log differ."""

from collections.abc import Sequence
from functools import partial
from typing import Any

POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}

ZONE = "'${zone}'"
FROM, TO = "$__timeFrom()::timestamptz", "$__timeTo()::timestamptz"

# Dollar quotes, since a name may hold a quote. With "All" chosen, Grafana writes `.+`: the planner then sees that the
# condition is always true, and evaluates it for no row.
_CHOSEN = r"""($re$${{{variable}:regex}}$re$ = '.+' OR {column} ~ $re$\A(?:${{{variable}:regex}})\Z$re$)"""
_OTHER = "'other' IN ({variables})"

NOT_IN_LOG = "No calls. With a red mark: not read"
"""What panels that ask the log say when there is nothing. A sum of nothing would be a 0 that is not so."""


def logged(since: str, until: str = TO) -> str:
    """The condition for rows between two moments, the second excluded; the index on the log's time serves it."""
    return f"logged_at >= ai_dashboards.logged({since}) AND logged_at < ai_dashboards.logged({until})"


def chosen(*variables: str) -> str:
    """The condition for the chosen operations, models or users."""
    return " AND ".join(_CHOSEN.format(column=f'"{name}"', variable=name) for name in variables)


def sql(query: str, *, series: bool = False) -> dict[str, Any]:
    """A target of the PostgreSQL data source. With `series`, columns are time, metric, value, or time and values."""
    return {
        "datasource": POSTGRES,
        "editorMode": "code",
        "format": "time_series" if series else "table",
        "rawQuery": True,
        "rawSql": "\n".join(line.strip() for line in query.strip().splitlines()),
    }


_series = partial(sql, series=True)


def _answerable(*variables: str) -> str:
    """The condition that no `other` is chosen, which the log does not know: for queries that fill in zeros."""
    return "NOT " + _OTHER.format(variables=", ".join(f"$re$${{{name}:regex}}$re$" for name in variables))


def today_by(variables: Sequence[str], most: int) -> dict[str, Any]:
    """Today's spend by the column of each variable: the `most` largest of each and `all others`, largest first.

    One query for several panels, each of which shows the rows of one `Kind`.
    """
    sets = ", ".join(f'("{name}")' for name in variables)
    kind = " ".join(f"WHEN grouping(\"{name}\") = 0 THEN '{name}'" for name in variables)
    names = ", ".join(f'"{name}"' for name in variables)
    return sql(f"""
    WITH spent AS (
      SELECT CASE {kind} END AS kind, coalesce({names}) AS name, sum(cost_usd) AS usd
      FROM ai_dashboards.operations
      WHERE {logged(f"date_trunc('day', now(), {ZONE})", "now()")} AND {chosen(*variables)}
      GROUP BY GROUPING SETS ({sets})
    ), ranked AS (
      SELECT *, row_number() OVER (PARTITION BY kind ORDER BY usd DESC NULLS LAST, name) > {most} AS rest FROM spent
    ), shown AS (
      SELECT kind, rest, CASE WHEN rest THEN '$' || '__all' ELSE name END AS chosen,
             coalesce(sum(usd), 0)::float8 AS usd,
             (sum(usd) / nullif(sum(sum(usd)) OVER (PARTITION BY kind), 0))::float8 AS share
      FROM ranked
      GROUP BY kind, rest, 3
    ), called AS (
      SELECT chosen, {_called("chosen")} AS name FROM shown WHERE kind = 'user' AND NOT rest
    )
    SELECT kind AS "Kind", CASE WHEN rest THEN 'all others' ELSE coalesce(called.name, shown.chosen) END AS "Name",
           usd AS "Spent", share AS "Share", shown.chosen AS "Chosen"
    FROM shown
    LEFT JOIN called ON called.chosen = shown.chosen AND kind = 'user'
    ORDER BY kind, rest, 3 DESC, 2
    """)


def _called(user: str) -> str:
    """What a user is called, for a query that has each user once: two who are called alike have their ids behind."""
    name, key = f"ai_dashboards.user_name({user})", f"coalesce(substring({user} FROM '^([^-]{{8}})-[^-]*-'), {user})"
    return f"""CASE WHEN count(*) OVER (PARTITION BY {name}) = 1 THEN {name}
                WHEN count(*) OVER (PARTITION BY {name}, {key}) = 1 THEN {name} || ' (' || {key} || ')'
                WHEN {name} = {key} THEN {user}
                ELSE {name} || ' (' || {user} || ')' END"""


_AS_LOGGED = {
    "operation": (("operation", "operation_type"), "ai_dashboards.operation_label(operation, operation_type)"),
    "model": (("model",), "ai_dashboards.model_label(model)"),
    "user": (('"user"',), 'ai_dashboards.user_label("user")'),
}
"""The columns of a name as it is logged, and its label."""


def _logged_names(by: str) -> str:
    """The names as logged by which rows are summed: those that are asked for, and those that a choice needs."""
    return ", ".join(
        name if each == by else f"CASE WHEN $re$${{{each}:regex}}$re$ <> '.+' THEN {name} END AS {name}"
        for each, (names, _) in _AS_LOGGED.items()
        for name in names
    )


def _may_be_chosen(variables: Sequence[str]) -> str:
    """The condition for rows whose names as logged may be chosen ones, told without cleaning any: few others have it.

    Users by ids that are no text are told exactly, and an index serves. The planner computes all but the comparisons of
    a row; with everything chosen, nothing is left of them.
    """
    conditions = []
    for variable in variables:
        likely = f"ai_dashboards.patterns($re$${{{variable}:regex}}$re$)"
        names = " OR ".join(f"{name}::text LIKE ANY ({likely})" for name in _AS_LOGGED[variable][0])
        found = f"{likely} IS NULL OR {names}"
        if variable == "user":
            keys = "ai_dashboards.user_keys($re$${user:regex}$re$)"
            nobody = _CHOSEN.format(column="'unattributed'", variable="user")
            exact = f'{keys} IS NOT NULL AND ("user" = ANY ({keys}) OR "user" IS NULL AND {nobody})'
            found = f"{exact} OR {keys} IS NULL AND ({found})"
        conditions.append(f"({found})")
    return " AND ".join(conditions)


def daily_spend(by: str, variables: Sequence[str], most: int = 10) -> dict[str, Any]:
    """Spend per calendar day of the budget's zone, by a column; all but the `most` largest are `all others`.

    Rows are summed by their names as logged. Names are cleaned, and compared with the choice, once each and not in each
    of a month's rows, which would take most of the time.
    """
    # each day is a stretch of the index on the log's time: to find the day of each row would take longer
    days = f"""
      SELECT day AT TIME ZONE {ZONE} AS day, least((day + interval '1 day') AT TIME ZONE {ZONE}, {TO}) AS until
      FROM generate_series(
        date_trunc('day', {FROM} AT TIME ZONE {ZONE}), {TO} AT TIME ZONE {ZONE}, interval '1 day') AS days (day)
    """
    label = _AS_LOGGED[by][1]
    picked = " AND ".join(_CHOSEN.format(column=_AS_LOGGED[name][1], variable=name) for name in variables)
    called = _called("name") if by == "user" else "name"
    return _series(f"""
    WITH days AS ({days}),
    grouped AS MATERIALIZED (
      SELECT operation, operation_type, model, "user",
             sum(usd) AS total, array_agg(day) AS days, array_agg(usd) AS amounts
      FROM days CROSS JOIN LATERAL (
        SELECT {_logged_names(by)}, sum(cost_usd) AS usd
        FROM ai_dashboards.spending
        WHERE {logged("day", "until")} AND {_may_be_chosen(variables)}
        GROUP BY 1, 2, 3, 4
      ) AS sums
      GROUP BY 1, 2, 3, 4
    ), named AS MATERIALIZED (
      SELECT {label} AS name, total, days, amounts FROM grouped WHERE {picked}
    ), largest AS (
      SELECT name, {called} AS shown
      FROM (SELECT name FROM named GROUP BY name ORDER BY sum(total) DESC NULLS LAST, name LIMIT {most}) AS first
    )
    SELECT day AS time, coalesce(shown, 'all others') AS metric, sum(usd)::float8 AS value
    FROM named
    LEFT JOIN largest USING (name)
    CROSS JOIN LATERAL unnest(days, amounts) AS each (day, usd)
    GROUP BY 1, 2
    ORDER BY 1, 2
    """)


def _days_back(moment: str, days: int) -> str:
    """The same time on an earlier calendar day, also where the clocks were changed in between."""
    return f"(({moment}) AT TIME ZONE {ZONE} - interval '{days} days') AT TIME ZONE {ZONE}"


def hourly_spend(variables: Sequence[str]) -> dict[str, Any]:
    """Spend by hour of the time range, and of the same hours a day and a week before."""
    first = f"date_trunc('hour', {FROM}, {ZONE})"
    # whole hours of other days, so that a line does not drop in the hour that is not over
    last = f"(date_trunc('hour', {TO}, {ZONE}) + interval '1 hour')"
    before = (logged(_days_back(first, days), _days_back(last, days)) for days in (1, 7))
    spans = " OR ".join(f"({each})" for each in (logged(first), *before))
    return _series(f"""
    WITH spent AS (
      SELECT date_trunc('hour', at, {ZONE}) AS hour, sum(cost_usd)::float8 AS usd
      FROM ai_dashboards.operations
      WHERE ({spans}) AND {chosen(*variables)}
      GROUP BY 1
    ), hours AS (
      SELECT generate_series({first}, {TO}, interval '1 hour') AS hour
    )
    SELECT hours.hour AS time, coalesce(present.usd, 0) AS "Last 24 h",
           coalesce(yesterday.usd, 0) AS "24 h before", coalesce(week.usd, 0) AS "7 days before"
    FROM hours
    LEFT JOIN spent present ON present.hour = hours.hour
    LEFT JOIN spent yesterday ON yesterday.hour = {_days_back("hours.hour", 1)}
    LEFT JOIN spent week ON week.hour = {_days_back("hours.hour", 7)}
    WHERE {_answerable(*variables)}
    ORDER BY 1
    """)


def movers(variables: Sequence[str]) -> dict[str, Any]:
    """Spend of the last 24 hours by operation and model, and its change since the 24 hours before, largest first."""
    day = "now() - interval '1 day'"
    return sql(f"""
    WITH spent AS (
      SELECT operation, model,
             coalesce(sum(cost_usd) FILTER (WHERE at >= {day}), 0)::float8 AS this,
             coalesce(sum(cost_usd) FILTER (WHERE at < {day}), 0)::float8 AS before,
             count(*) FILTER (WHERE at >= {day}) AS calls
      FROM ai_dashboards.operations
      WHERE {logged("now() - interval '2 days'", "now()")} AND {chosen(*variables)}
      GROUP BY 1, 2
    )
    SELECT operation AS "Operation", model AS "Model", this AS "Last 24 h", this - before AS "Change $",
           (this - before) / nullif(before, 0) AS "Change %",
           (this - before) / nullif(sum(before) OVER (), 0) AS "Of the day",
           calls AS "Calls", 1000 * this / nullif(calls, 0) AS "Per 1,000"
    FROM spent
    ORDER BY abs(this - before) DESC, 1, 2
    LIMIT 20
    """)


def paid_for_failures(variables: Sequence[str]) -> dict[str, Any]:
    """The cost of failed calls in the time range."""
    return sql(f"""
    SELECT coalesce(sum(cost_usd) FILTER (WHERE outcome IN ('failed', 'timeout')), 0)::float8 AS "Failed calls"
    FROM ai_dashboards.operations
    WHERE {logged(FROM)} AND {chosen(*variables)}
    HAVING {_answerable(*variables)}
    """)


def tokens_by_hour(variables: Sequence[str]) -> dict[str, Any]:
    """Tokens of an average day, by hour of the day."""
    days = f"greatest(extract(epoch FROM {TO} - {FROM}) / 86400, 1)"
    return sql(f"""
    SELECT to_char(at AT TIME ZONE {ZONE}, 'HH24') AS "Hour",
           (sum(input_tokens) / {days})::float8 AS "Input", (sum(output_tokens) / {days})::float8 AS "Output"
    FROM ai_dashboards.operations
    WHERE {logged(FROM)} AND {chosen(*variables)}
    GROUP BY 1
    ORDER BY 1
    """)


TIME, MESSAGE, OPERATION, MODEL, USER, OUTCOME, COST, LATENCY, ID = CALL = (
    'at AS "Time"',
    'error_message AS "Message"',
    'operation AS "Operation"',
    'model AS "Model"',
    'ai_dashboards.user_name("user") AS "User"',
    'outcome AS "Outcome"',
    'cost_usd::float8 AS "Cost"',
    'latency_seconds::float8 AS "Latency"',
    '"user" AS "Id"',
)
"""What can be shown of a single call."""


def rows(
    variables: Sequence[str], condition: str = "true", most: int = 100, columns: Sequence[str] = CALL
) -> dict[str, Any]:
    """Single calls, the newest first. The view holds no prompts and no answers."""
    return sql(f"""
    SELECT {", ".join(columns)}
    FROM ai_dashboards.operations
    WHERE {logged(FROM)} AND {condition} AND {chosen(*variables)}
    ORDER BY logged_at DESC
    LIMIT {most}
    """)
