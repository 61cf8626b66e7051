"""Run the checks in order; each runs if those it needs have passed."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import psycopg

from exporter.catalog import USER_NAMES
from exporter.config import Config, ConfigError
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import DatabaseError, scrub
from exporter.database.one_session import one_session
from exporter.database.session import Identity
from exporter.findings import Finding, fail, failed, ok, report, rest_skipped, skipped, warn
from exporter.preflight import clocks, index, log_table, operations, optional, outcomes, patterns
from exporter.preflight.access import GRANTS, LEAST_PRIVILEGE
from exporter.preflight.calls import CALLS, check_calls
from exporter.preflight.context import CheckContext
from exporter.preflight.currency import CURRENCY, check_currency
from exporter.preflight.distance import DISTANCE, check_distance
from exporter.preflight.division import DIVISION, check_division
from exporter.preflight.encoding import ENCODING, check_encoding
from exporter.preflight.long_calls import LONG_CALLS, check_long_calls
from exporter.preflight.lookup_index import LOOKUPS, check_lookup, index_of
from exporter.preflight.secrets import check_secrets
from exporter.preflight.series import check_series
from exporter.preflight.space import check_space
from exporter.preflight.state import check_privacy, check_state
from exporter.preflight.user_names import check_user_names
from exporter.preflight.users import check_users

CONNECTION, SETTINGS = "connection", "connection settings"

OLDEST = 140000
"""The oldest server version without a warning: PostgreSQL no longer maintains older ones."""

SECONDS = 120.0
"""The longest that all checks of the database take together."""


_REFUSALS = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InternalError_,
)
"""How hosted servers and forks of PostgreSQL refuse a system function, view or setting."""


@dataclass(frozen=True)
class Step:
    """A check, and the earlier checks that have to pass first.

    An `optional` check reads system tables on which no metric depends: if it cannot run, that is not a failure.
    """

    name: str
    check: Callable[[CheckContext], list[Finding]]
    needs: Sequence[str] = ()
    optional: bool = False


def check_connection(context: CheckContext) -> list[Finding]:
    """Check that the server answers, and its version."""
    version, where = context.server.version, scrub(context.info.display, context.info)
    detail = f"PostgreSQL {version} at {where}"
    if context.server.number < OLDEST:
        return [warn(CONNECTION, detail, "upgrade to PostgreSQL 14 or later: older versions are no longer maintained")]
    return [ok(CONNECTION, detail)]


def _optional(section: str) -> Step:
    return Step(section, partial(optional.check_optional, section), [CONNECTION])


STEPS: Sequence[Step] = (
    Step(CONNECTION, check_connection),
    Step(clocks.CLOCK, clocks.check_clock, [CONNECTION]),
    Step(clocks.REPLICATION, clocks.check_replication, [CONNECTION], optional=True),
    Step(DISTANCE, check_distance, [CONNECTION], optional=True),
    Step(ENCODING, check_encoding, [CONNECTION]),
    Step(patterns.PATTERNS, patterns.check_patterns, [CONNECTION]),
    Step(log_table.TABLE, log_table.check_table, [CONNECTION]),
    Step(log_table.COLUMNS, log_table.check_columns, [log_table.TABLE]),
    Step(GRANTS, log_table.check_grants, [log_table.COLUMNS]),
    Step(LEAST_PRIVILEGE, log_table.check_excess, [GRANTS], optional=True),
    Step(log_table.VISIBLE, log_table.check_visible, [GRANTS]),
    Step(log_table.OPEN_WINDOW, log_table.check_open_window, [log_table.VISIBLE, patterns.PATTERNS]),
    Step(index.TIME_INDEX, index.check_index, [log_table.VISIBLE], optional=True),
    *(Step(index_of(role), partial(check_lookup, role), [log_table.VISIBLE], optional=True) for role in LOOKUPS),
    Step(clocks.TIME_ZONES, clocks.check_time_zones, [log_table.VISIBLE]),
    Step(log_table.UNDATED, log_table.check_undated, [log_table.VISIBLE]),
    Step(outcomes.OUTCOMES, outcomes.check_outcomes, [log_table.VISIBLE]),
    Step(CALLS, check_calls, [log_table.VISIBLE]),
    Step(LONG_CALLS, check_long_calls, [log_table.VISIBLE], optional=True),
    Step(DIVISION, check_division, [log_table.VISIBLE], optional=True),
    Step(CURRENCY, check_currency, [log_table.VISIBLE], optional=True),
    Step(operations.OPERATIONS, operations.check_operations, [log_table.VISIBLE]),
    _optional("budgets"),
    _optional("group_budgets"),
    _optional("routes"),
    Step(operations.MODEL_NAMES, operations.check_model_names, [operations.OPERATIONS, "routes"]),
    _optional("recommendations"),
    _optional("approvals"),
    Step(USER_NAMES, check_user_names, [log_table.VISIBLE]),
)


def run_check(config: Config, environ: Mapping[str, str], out: TextIO, *, as_json: bool = False) -> int:
    """Print each finding; returns 1 if one of them is a failure, else 0."""
    return report(run(config, environ), out, as_json=as_json)


def run(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """All findings, in order."""
    yield check_users(config)
    yield from check_secrets(Path(environ.get("SECRETS_DIR") or "secrets"))
    identity = None
    try:
        info = resolve_conninfo(config, environ)
    except ConfigError as error:
        problem, _, hint = str(error).partition(" — ")
        yield fail(CONNECTION, problem, hint)
        yield rest_skipped(len(STEPS) - 1, CONNECTION)
    else:
        yield from (
            warn(SETTINGS, notice, "remove them from the URL, unless another program needs them")
            for notice in info.notices
        )
        identity = yield from _run_on_database(config, info)
    yield check_state(config.state_dir, identity)
    yield check_series(config.state_dir, config.max_series)
    yield check_privacy(config.state_dir)
    yield check_space(config.state_dir)


def _run_on_database(config: Config, info: ConnInfo) -> Generator[Finding, None, Identity | None]:
    """The findings on the database; returns the table's identity, if it is known."""
    done: set[str] = set()
    try:
        with one_session(config, info, "check", SECONDS, config.scrape.timeout) as session:
            context = CheckContext(config, info, session)
            yield from _take_steps(context, done)
            return session.identity(context.log) if log_table.COLUMNS in done else None
    except DatabaseError as error:
        yield fail(CONNECTION, error.detail, error.hint)
        yield rest_skipped(len(STEPS) - 1, CONNECTION)
        return None


def _take_steps(context: CheckContext, passed: set[str]) -> Iterator[Finding]:
    for number, step in enumerate(STEPS):
        if context.session.lost:
            yield rest_skipped(len(STEPS) - number, CONNECTION)
            return
        missing = [need for need in step.needs if need not in passed]
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
            detail = f"the server refuses the query of this check: {told.said or told.message}"
            return [warn(step.name, detail, "no metric depends on it: check it by hand")]
        return [fail(step.name, told.detail, told.hint)]
