"""A provider's usage export: a CSV file with a date, a model and a cost in each row."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from exporter.config import Classification
from exporter.database.labels import Names
from exporter.errors import UserError
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import day_of
from exporter.reconcile.comparison import Source
from exporter.reconcile.period import By, DayRange, day_name

NAME = "provider"
"""The name of this source."""

_HEADER_LINES = 30
"""Lines among which the header is looked for: some exports begin with the invoice's own data."""


@dataclass(frozen=True)
class ExportColumns:
    """The columns of an export, each by the names that it may have. Without a currency column it is USD."""

    date: Sequence[str]
    model: Sequence[str]
    cost: Sequence[str]
    currency: Sequence[str] = ()


PROVIDERS: Mapping[str, ExportColumns] = {
    "OpenAI": ExportColumns(("start_time_iso", "start_time"), ("line_item",), ("amount_value",), ("amount_currency",)),
    "Anthropic": ExportColumns(("usage_date_utc",), ("model",), ("cost_usd",)),
    "Google": ExportColumns(("usage start date",), ("sku description",), ("unrounded cost ($)", "cost ($)")),
    "OpenRouter": ExportColumns(("created_at",), ("model_permaslug",), ("cost_total",)),
    "DeepSeek": ExportColumns(("start_time_iso", "utc_date"), ("model",), ("cost",), ("currency",)),
}
"""The cost exports of these providers, with their columns' names in lower case."""


@dataclass(frozen=True)
class Charge:
    """A row: when (seconds since the epoch), which model as the provider names it, and money units."""

    at: int
    model: str
    units: int


def parse_columns(text: str) -> ExportColumns:
    """The columns that an option names: `date=…,model=…,cost=…`. Raises `UserError`."""
    named = dict(part.partition("=")[::2] for part in text.split(","))
    if not {"date", "model", "cost"} <= named.keys() <= {"date", "model", "cost", "currency"} or not all(
        named.values()
    ):
        raise UserError(
            "--provider-columns: write date=COLUMN,model=COLUMN,cost=COLUMN, and currency=COLUMN if there is one"
        )
    return ExportColumns(**{name: (column.strip().lower(),) for name, column in named.items()})


def read_charges(path: Path, columns: ExportColumns | None) -> list[Charge]:
    """The rows of an export. Raises `UserError` where it is none, or not in USD."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(
            f"--provider-csv {path}: {getattr(error, 'strerror', None) or 'not a text in UTF-8'} — name a cost export"
        ) from None
    return list(charges(text, str(path), columns))


def charges(text: str, name: str, columns: ExportColumns | None = None) -> Iterator[Charge]:
    """The rows of an export's text; `name` is for messages."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise UserError(f"--provider-csv {name}: {error}") from None
    for number, row in enumerate(rows[:_HEADER_LINES]):
        header = [cell.strip().lower() for cell in row]
        if row[:1] == ["Currency"] and row[1:2] != ["USD"]:
            raise UserError(f"--provider-csv {name}: the amounts are in {row[1]} — export them in USD")
        for found in PROVIDERS.values() if columns is None else (columns,):
            positions = _positions(header, found)
            if positions is not None:
                yield from _charges(rows[number + 1 :], positions, f"--provider-csv {name}", number + 2)
                return
    known = ", ".join(PROVIDERS)
    raise UserError(
        f"--provider-csv {name}: no header of a cost export by {known} — name the columns with --provider-columns"
        if columns is None
        else f"--provider-csv {name}: no header with the columns of --provider-columns"
    )


def _positions(header: Sequence[str], columns: ExportColumns) -> dict[str, int] | None:
    found = {}
    for role in ("date", "model", "cost", "currency"):
        names = getattr(columns, role)
        position = next((header.index(name) for name in names if name in header), None)
        if position is not None:
            found[role] = position
        elif names:
            return None
    return found


def _charges(rows: Sequence[Sequence[str]], at: Mapping[str, int], name: str, first: int) -> Iterator[Charge]:
    for number, row in enumerate(rows, first):
        # blank lines, and totals that have no date
        if len(row) <= max(at.values()) or not row[at["date"]].strip():
            continue
        if "currency" in at and row[at["currency"]].strip().upper() not in ("USD", ""):
            raise UserError(f"{name}: row {number} is in {row[at['currency']]} — export the costs in USD")
        try:
            cost = Decimal(row[at["cost"]].strip().replace("$", "").replace(",", "") or "0")
            moment = _moment(row[at["date"]].strip())
        except (InvalidOperation, ValueError, OverflowError, OSError):
            raise UserError(f"{name}: row {number} has no date or no cost: {', '.join(row)[:120]}") from None
        if not cost.is_finite():
            raise UserError(f"{name}: row {number} has no cost: {', '.join(row)[:120]}")
        # "gpt-4o-2024-08-06, input": a line of the bill for each kind of token
        yield Charge(moment, row[at["model"]].split(", ")[0], money_units(cost))


def _moment(text: str) -> int:
    if re.fullmatch(r"[0-9]{8}", text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    elif re.fullmatch(r"[0-9]{9,11}(\.[0-9]+)?", text):
        return int(float(text))
    moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def as_source(found: Sequence[Charge], rules: Classification, by: By, period: DayRange) -> Source:
    """What the provider charges for the period; only in total where it does not know what amounts are told apart by."""
    inside = [charge for charge in found if period.lo <= charge.at < period.hi]
    note = "" if inside else "no row of the export is in the period"
    total = sum(charge.units for charge in inside)
    if by not in ("model", "day"):
        return Source(NAME, total=total, note=note or "the provider knows no " + by + "s")
    names, amounts = Names(rules), dict[str, int]()
    for charge in inside:
        key = names.model(charge.model) if by == "model" else day_name(day_of(charge.at, period.zone))
        amounts[key] = amounts.get(key, 0) + charge.units
    return Source(NAME, amounts, note=note)
