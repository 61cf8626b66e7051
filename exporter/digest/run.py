"""Make a digest, and send it, or write it into a folder."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.one_session import one_session
from exporter.digest.ahead import foretell
from exporter.digest.fired import read_fired
from exporter.digest.message import PICTURE, as_markdown, payload
from exporter.digest.model import Digest, DigestForecast, FiredAlert, LeftOut
from exporter.digest.odd import find_anomalies
from exporter.digest.picture import draw, require_matplotlib
from exporter.digest.reading import Weeks, part, read_day, read_recommendations, read_spend, read_users, read_weeks
from exporter.digest.webhook import deliver, find_webhook
from exporter.errors import UserError
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import day_of
from exporter.verify.web import Part, UnansweredError

TEXT = "digest.md"
"""The file with the message of a dry run."""

_NO_COSTS = "The log has no costs: amounts are not known"

_SECONDS, _STATEMENT_SECONDS = 600.0, 300.0
_PATIENCE = 300.0
"""Seconds that a digest may wait for Discord."""


@dataclass(frozen=True)
class Wanted:
    """What a digest is made of: the day by its ordinal (None: yesterday), and the sources beside the log."""

    day: int | None = None
    prometheus: str | None = None
    picture: bool = True


@dataclass(frozen=True)
class Made:
    """A digest, and its picture, if there is one."""

    digest: Digest
    picture: bytes | None

    @property
    def files(self) -> Mapping[str, bytes]:
        """The message's files, by name."""
        return {} if self.picture is None else {PICTURE: self.picture}


def make_digest(config: Config, environ: Mapping[str, str], wanted: Wanted, notes: Sequence[str] = ()) -> Made:
    """Read all that a digest says, and draw its picture. Raises `UserError`."""
    if wanted.picture:
        require_matplotlib()
    digest = read_digest(config, environ, wanted, notes)
    return Made(digest, draw(digest) if wanted.picture else None)


def read_digest(config: Config, environ: Mapping[str, str], wanted: Wanted, notes: Sequence[str] = ()) -> Digest:
    """The figures, out of one snapshot of the log, and what the other sources say. Raises `UserError`."""
    zone = ZoneInfo(config.budget_time_zone)
    rules = config.classification().without_error_classes()
    info = resolve_conninfo(config, environ)
    with one_session(config, info, "digest", _SECONDS, _STATEMENT_SECONDS) as session:
        day = day_of(int(session.clock), zone) - 1 if wanted.day is None else wanted.day
        log = session.log(rules)
        spend = read_spend(session, log, rules, day, zone)
        figures, by_user = read_day(session, log, rules, day, zone, spend)
        made = Digest(
            zone=zone.key,
            day=figures,
            spend=spend,
            daily_limit=_units(config.daily_limit_usd),
            monthly_limit=_units(config.monthly_limit_usd),
            notes=(*notes, *(() if "cost" in log.columns else (_NO_COSTS,))),
        )
        weeks = part(session, "forecast and anomalies", lambda: read_weeks(session, log, rules, day, zone))
        users = part(session, "users' limits", lambda: read_users(session, config, by_user))
        advice = part(session, "recommendations", lambda: read_recommendations(session, info, config))
    return replace(
        made,
        users=users,
        forecast=weeks if isinstance(weeks, LeftOut) else _forecast(made, weeks, zone),
        # of both together the reason is said once
        anomalies=LeftOut("") if isinstance(weeks, LeftOut) else find_anomalies(weeks.hours, day, zone),
        recommendations=advice,
        alerts=_alerts(wanted.prometheus),
    )


def _forecast(digest: Digest, weeks: Weeks, zone: ZoneInfo) -> DigestForecast | LeftOut:
    """Where the day after the digest's and its month will end, if that is today."""
    today = day_of(weeks.now, zone)
    if today != digest.day.ordinal + 1:
        return LeftOut("forecast (it is of today)")
    before = 0 if digest.month_is_over else digest.month_cost
    return foretell(
        {at: sum(each.cost for each in cells.values()) for at, cells in weeks.hours.items()},
        weeks.now,
        zone,
        today=weeks.today,
        month=before + weeks.today,
        daily_limit=digest.daily_limit,
        monthly_limit=digest.monthly_limit,
    )


def _alerts(prometheus: str | None) -> tuple[FiredAlert, ...] | LeftOut:
    if prometheus is None:
        return LeftOut("alerts (no --prometheus)")
    try:
        return read_fired(Part(prometheus), int(time.time()))
    except UnansweredError as error:
        return LeftOut(f"alerts ({error})")


def _units(usd: Decimal | None) -> int | None:
    return None if usd is None else money_units(usd)


def write_digest(config: Config, environ: Mapping[str, str], wanted: Wanted, folder: Path, out: TextIO) -> None:
    """Write message and picture into a folder, print the message, and send nothing. Raises `UserError` or `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = make_digest(config, environ, wanted)
    text = as_markdown(made.digest, picture=made.picture is not None)
    (folder / TEXT).write_text(text, encoding="utf-8")
    for name, content in made.files.items():
        (folder / name).write_bytes(content)
    print(text, file=out)
    print(f"written: {', '.join(str(folder / name) for name in (TEXT, *made.files))}", file=out)


def send_digest(config: Config, environ: Mapping[str, str], wanted: Wanted, webhook_file: Path | None) -> None:
    """Make a digest and send it, once. Raises `UserError`."""
    webhook = find_webhook(webhook_file, environ)
    made = make_digest(config, environ, wanted)
    message = payload(made.digest, picture=made.picture is not None)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    deliver(webhook, message, made.files, _PATIENCE, wait)


def parse_day(text: str, config: Config, now: datetime | None = None) -> int:
    """The ordinal of the day that `--day` names. Raises `UserError` for one that is not over."""
    zone = ZoneInfo(config.budget_time_zone)
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--day {text!r}: write a date such as 2026-01-31") from None
    if not date(1971, 1, 1) <= day < today:
        raise UserError(f"--day {text!r}: write a date before today, {today.isoformat()} in {zone.key}")
    return day.toordinal()
