"""What `reconcile` prints: a table for people, or JSON for a script."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exporter.catalog import USD
from exporter.moments import as_utc
from exporter.reconcile.budgets import WrongBudget, WrongEstimate
from exporter.reconcile.comparison import Comparison, Deviation, Line
from exporter.reconcile.period import By, DayRange
from exporter.reports.table import render_table

MOST_LINES = 30
"""Lines that a table has, beside those that differ."""

MOST_CORRECTIONS = 20
"""Budget rows that a table names."""


@dataclass(frozen=True)
class Report:
    """The comparison, and what else disagrees with the log. `by_id` says that users are shown by their ids."""

    by: By
    period: DayRange
    tolerance: Decimal
    comparison: Comparison
    budgets: Sequence[WrongBudget] = ()
    estimates: Sequence[WrongEstimate] = ()
    by_id: bool = True

    @property
    def exit_code(self) -> int:
        """1 where a source differs from the log past the tolerance."""
        return int(self.comparison.off)


def as_table(report: Report) -> str:
    """The report for people."""
    found, sources = report.comparison, report.comparison.sources
    headers = [report.by, "log $", *(f"{s.name} $" for s in sources), *(f"{s.name} -log $" for s in sources)]
    headers += [f"{s.name} %" for s in sources] + [""]
    shown = [line for number, line in enumerate(found.lines) if number < MOST_LINES or line.off]
    rows = [_row(line) for line in (*shown, found.total)]
    days = f"{as_utc(report.period.lo)} to {as_utc(report.period.hi)}, days in {report.period.zone.key}"
    lines = [days, "", render_table(headers, rows, right=headers[1:-1])]
    if hidden := len(found.lines) - len(shown):
        lines.append(f"and {hidden} more that agree")
    lines += [f"{source.name}: {source.note}" for source in sources if source.note]
    lines += ["", *_estimates(report), *_budgets(report)]
    verdict = f"past {_percent(report.tolerance)}" if found.off else f"all within {_percent(report.tolerance)}"
    return "\n".join([*lines, verdict])


def _row(line: Line) -> list[str]:
    amounts = ["-" if cell is None else _dollars(cell.amount) for cell in line.cells]
    differences = ["-" if cell is None else f"{_usd(cell.difference):+,.6f}" for cell in line.cells]
    mark = "differs" if line.off else ""
    return [line.key, _dollars(line.logged), *amounts, *differences, *map(_share, line.cells), mark]


def _share(cell: Deviation | None) -> str:
    if cell is None:
        return "-"
    if cell.share is None:
        return "0.00" if cell.difference == 0 else "new"
    return f"{100 * cell.share:+.2f}"


def _estimates(report: Report) -> list[str]:
    if not report.estimates:
        return []
    headers = ["operation", "calls", "$ a call", "route's estimate $", "%"]
    rows = [
        [
            each.operation,
            str(each.calls),
            _dollars(each.logged),
            _dollars(each.estimated),
            "new" if not each.estimated else f"{100 * (Decimal(each.logged) / each.estimated - 1):+.2f}",
        ]
        for each in report.estimates
    ]
    return ["Operations that depart from their route's estimated cost:", render_table(headers, rows, headers[1:]), ""]


def _budgets(report: Report) -> list[str]:
    if not report.budgets:
        return []
    if not report.by_id:
        return [
            f"Budget rows that disagree with the log: {len(report.budgets)}; users.mode must be id to name them",
            "",
        ]
    headers = ["user", "of", "recorded $", "log $"]
    named = report.budgets[:MOST_CORRECTIONS]
    rows = [[each.user, each.window, _dollars(each.recorded), _dollars(each.logged)] for each in named]
    more = len(report.budgets) - len(named)
    return [
        f"Budget rows that disagree with the log: {len(report.budgets)}",
        render_table(headers, rows, headers[2:]),
        *([f"and {more} more: --json has all"] if more else []),
        "",
        "To correct them:",
        *(each.correction for each in named),
        "",
    ]


def as_text_json(report: Report) -> str:
    """The report for a script: amounts in USD, as texts with all their digits."""
    found = report.comparison
    whole = {
        "from": as_utc(report.period.lo),
        "to": as_utc(report.period.hi),
        "time_zone": report.period.zone.key,
        "by": report.by,
        "tolerance": str(report.tolerance),
        "agrees": not found.off,
        "sources": [{"name": source.name, "note": source.note} for source in found.sources],
        "total": _fields(found.total, found),
        "lines": [{report.by: line.key, **_fields(line, found)} for line in found.lines],
        "estimates": [
            {
                "operation": each.operation,
                "calls": each.calls,
                "usd_a_call": _text(each.logged),
                "estimated_usd": _text(each.estimated),
            }
            for each in report.estimates
        ],
        "budgets": [
            {
                "user": each.user,
                "window": each.window,
                "recorded_usd": _text(each.recorded),
                "log_usd": _text(each.logged),
                "correction": each.correction,
            }
            for each in (report.budgets if report.by_id else ())
        ],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _fields(line: Line, found: Comparison) -> dict[str, Any]:
    return {
        "log_usd": _text(line.logged),
        **{
            source.name: None
            if cell is None
            else {"usd": _text(cell.amount), "difference_usd": _text(cell.difference), "differs": cell.off}
            for source, cell in zip(found.sources, line.cells, strict=True)
        },
    }


def _usd(units: int) -> Decimal:
    return Decimal(units) / USD


def _dollars(units: int) -> str:
    """Money to the micro-dollar, as both layouts hold it."""
    return f"{_usd(units):,.6f}"


def _text(units: int) -> str:
    return f"{_usd(units):f}"


def _percent(share: Decimal) -> str:
    return f"{(100 * share).normalize():f} %"
