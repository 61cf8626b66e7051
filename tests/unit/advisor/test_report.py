"""The recommendations as text, as JSON and as Markdown."""

import json
from decimal import Decimal
from typing import Any

import pytest

from exporter.advisor.model import ALL, Recommendation
from exporter.advisor.report import Report, as_json, as_markdown, as_text
from exporter.advisor.store import Stored, row

EVIDENCE = "SET search_path = pg_catalog, pg_temp;\nSELECT 'a``` b' AS x;"


def recommendation(**more: Any) -> Recommendation:
    """One with hostile names."""
    return Recommendation(
        **{
            "kind": "model_switch",
            "operation": "a|b *c* <d>",
            "model": "dear",
            "title": "Try [it] for a|b *c* <d>",
            "reasoning": "It costs $1.00.",
            "figures": {"calls": 5, "usd": Decimal("1E+2")},
            "proposal": {"model": "cheap"},
            "saving": Decimal("0.5"),
            "confidence": Decimal("0.70"),
            "evidence": EVIDENCE,
            **more,
        }
    )


def test_text_has_the_saving_the_confidence_and_the_sql() -> None:
    text = as_text(Report(7, [recommendation()]))
    assert text.splitlines() == [
        "1 recommendation for the last 7 days; 1 of them would save $0.50 a day together, if none overlap.",
        "",
        "1. Try [it] for a|b *c* <d>",
        "   model_switch, a|b *c* <d>, dear, saves $0.50 a day, confidence 0.70",
        "   It costs $1.00.",
        "",
        "     SET search_path = pg_catalog, pg_temp;",
        "     SELECT 'a``` b' AS x;",
    ]


def test_what_was_stored_is_said() -> None:
    text = as_text(Report(7, [recommendation(saving=Decimal(0), operation=ALL, model=None)], Stored(1, 2)))
    assert "Written: 1 new; 2 were there already." in text
    assert "model_switch, the log, saving unknown, confidence 0.70" in text


@pytest.mark.parametrize("days", [1, 0.25, 30])
def test_nothing_to_recommend_is_said(days: float) -> None:
    text = as_text(Report(days, []))
    assert text.startswith(f"Nothing to recommend for the last {days:g} day")
    assert as_markdown(Report(days, [])) == f"# What should change\n\n{text}"


def test_markdown_shows_names_as_they_are() -> None:
    text = as_markdown(Report(7, [recommendation()]))
    assert "## Try \\[it\\] for a\\|b \\*c\\* \\<d\\>" in text
    # a fence in the evidence does not end the block
    assert f"````sql\n{EVIDENCE}\n````" in text


def test_json_has_every_field_and_exact_amounts() -> None:
    found = json.loads(as_json(Report(7, [recommendation()], Stored(1, 0))))
    assert found["saving_usd_per_day"] == "0.5"
    assert found["stored"] == {"new": 1, "known": 0}
    (each,) = found["recommendations"]
    assert each["found"] == {"calls": 5, "usd": "100"}
    assert each["evidence"] == EVIDENCE
    assert each["confidence"] == "0.70"


def test_a_row_holds_no_number_that_json_cannot() -> None:
    written = row(recommendation())
    assert json.loads(written["current_config"]) == {"model": "dear", "calls": 5, "usd": "100"}
    assert json.loads(written["proposed_config"]) == {"model": "cheap"}
    assert written["reasoning"].endswith(EVIDENCE)
