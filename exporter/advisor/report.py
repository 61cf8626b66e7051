"""What `recommend` prints: text for a terminal, Markdown for a page, JSON for a script."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from exporter.advisor.model import ALL, LEAST_CALLS, Recommendation, usd
from exporter.advisor.store import Stored
from exporter.humanize import printable

Format = Literal["text", "json", "markdown"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Report:
    """The recommendations for the last days, and what became of them where they were stored."""

    days: float
    recommendations: Sequence[Recommendation]
    stored: Stored | None = None

    @property
    def saving(self) -> Decimal:
        """USD a day that all of them save together, if nothing is counted twice."""
        return sum((each.saving for each in self.recommendations), Decimal(0))


def as_text(report: Report) -> str:
    """The report for a terminal, with the evidence below each recommendation."""
    parts = [_summary(report)]
    for number, each in enumerate(report.recommendations, 1):
        evidence = (f"  {line}" for line in each.evidence.splitlines())
        lines = [f"{number}. {each.title}", _about(each), each.reasoning, "", *evidence]
        parts.append("\n   ".join(map(printable, lines)).replace("\n   \n", "\n\n"))
    return "\n\n".join(parts)


def as_markdown(report: Report) -> str:
    """The report as a page in Markdown."""
    parts = ["# What should change", _summary(report)]
    for each in report.recommendations:
        fence = _fence(each.evidence)
        parts += [
            f"## {_escaped(each.title)}",
            f"*{_escaped(_about(each))}*",
            _escaped(each.reasoning),
            "\n".join([f"{fence}sql", *map(printable, each.evidence.splitlines()), fence]),
        ]
    return "\n\n".join(parts)


def as_json(report: Report) -> str:
    """The report for a script: amounts in USD, as texts with all their digits."""
    whole = {
        "days": report.days,
        "saving_usd_per_day": f"{report.saving:f}",
        "stored": report.stored and {"new": report.stored.new, "known": report.stored.known},
        "recommendations": [_fields(each) for each in report.recommendations],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _fields(each: Recommendation) -> dict[str, Any]:
    return {
        "type": each.kind,
        "operation": each.operation,
        "model": each.model,
        "title": each.title,
        "reasoning": each.reasoning,
        "found": {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in each.figures.items()},
        "proposed": dict(each.proposal),
        "saving_usd_per_day": f"{each.saving:f}",
        "confidence": f"{each.confidence:f}",
        "evidence": each.evidence,
    }


def _summary(report: Report) -> str:
    days = f"{report.days:g} day{'s' if report.days != 1 else ''}"
    if not report.recommendations:
        return f"Nothing to recommend for the last {days}; fewer than {LEAST_CALLS} calls are too few to judge."
    known = [each for each in report.recommendations if each.saving]
    count = len(report.recommendations)
    said = f"{count} recommendation{'s' if count != 1 else ''} for the last {days}"
    if known:
        said += f"; {len(known)} of them would save {usd(report.saving)} a day together, if none overlap"
    if report.stored is not None:
        said += f". Written: {report.stored.new} new; {report.stored.known} were there already"
    return f"{said}."


def _about(each: Recommendation) -> str:
    where = "the log" if each.operation == ALL else each.operation
    saving = f"saves {usd(each.saving)} a day" if each.saving else "saving unknown"
    return ", ".join([each.kind, where, *([each.model] if each.model else []), saving, f"confidence {each.confidence}"])


def _escaped(text: str) -> str:
    """A text that means itself in Markdown, whatever names are in it."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|!&" else each for each in printable(text))


def _fence(text: str) -> str:
    """A fence that does not stand in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return fence
