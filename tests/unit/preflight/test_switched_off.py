"""Optional tables that the configuration does not name."""

from typing import Any

import pytest

from exporter.config import Config
from exporter.findings import Level
from exporter.preflight.optional import evaluate_switched_off

COLUMNS: dict[str, dict[str, str]] = {
    "budgets": {"user": "user_id", "limit": "max_budget", "period": "='30d'"},
    "group_budgets": {"group": "team_id"},
    "routes": {"operation": "name"},
    "recommendations": {"savings": "usd"},
    "approvals": {"status": "state"},
}


@pytest.mark.parametrize("section", COLUMNS)
@pytest.mark.parametrize("source", ["helix", "litellm"])
def test_columns_of_a_table_that_is_not_named_are_a_warning(section: str, source: str) -> None:
    settings: dict[str, Any] = {"source": source, "tables": {section: None}, "columns": {section: COLUMNS[section]}}
    (finding,) = evaluate_switched_off(section, Config.model_validate(settings))
    assert finding.level is Level.WARN
    assert f"columns.{section}" in finding.detail
    assert f"tables.{section}" in finding.hint


@pytest.mark.parametrize("columns", [{}, {"limit": None}])
def test_without_columns_it_is_as_it_was_meant(columns: dict[str, Any]) -> None:
    settings = {"tables": {"budgets": None}, "columns": {"budgets": columns, "group_budgets": {}}}
    config = Config.model_validate(settings)
    (finding,) = evaluate_switched_off("budgets", config)
    assert (finding.level, finding.detail) == (
        Level.OK,
        "switched off in the configuration: its metrics are absent",
    )
    assert evaluate_switched_off("group_budgets", config) == []
