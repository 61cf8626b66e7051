"""The prices by which the cost of calls is checked: what holds, where it is from, and which operations use it."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from psycopg import sql

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.labels import Names
from exporter.database.log_table import name_column, operation_columns
from exporter.database.log_time import instant, span_bounds
from exporter.database.one_session import one_session
from exporter.database.session import Session
from exporter.ledger.calendar import DAY, QUARTER_HOUR, floor_to
from exporter.ledger.model import TimeRange
from exporter.prices.book import Entry, PriceBook
from exporter.prices.listed import PriceList
from exporter.prices.model import DatedPrice, Rate, in_usd, valid_from_text
from exporter.reports.table import render_table
from exporter.state.prices import PRICES
from exporter.state.store import peek

_SECONDS = 60.0
_MOST_PAIRS = 10_000
_UNKNOWN = "no price is known: write one into prices: of the configuration"

_USED = sql.SQL("""
SELECT model, operation, operation_type
FROM (SELECT {instant} AS at, {model} AS model, {operation} AS operation, {operation_type} AS operation_type
      FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s) AS raw
WHERE at >= %(lo)s AND at < %(hi)s
GROUP BY 1, 2, 3 LIMIT %(most_pairs)s
""")


@dataclass(frozen=True)
class Shown:
    """A price of a model, and since when rows are counted by it; without a price, the model's is not known."""

    model: str
    operations: tuple[str, ...]
    dated: DatedPrice | None
    counted_since: int | None


def run_prices(
    config: Config,
    environ: Mapping[str, str],
    model: str | None,
    days: int,
    out: TextIO,
    *,
    offline: bool,
    as_json: bool,
) -> int:
    """Print the prices of models in the log, the configuration and the state; returns 0. Raises `UserError`."""
    listed = PriceList.of(config)
    # what differs from the list that the exporter was started with counts from now on, once it is started anew
    book = PriceBook(listed, kept_prices(config), -floor_to(-int(time.time()), QUARTER_HOUR))
    used: dict[str, set[str]] = {}
    if not offline:
        with one_session(config, resolve_conninfo(config, environ), "prices", _SECONDS) as session:
            used = read_used(session, config, days)
    known = {*used, *listed.configured, *book.entries()}
    wanted = known if model is None else {config.models.aliases.get(model, model)}
    shown = [each for name in sorted(wanted) for each in _of_model(book, name, sorted(used.get(name, ())))]
    print(as_text_json(shown) if as_json else as_table(shown, with_operations=not offline), file=out)
    return 0


def kept_prices(config: Config) -> Any:
    """The price book in the state folder, read beside a running exporter; None where there is none."""
    try:
        with peek(config.state_dir) as db:
            rows = [] if db is None else db.execute("SELECT value FROM meta WHERE name = ?", (PRICES,)).fetchall()
        return json.loads(rows[0][0]) if rows else None
    except (sqlite3.Error, ValueError):
        return None


def read_used(session: Session, config: Config, days: int) -> dict[str, set[str]]:
    """The operations that have called each model in the last days."""
    rules = config.classification()
    log, names = session.log(rules), Names(rules)
    span = TimeRange(int(session.clock) - days * DAY, int(session.clock) + 1)
    operation, operation_type = operation_columns(log)
    statement = _USED.format(
        instant=instant(log, rules),
        model=name_column(log, "model"),
        operation=operation,
        operation_type=operation_type,
        table=log.source(),
        time=log.column("time"),
    )
    parameters = span_bounds(log, rules, span) | {"most_pairs": _MOST_PAIRS}
    used: dict[str, set[str]] = {}
    for model, operation_id, kind in session.run(statement, parameters):
        used.setdefault(names.model(model), set()).add(names.operation(operation_id, kind))
    return used


def _of_model(book: PriceBook, model: str, operations: Sequence[str]) -> Iterator[Shown]:
    # looked up first: it is entered with that
    book.price(model, 0)
    entries: Iterable[Entry] = book.entries().get(model, (Entry(None, None),))
    for entry in entries:
        for dated in (None,) if entry.listing is None else entry.listing.prices:
            yield Shown(model, tuple(operations), dated, entry.since)


def as_table(shown: Sequence[Shown], *, with_operations: bool) -> str:
    """A table for people: prices in USD per million tokens."""
    headers = ["model", "input $", "cached $", "output $", "valid from (UTC)", "counted since", "source", "operations"]
    rows = []
    for each in shown:
        since = valid_from_text(each.counted_since)
        operations = ", ".join(each.operations) or "-"
        if each.dated is None:
            rows.append([each.model, "-", "-", "-", "-", since, _UNKNOWN, operations])
            continue
        price = each.dated.price
        cached = "-" if price.cached is None else _rate(price.cached)
        rates = [_rate(price.input), cached, _rate(price.output)]
        rows.append([each.model, *rates, _valid(each.dated), since, each.dated.source, operations])
    if not with_operations:
        headers.pop()
        rows = [row[:-1] for row in rows]
    return render_table(headers, rows, right=headers[1:4]) if rows else "no models"


def _rate(rate: Rate) -> str:
    tiers = "".join(f", {_usd(price)} above {size:,} tokens" for size, price in rate.tiers)
    return f"{_usd(rate.base)}{tiers}"


def _usd(units: int) -> str:
    return f"{in_usd(units).normalize():f}"


def _valid(dated: DatedPrice) -> str:
    since = valid_from_text(dated.valid_from)
    if dated.hours is None:
        return since
    start, end = (f"{second // 3600:02d}:{second % 3600 // 60:02d}" for second in dated.hours)
    return f"{since}, {start} to {end}"


def as_text_json(shown: Sequence[Shown]) -> str:
    """A JSON array, one object a price; amounts in USD per million tokens, as texts with all their digits."""
    return json.dumps([_fields(each) for each in shown], indent=2, ensure_ascii=False)


def _fields(each: Shown) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": each.model,
        "known": each.dated is not None,
        "counted_since": each.counted_since and valid_from_text(each.counted_since),
        "operations": list(each.operations),
    }
    if each.dated is None:
        return fields
    price = each.dated.price
    rates = {"input": price.input, "output": price.output, "cached": price.cached}
    return {
        **fields,
        "source": each.dated.source,
        "valid_from": each.dated.valid_from and valid_from_text(each.dated.valid_from),
        "hours_utc_seconds": each.dated.hours,
        **{name: rate and _usd(rate.base) for name, rate in rates.items()},
        "tiers": {
            name: {str(size): _usd(units) for size, units in rate.tiers}
            for name, rate in rates.items()
            if rate and rate.tiers
        },
        "call": _usd(price.call),
    }
