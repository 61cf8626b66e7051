"""The checks in order: each is made if those it needs have passed."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import psycopg

from exporter.config import Config, ConfigError
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import DatabaseError, scrub
from exporter.database.one_session import one_session
from exporter.database.session import Identity
from exporter.findings import Finding, fail, failed, ok, report, skipped, warn
from exporter.preflight import clocks, index, log_table, operations, optional, outcomes, patterns
from exporter.preflight.access import GRANTS, LEAST_PRIVILEGE
from exporter.preflight.context import CheckContext
from exporter.preflight.encoding import ENCODING, check_encoding
from exporter.preflight.series import check_series
from exporter.preflight.space import check_space
from exporter.preflight.state import check_privacy, check_state
from exporter.preflight.users import check_users

CONNECTION, SETTINGS = "connection", "connection settings"

OLDEST = 140000
"""The oldest server version that is not warned of; PostgreSQL itself maintains none before."""

SECONDS = 120.0
"""The most that all checks on the database take together."""


_REFUSALS = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InternalError_,
)
"""How hosted servers and forks of PostgreSQL refuse a function, a view or a setting of the system."""


@dataclass(frozen=True)
class Step:
    """A check, and those whose passing it needs; each of them stands before it.

    A check is `optional` where it asks the system for what no figure depends on: that it cannot be made is no failure.
    """

    name: str
    check: Callable[[CheckContext], list[Finding]]
    needs: Sequence[str] = ()
    optional: bool = False


def check_connection(context: CheckContext) -> list[Finding]:
    """The server answers; its version."""
    version, where = context.server.version, scrub(context.info.display, context.info)
    detail = f"PostgreSQL {version} at {where}"
    if context.server.number < OLDEST:
        return [warn(CONNECTION, detail, "upgrade to PostgreSQL 14 or later: older ones are no longer maintained")]
    return [ok(CONNECTION, detail)]


STEPS: Sequence[Step] = (
    Step(CONNECTION, check_connection),
    Step(clocks.CLOCK, clocks.check_clock, [CONNECTION]),
    Step(clocks.REPLICATION, clocks.check_replication, [CONNECTION], optional=True),
    Step(ENCODING, check_encoding, [CONNECTION]),
    Step(patterns.PATTERNS, patterns.check_patterns, [CONNECTION]),
    Step(log_table.TABLE, log_table.check_table, [CONNECTION]),
    Step(log_table.COLUMNS, log_table.check_columns, [log_table.TABLE]),
    Step(GRANTS, log_table.check_grants, [log_table.COLUMNS]),
    Step(LEAST_PRIVILEGE, log_table.check_excess, [log_table.COLUMNS], optional=True),
    Step(log_table.VISIBLE, log_table.check_visible, [GRANTS]),
    Step(log_table.OPEN_WINDOW, log_table.check_open_window, [log_table.VISIBLE, patterns.PATTERNS]),
    Step(index.TIME_INDEX, index.check_index, [log_table.VISIBLE], optional=True),
    Step(clocks.TIME_ZONES, clocks.check_time_zones, [log_table.VISIBLE]),
    Step(log_table.UNDATED, log_table.check_undated, [log_table.VISIBLE]),
    Step(outcomes.OUTCOMES, outcomes.check_outcomes, [log_table.VISIBLE]),
    Step(operations.OPERATIONS, operations.check_operations, [log_table.VISIBLE]),
    Step("budgets", optional.check_budgets, [CONNECTION]),
    Step("routes", optional.check_routes, [CONNECTION]),
    Step(operations.MODEL_NAMES, operations.check_model_names, [operations.OPERATIONS, "routes"]),
    Step("recommendations", optional.check_recommendations, [CONNECTION]),
    Step("approvals", optional.check_approvals, [CONNECTION]),
)


def run_check(config: Config, environ: Mapping[str, str], out: TextIO) -> int:
    """Print what was found, check by check; returns 0 when nothing failed, else 1."""
    return report(run(config, environ), out)


def run(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Everything that is found, in order."""
    yield check_users(config)
    identity = None
    try:
        info = resolve_conninfo(config, environ)
    except ConfigError as error:
        problem, _, hint = str(error).partition(" — ")
        yield fail(CONNECTION, problem, hint)
        yield from (skipped(step.name, CONNECTION) for step in STEPS[1:])
    else:
        yield from (
            warn(SETTINGS, notice, "remove them from the URL, unless another program uses it")
            for notice in info.notices
        )
        identity = yield from _run_on_database(config, info)
    yield check_state(config.state_dir, identity)
    yield check_series(config.state_dir, config.max_series)
    yield check_privacy(config.state_dir)
    yield check_space(config.state_dir)


def _run_on_database(config: Config, info: ConnInfo) -> Generator[Finding, None, Identity | None]:
    """The findings on the database; returns which table it is, where that could be told."""
    done: set[str] = set()
    try:
        with one_session(config, info, "check", SECONDS, config.scrape.timeout) as session:
            context = CheckContext(config, info, session)
            yield from _take_steps(context, done)
            return session.identity(context.log) if log_table.COLUMNS in done else None
    except DatabaseError as error:
        yield fail(CONNECTION, error.detail, error.hint)
        yield from (skipped(step.name, CONNECTION) for step in STEPS[1:])
        return None


def _take_steps(context: CheckContext, passed: set[str]) -> Iterator[Finding]:
    for step in STEPS:
        missing = [need for need in step.needs if need not in passed]
        if context.session.lost:
            missing = [CONNECTION]
        if missing:
            yield skipped(step.name, missing[0])
            continue
        findings = _take(context, step)
        yield from findings
        if not failed(findings):
            passed.add(step.name)


def _take(context: CheckContext, step: Step) -> list[Finding]:
    try:
        with context.session.savepoint():
            return step.check(context)
    except DatabaseError as error:
        return [fail(step.name, error.detail, error.hint)]
    except psycopg.Error as error:
        told = context.session.translate(error)
        if step.optional and isinstance(error, _REFUSALS):
            detail = f"the server refuses what this check asks: {told.said or told.message}"
            return [warn(step.name, detail, "no figure depends on it: check it by hand")]
        return [fail(step.name, told.detail, told.hint)]
