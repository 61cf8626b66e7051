"""Read the log and the sources that are wanted, and compare them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.one_session import one_session
from exporter.database.session import Session
from exporter.errors import UserError
from exporter.ledger.calendar import day_of, day_start, month_start_day
from exporter.ledger.model import OTHER
from exporter.moments import named_moment
from exporter.reconcile import budgets, history, provider, recorded
from exporter.reconcile.comparison import Source, compare, with_overflow
from exporter.reconcile.log import logged
from exporter.reconcile.period import By, DayRange
from exporter.reconcile.report import Report, as_table, as_text_json
from exporter.reports.shown_users import pseudonyms
from exporter.verify.prometheus import EXPORTER_JOB
from exporter.verify.web import Part
from exporter.zones import find_zone, zone_hint

_SECONDS = 600.0
_STATEMENT_SECONDS = 300.0
_UTC = "UTC"


@dataclass(frozen=True)
class Wanted:
    """What to reconcile, as the options say it."""

    since: str | None = None
    until: str | None = None
    by: By = "model"
    time_zone: str | None = None
    prometheus: str | None = None
    prometheus_job: str = EXPORTER_JOB
    provider_csv: Path | None = None
    provider_columns: str | None = None
    tolerance: Decimal = Decimal("0.01")


def run_reconcile(config: Config, environ: Mapping[str, str], wanted: Wanted, out: TextIO, *, as_json: bool) -> int:
    """Print the comparison; returns 1 where a source differs past the tolerance, else 0. Raises `UserError`."""
    if wanted.by == "user" and config.users.mode == "off":
        raise UserError("--by user: users.mode is off in the configuration — set it to id or hmac to show users")
    columns = None if wanted.provider_columns is None else provider.parse_columns(wanted.provider_columns)
    charges = None if wanted.provider_csv is None else provider.read_charges(wanted.provider_csv, columns)
    zone = zone_of(wanted, config)
    # before the log, which is ahead of it then, and not behind
    kept = recorded.read_recorded(config)
    with one_session(config, resolve_conninfo(config, environ), "reconcile", _SECONDS, _STATEMENT_SECONDS) as session:
        now = int(session.clock) + 1
        period = period_of(wanted, zone, now)
        sources = [recorded.as_source(kept, wanted.by, period)]
        if charges is not None:
            sources.append(provider.as_source(charges, config.classification(), wanted.by, period))
        report = _compared(session, config, wanted, period, now, sources)
    print(as_text_json(report) if as_json else as_table(report), file=out)
    return report.exit_code


def _compared(
    session: Session, config: Config, wanted: Wanted, period: DayRange, now: int, sources: list[Source]
) -> Report:
    rules = config.classification().without_error_classes()
    log = session.log(rules)
    label = pseudonyms(config).of if wanted.by == "user" else str
    amounts: dict[str, int] = {}
    for key, (units, _) in logged(session, log, rules, wanted.by, period).items():
        if units:
            amounts[label(key)] = amounts.get(label(key), 0) + units
    estimates = budgets.wrong_estimates(session, config, log, rules, wanted.tolerance, period)
    wrong = budgets.wrong_budgets(
        session, config, rules, wanted.tolerance, DayRange(period.lo, now, ZoneInfo(config.budget_time_zone))
    )
    if wanted.prometheus is not None:
        part = Part(wanted.prometheus)
        sources.append(history.read_history(part, wanted.prometheus_job, wanted.by, period))
    known = sources[0].amounts
    if known is not None and wanted.by in ("operation", "model"):
        # of an operation as of a model
        amounts = with_overflow(amounts, known, OTHER.operation)
    comparison = compare(amounts, sources, wanted.tolerance)
    return Report(
        by=wanted.by,
        period=period,
        tolerance=wanted.tolerance,
        comparison=comparison,
        budgets=wrong,
        estimates=estimates,
        by_id=config.users.mode == "id",
    )


def zone_of(wanted: Wanted, config: Config) -> ZoneInfo:
    """The zone whose midnights divide the days. Raises `UserError` for an unknown one."""
    # a provider's days are UTC
    usual = _UTC if wanted.provider_csv else config.budget_time_zone
    name = usual if wanted.time_zone is None else wanted.time_zone
    if (zone := find_zone(name)) is None:
        raise UserError(f"--time-zone {name!r}: {zone_hint(name)}")
    return zone


def period_of(wanted: Wanted, zone: ZoneInfo, now: int) -> DayRange:
    """The period that the options name: by default the month so far. Raises `UserError`."""
    today = day_of(now, zone)
    lo = day_start(month_start_day(today), zone) if wanted.since is None else _moment("--from", wanted.since, zone)
    hi = day_start(today + 1, zone) if wanted.until is None else _moment("--to", wanted.until, zone)
    if lo >= hi:
        raise UserError("--from must come before --to; the day that --to names is not in the period any more")
    return DayRange(lo, hi, zone)


def _moment(option: str, text: str, zone: ZoneInfo) -> int:
    try:
        moment = named_moment(text, zone)
        second = moment.timestamp()
        if not datetime(1970, 1, 2, tzinfo=UTC).timestamp() <= second <= datetime(9000, 1, 1, tzinfo=UTC).timestamp():
            raise ValueError
    except (ValueError, OverflowError, OSError):
        raise UserError(f"{option}: not a day or a time — write it like 2026-06-01 or 2026-06-01T12:00") from None
    return int(second)
