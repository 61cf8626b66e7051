"""Costs in several currencies: converted exactly at the configuration's rates, or not used and named."""

import io
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.reports.recent import Wanted, run_operations
from exporter.verify.database import spent_since
from tests.support.harness import Log, config_for, running
from tests.support.preflight import check
from tests.support.scraped import Scraped, micro

COST = "ai_operation_cost_usd_total"
ROWS: tuple[tuple[str | None, str], ...] = (
    ("USD", "1"),
    (" usd ", "0.25"),
    ("RMB", "3"),
    ("rmb", "0.00005"),
    ("RMB", "-1"),
    ("EUR", "2"),
    ("XYZ", "0"),
    (None, "5"),
    ("", "7"),
    ("USD", "'NaN'"),
)
IN_DOLLARS = Decimal("1.25") + Decimal("0.14") * Decimal("3.00005")
SKIPPED = {"currency": 3, "nan": 1}


@pytest.fixture
def mixed(log: Log) -> Log:
    log.execute("ALTER TABLE ai_operation_log ADD money varchar(10), ALTER cost_usd TYPE numeric")
    return log


def fill(log: Log) -> None:
    for number, (currency, cost) in enumerate(ROWS):
        row = log.insert(number)
        log.execute(f"UPDATE ai_operation_log SET money = %s, cost_usd = {cost} WHERE id = %s", currency, row)


def columns(currency: str = "money", **rates: object) -> dict[str, Any]:
    return {"columns": {"log": {"currency": currency, "currencies": rates}}}


def unused(scraped: Scraped) -> Mapping[str, float]:
    found = scraped.having("ai_rows_skipped_total", field="cost")
    return {dict(labels)["reason"]: value for (_, labels), value in found.items() if value}


def test_costs_are_converted_exactly_and_others_are_named(mixed: Log, tmp_path: Path) -> None:
    settings = columns(RMB=0.14)
    with running(mixed.url, tmp_path, **settings) as exporter:
        exporter.wait_ready()
        fill(mixed)
        scraped = exporter.scrape()
        assert unused(scraped) == SKIPPED
        assert scraped.total("ai_operations_total") == len(ROWS)
        assert Decimal(str(scraped.total(COST))) == IN_DOLLARS
        assert scraped.micro("ai_operation_refunds_usd_total") == 140_000
        spent = micro(IN_DOLLARS - Decimal("0.14"))
        assert scraped.micro("ai_spend_today_usd") == spent
        assert exporter.scrape().micro("ai_spend_today_usd") == spent
    config = config_for(mixed.url, tmp_path, settings)
    assert micro(spent_since(config, resolve_conninfo(config, {}), 0)) == spent
    out = io.StringIO()
    run_operations(config, {}, Wanted(limit=100), out, as_json=True)
    costs = [call["cost"] for call in json.loads(out.getvalue())]
    total = sum((Decimal(str(cost)) for cost in costs if cost is not None), Decimal(0))
    assert (costs.count(None), micro(total)) == (4, spent)


@pytest.mark.parametrize("kind", ["numeric(12,7)", "double precision", "real", "integer"])
def test_the_cost_s_type_makes_no_difference(mixed: Log, tmp_path: Path, kind: str) -> None:
    mixed.execute(f"ALTER TABLE ai_operation_log ALTER cost_usd TYPE {kind}")
    with running(mixed.url, tmp_path, **columns(RMB=0.25)) as exporter:
        exporter.wait_ready()
        for currency, cost in (("RMB", "8"), ("USD", "1"), ("EUR", "1")):
            row = mixed.insert(1)
            mixed.execute("UPDATE ai_operation_log SET money = %s, cost_usd = %s WHERE id = %s", currency, cost, row)
        scraped = exporter.scrape()
        assert (scraped.total(COST), unused(scraped)) == (3, {"currency": 1})


def test_all_costs_may_be_in_one_currency(mixed: Log, tmp_path: Path) -> None:
    with running(mixed.url, tmp_path, **columns("='EUR'", EUR="1.08")) as exporter:
        exporter.wait_ready()
        mixed.insert(1, cost="0.5")
        assert exporter.scrape().micro(COST) == 540_000


def test_expressions_have_a_currency_too(mixed: Log, tmp_path: Path) -> None:
    settings = columns("=COALESCE(NULLIF(money, ''), 'USD')", RMB=0.14, EUR=2)
    settings["columns"]["log"]["cost"] = "=cost_usd / 2.0"
    with running(mixed.url, tmp_path, **settings) as exporter:
        exporter.wait_ready()
        fill(mixed)
        scraped = exporter.scrape()
        assert unused(scraped) == {"nan": 1}
        assert Decimal(str(scraped.total(COST))) == (IN_DOLLARS + 4 + 5 + 7) / 2


def test_a_changed_rate_is_taken_up_and_no_counter_moves(mixed: Log, tmp_path: Path) -> None:
    with running(mixed.url, tmp_path, **columns(RMB=0.1)) as exporter:
        exporter.wait_ready()
        row = mixed.insert(1)
        mixed.execute("UPDATE ai_operation_log SET money = 'RMB', cost_usd = 10 WHERE id = %s", row)
        assert exporter.scrape().micro("ai_spend_today_usd") == 1_000_000
    with running(mixed.url, tmp_path, after=exporter, **columns(RMB=0.2)) as later:
        scraped = later.wait_in_force()
        assert (scraped.micro(COST), scraped.micro("ai_spend_today_usd")) == (1_000_000, 2_000_000)


def test_check_names_the_currencies_without_a_rate(mixed: Log, tmp_path: Path) -> None:
    fill(mixed)
    found = check(mixed.url, tmp_path, **columns(RMB=0.14)).entries["currency"]
    assert found.mark == "warn"
    assert "EUR (1)" in found.detail
    assert "no currency (" in found.detail
    assert found.hint[0].endswith("columns.log.currencies: {RMB: 0.14, EUR: ...}")
    settings = columns("=COALESCE(NULLIF(money, ''), 'USD')", RMB=0.14, EUR=2)
    assert check(mixed.url, tmp_path, **settings).entries["currency"].mark == "ok"
    assert Config.model_validate(settings).columns.log.currencies.keys() == {"RMB", "EUR"}
