"""Budgets with a period in the configuration: what is accepted, and what is refused with a hint."""

from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config import Config
from exporter.config.columns import BudgetColumns, GroupBudgetColumns
from exporter.database.layout import BUDGET_ROLES, GROUP_BUDGET_ROLES, PERIOD_BUDGET_ROLES, roles_of
from exporter.database.period_budgets import configured_budgets
from exporter.ledger.period_spend import BudgetKey
from exporter.ledger.spenders import group_key


def budgets(**written: Any) -> Config:
    return Config.model_validate({"budgets": [written]})


@pytest.mark.parametrize(("written", "name"), [("30d", "30d"), ("Weekly", "week"), ("1mo", "month"), ("24h", "day")])
def test_a_period_has_one_name(written: str, name: str) -> None:
    (budget,) = budgets(limit_usd=5, period=written, reset_at="2026-12-01").budgets
    assert (budget.user, budget.period) == (None, name)
    assert budget.reset_seconds == 1_796_083_200


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"period": "12h"}, "write day, week or month, or whole days or months"),
        ({"period": 30}, "write day, week or month, or whole days or months"),
        ({"period": "365d"}, "at most 92 days"),
        ({"period": "30d"}, "write a moment at which a period ends"),
        ({"period": "week", "limit_usd": 0}, "above 0"),
        ({"period": "week", "soft_limit_usd": 6}, "write at most limit_usd"),
        ({"period": "week", "reset_at": "soon"}, "write a date or a time"),
        ({"period": "week", "reset_at": "0001-01-01T00:00+14:00"}, "write a date or a time"),
        ({"period": "week", "reset_at": "0001-01-01"}, "within ten years"),
        ({"period": "30d", "reset_at": "2000-01-01T00:00Z"}, "within ten years"),
        ({"period": "30d", "reset_at": "9999-12-31T23:59Z"}, "within ten years"),
        ({"period": "week", "reset_at": "9999-12-31T23:00-14:00"}, "write a date or a time"),
        ({"period": "week", "user": " "}, "not empty"),
        ({"period": "week", "group": " "}, "not empty"),
        ({"period": "week", "group": 7}, "string"),
        ({"period": "week", "group": "red", "user": "ann"}, "write a user or a group"),
        ({"period": "week", "group": "red", "user": "red"}, "write a user or a group"),
        ({"period": "30d", "group": "red"}, "write a moment at which a period ends"),
        ({"period": "week", "group": "red"}, r"columns\.log\.group"),
    ],
)
def test_what_cannot_be_meant_is_refused(written: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        budgets(**{"limit_usd": 5, **written})


@pytest.mark.parametrize("written", ["=NULL", None])
def test_budgets_of_groups_need_groups_in_the_log(written: str | None) -> None:
    with pytest.raises(ValidationError, match=r"columns\.log\.group"):
        Config.model_validate(
            {
                "columns": {"log": {"group": written}},
                "budgets": [{"limit_usd": 5, "period": "week"}, {"group": "red", "limit_usd": 5, "period": "week"}],
            }
        )


def test_a_group_has_one_budget_for_a_period_and_a_user_of_its_name_another() -> None:
    one = {"group": "ann", "limit_usd": 5, "period": "week"}
    columns = {"log": {"group": "team"}}
    with pytest.raises(ValidationError, match="write one week budget for 'ann'"):
        Config.model_validate({"columns": columns, "budgets": [one, {**one, "period": "weekly"}]})
    others = [{**one, "period": "month"}, {"user": "ann", "limit_usd": 5, "period": "week"}]
    config = Config.model_validate({"columns": columns, "budgets": [one, *others]})
    assert config.has_period_budgets_of_groups
    assert configured_budgets(config).keys() == {
        BudgetKey(group_key("ann"), "week"),
        BudgetKey(group_key("ann"), "month"),
        BudgetKey("ann", "week"),
    }


def test_a_user_has_one_budget_for_a_period() -> None:
    one = {"user": "ann", "limit_usd": 5, "period": "week"}
    with pytest.raises(ValidationError, match="write one week budget for 'ann'"):
        Config.model_validate({"budgets": [one, {**one, "period": "weekly"}]})
    Config.model_validate({"budgets": [one, {**one, "period": "month"}, {"limit_usd": 5, "period": "week"}]})


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"limit": "l"}, "write period too"),
        ({"reset_at": "r"}, "write period too"),
        ({"period": "p"}, "write limit too"),
        ({"period": "p", "limit": "l", "daily_limit": "d"}, "leave this out"),
        ({"period": "='12h'", "limit": "l"}, "write day, week or month"),
        ({"period": "=month", "limit": "l"}, "write a column, or one period for all rows"),
        ({"period": "='", "limit": "l"}, "write day, week or month"),
    ],
)
def test_columns_of_budgets_are_daily_or_of_periods(written: dict[str, Any], hint: str) -> None:
    for columns in (BudgetColumns, GroupBudgetColumns):
        with pytest.raises(ValidationError, match=hint):
            columns.model_validate(written)


@pytest.mark.parametrize(
    ("written", "fixed", "column"), [("='Monthly'", "month", None), ("duration", None, "duration")]
)
def test_a_period_is_a_column_or_that_of_all_rows(written: str, fixed: str | None, column: str | None) -> None:
    columns = {"budgets": {"limit": "max_budget", "period": written}}
    config = Config.model_validate({"columns": columns})
    roles, explicit = roles_of("budgets", config.columns)
    assert roles is PERIOD_BUDGET_ROLES
    assert (config.columns.budgets.fixed_period, explicit["period"]) == (fixed, column)
    # what `config show` prints says the same again
    again = Config.model_validate(config.model_dump(mode="json"))
    assert again.columns.budgets == config.columns.budgets


def test_the_columns_of_groups_are_those_of_users_but_for_whose_they_are() -> None:
    for written in ({"group": "team_id", "limit": "max_budget", "period": "='30d'"}, {"group": "team_id"}):
        config = Config.model_validate({"columns": {"group_budgets": written}})
        roles, explicit = roles_of("group_budgets", config.columns)
        of_users = PERIOD_BUDGET_ROLES if "period" in written else BUDGET_ROLES
        assert [*roles] == ["group", *list(of_users)[1:]]
        assert explicit["group"] == "team_id"
        assert not config.has_period_budgets_of_groups
        assert Config.model_validate(config.model_dump(mode="json")).columns == config.columns


@pytest.mark.parametrize(
    "settings",
    [
        {"columns": {"log": {"group": "team"}}},
        {"columns": {"log": {"group": "=meta ->> 'team'"}}},
        {"source": "litellm"},
        {"source": "one-api", "columns": {"log": {"group": "token_name"}}},
    ],
)
def test_a_table_of_groups_limits_goes_with_a_log_that_has_groups(settings: dict[str, Any]) -> None:
    config = Config.model_validate({**settings, "tables": {"group_budgets": "app.teams"}})
    assert str(config.tables.group_budgets) == "app.teams"


def test_without_a_period_limits_are_daily() -> None:
    assert roles_of("budgets", Config().columns)[0] is BUDGET_ROLES
    assert roles_of("group_budgets", Config().columns)[0] is GROUP_BUDGET_ROLES
