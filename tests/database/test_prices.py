"""What calls should have cost, beside what the log says: each counter equals what Python sums row by row."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exporter.config import models
from exporter.demo.schema import Layout
from exporter.reports.prices import run_prices
from exporter.scrape import lateness
from tests.alerts.cases.common import watched
from tests.alerts.cases.cost_tracking import inaccurate
from tests.support.clock import START, Clock
from tests.support.generate import GENERATED, file_text
from tests.support.harness import Log, Running, running, wait_for
from tests.support.promtool import promtool
from tests.support.scenario import JOB, Replica, Scenario, steps
from tests.support.scraped import Scraped

LIST: Mapping[str, Mapping[str, Any]] = {
    "deepseek-v3.2": {"input": "0.28", "output": "0.42", "cached": "0.028"},
    "gemini-2.0-flash": {"input": "0.1", "output": "0.4", "cached": "0.025"},
    "dear": {"input": 3, "output": 3},
}
"""A price list in which each model has one price."""

MERGED = timedelta(minutes=18, seconds=10)
"""How long after a quarter-hour begins it is merged: when the open window has left it behind."""

Row = tuple[str, datetime, int | None, int | None, int | None, Decimal | None, bool]
"""Model, time, tokens of input, output and cached input, cost, and whether it went well."""


@pytest.fixture(autouse=True)
def look_for_late_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # not without a rest: it comes before merges
    monkeypatch.setattr(lateness, "INTERVAL", 0.5)


@pytest.fixture
def priced_log(log: Log) -> Log:
    """A log that tells the cached tokens, and costs with all their digits."""
    log.execute("ALTER TABLE ai_operation_log ADD COLUMN cached_tokens int, ALTER cost_usd TYPE numeric(20, 12)")
    return log


@pytest.fixture
def exporter(priced_log: Log, clock: Clock, tmp_path: Path) -> Iterator[Running]:
    with running(priced_log.url, tmp_path, prices=listed(LIST), host=clock.host) as exporter:
        yield exporter.wait_ready()


def listed(prices: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The price list as the configuration has it."""
    return {model: [price] for model, price in prices.items()}


def calls(rows: list[Row]) -> int:
    """How many calls are checked, or would be if their price were known."""
    return sum(int(sums.get("checked", 0) + sums.get("price_unknown", 0)) for sums in brute_force(rows).values())


def write(log: Log, rows: list[Row]) -> None:
    for model, at, tokens, output, cached, cost, ok in rows:
        row = log.insert(
            model=model,
            at=at,
            input_tokens=tokens,
            output_tokens=output,
            cost=None if cost is None else str(cost),
            outcome="success" if ok else "failed",
            message=None if ok else "HTTP 500",
        )
        if cached is not None:
            log.execute("UPDATE ai_operation_log SET cached_tokens = %s WHERE id = %s", cached, row)


def price(row: Row, prices: Mapping[str, Mapping[str, Any]] = LIST) -> Decimal:
    """What a row should cost, in USD."""
    model, _, tokens, output, cached, *_ = row
    of = {kind: Decimal(str(usd)) / 10**6 for kind, usd in prices[model].items()}
    full = (tokens or 0) - (cached or 0)
    return full * of["input"] + (output or 0) * of["output"] + (cached or 0) * of.get("cached", of["input"])


def brute_force(rows: list[Row]) -> dict[str, dict[str, Decimal]]:
    """Expected and logged cost of the checked calls, how many these are, and those of unknown price, by model."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        model, _, tokens, _, _, cost, ok = row
        if tokens is None or not (ok or cost):
            continue
        sums: Any = found.setdefault(model, Counter())
        if model not in LIST:
            sums["price_unknown"] += 1
            continue
        sums["checked"] += 1
        sums["expected"] += price(row)
        sums["cost"] += cost or 0
    return {model: {name: Decimal(value) for name, value in sums.items() if value} for model, sums in found.items()}


METRICS = {
    "checked": "ai_operations_checked_total",
    "price_unknown": "ai_operations_price_unknown_total",
    "expected": "ai_operation_expected_cost_usd_total",
    "cost": "ai_operation_checked_cost_usd_total",
}


def shown(scraped: Scraped) -> dict[str, dict[str, Decimal]]:
    found: dict[str, dict[str, Decimal]] = {}
    for name, metric in METRICS.items():
        for model in scraped.labels(metric, "model"):
            # what a float shows of an exact amount of 1e-12 USD
            if value := round(Decimal(scraped.total(metric, model=model)), 11):
                found.setdefault(model, {})[name] = value
    return found


def assert_shows(scraped: Scraped, rows: list[Row]) -> None:
    wanted = {
        model: {name: round(value, 11) for name, value in sums.items()} for model, sums in brute_force(rows).items()
    }
    assert shown(scraped) == {model: sums for model, sums in wanted.items() if sums}


def wait_checked(exporter: Running, calls: int) -> Scraped:
    """Scrape until so many calls are checked, or are found to be of unknown price."""
    seen = exporter.scrape()

    def counted() -> float:
        nonlocal seen
        seen = exporter.scrape()
        return seen.total(METRICS["checked"]) + seen.total(METRICS["price_unknown"])

    wait_for(lambda: counted() >= calls, lambda: f"{counted()} of {calls}")
    return seen


def some_rows(rng: Random, at: datetime, count: int, right: bool = True) -> list[Row]:
    rows: list[Row] = []
    for _ in range(count):
        model = rng.choice([*LIST, "nobody-knows"])
        moment = at + timedelta(seconds=rng.uniform(0, 600))
        tokens = rng.choice([None, 0, rng.randrange(50_000)])
        cached = None if tokens is None else rng.choice([None, 0, rng.randrange(tokens + 1)])
        row: Row = (model, moment, tokens, rng.randrange(3000), cached, None, rng.random() < 0.8)
        cost = price(row) if right and model in LIST else rng.choice([None, Decimal(0), Decimal("0.123456")])
        rows.append((*row[:5], cost, row[6]))
    return rows


def test_each_figure_is_what_python_sums_row_by_row(priced_log: Log, clock: Clock, exporter: Running) -> None:
    rng, rows = Random(15), []
    at = START.replace(minute=15, second=0)
    for quarter in range(2):
        clock.set(at + timedelta(minutes=10, seconds=1))
        more = some_rows(rng, at, 60, right=quarter == 0)
        write(priced_log, more)
        rows += more
        exporter.scrape()
        clock.set(at + MERGED)
        assert_shows(wait_checked(exporter, calls(rows)), rows)
        at += timedelta(minutes=15)
    # rows that come late, and costs that do
    late = some_rows(rng, START.replace(minute=15, second=0), 20)
    write(priced_log, late)
    rows += late
    assert_shows(wait_checked(exporter, calls(rows)), rows)


def test_nothing_is_checked_before_costs_have_had_time_to_arrive(
    priced_log: Log, clock: Clock, exporter: Running
) -> None:
    clock.set(START.replace(minute=16, second=0))
    rows: list[Row] = [("dear", clock.ago(30), 1000, 0, None, None, True)]
    write(priced_log, rows)
    wait_for(lambda: exporter.scrape().total("ai_operations_total") == 1, lambda: "not counted")
    clock.advance(300)
    scraped = exporter.wait_up()
    assert scraped.total(METRICS["expected"]) == scraped.total(METRICS["checked"]) == 0
    priced_log.execute("UPDATE ai_operation_log SET cost_usd = 0.003")
    clock.set(START.replace(minute=15, second=0) + MERGED)
    scraped = wait_checked(exporter, 1)
    assert scraped.total(METRICS["expected"]) == scraped.total(METRICS["cost"]) == 0.003


def wrong_model(row: Row) -> Decimal:
    return price(("gemini-2.0-flash", *row[1:]))


def full_price(row: Row) -> Decimal:
    return price((*row[:4], 0, *row[5:]))


def a_dollar_sixteen(row: Row) -> Decimal:
    return round(Decimal("1.16") / 374, 12)


def beside_a_right_price(row: Row, wrong: Any) -> list[Row]:
    """374 calls in the quarter-hour that the row begins, at the wrong price, and as many of a model at its own."""
    right: Row = ("gemini-2.0-flash", row[1], 5000, 100, 1000, None, True)
    return [
        (*each[:1], each[1] + timedelta(seconds=2 * n), *each[2:5], paid(each), True)
        for n in range(374)
        for each, paid in ((row, wrong), (right, price))
    ]


@pytest.mark.parametrize(
    ("model", "wrong", "tokens", "cached"),
    [
        ("deepseek-v3.2", wrong_model, 2000, 0),
        ("deepseek-v3.2", full_price, 2000, 1500),
        ("dear", a_dollar_sixteen, 90_000, 0),
    ],
    ids=["another model's price", "cached at the full price", "$1.16 for 37.4 million tokens"],
)
def test_a_wrong_price_table_is_found_at_the_merge(
    priced_log: Log, clock: Clock, exporter: Running, model: str, wrong: Any, tokens: int, cached: int
) -> None:
    at = START.replace(minute=15, second=0)
    clock.set(at + timedelta(minutes=14))
    row: Row = (model, at, tokens, 10_000, cached, None, True)
    rows = beside_a_right_price(row, wrong)
    write(priced_log, rows)
    clock.set(at + MERGED)
    scraped = wait_checked(exporter, 748)
    assert_shows(scraped, rows)
    found = {
        name: round(scraped.total(METRICS["cost"], model=name) - scraped.total(METRICS["expected"], model=name), 9)
        for name in (model, "gemini-2.0-flash")
    }
    assert found == {model: float(round(374 * (Decimal(wrong(row)) - price(row)), 9)), "gemini-2.0-flash": 0}
    assert abs(found[model]) > 0.01 * scraped.total(METRICS["expected"], model=model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "wrong", "tokens", "cached", "said"),
    [
        ("deepseek-v3.2", wrong_model, 2000, 0, ("$0.2094", ": $1.57 logged, $1.78 expected")),
        ("deepseek-v3.2", full_price, 2000, 1500, ("$0.1414", ": $1.78 logged, $1.64 expected")),
        ("dear", a_dollar_sixteen, 90_000, 0, ("$111.04", ": $1.16 logged, $112.20 expected")),
    ],
    ids=["another model's price", "cached at the full price", "$1.16 for 37.4 million tokens"],
)
def test_the_alert_names_the_model_and_the_amount(
    priced_log: Log,
    clock: Clock,
    exporter: Running,
    tmp_path: Path,
    model: str,
    wrong: Any,
    tokens: int,
    cached: int,
    said: tuple[str, str],
) -> None:
    at = START.replace(minute=15, second=0)
    clock.set(at + timedelta(minutes=14))
    rows = beside_a_right_price((model, at, tokens, 10_000, cached, None, True), wrong)
    write(priced_log, rows)
    before = exporter.scrape()
    clock.set(at + MERGED)
    after = wait_checked(exporter, 748)
    scenario = Scenario("fires by the counters of the exporter", 20 * 60)
    watched(scenario, Replica())
    for metric in METRICS.values():
        for key, value in after.having(metric).items():
            labels = {**dict(key[1]), "job": JOB, "instance": "a:9867"}
            scenario.raw(metric, labels, steps((0, before.get(key, 0.0)), (600, value)))
    scenario.silent("cost_tracking_inaccurate", 9 * 60)
    scenario.fires(10 * 60, "cost_tracking_inaccurate", inaccurate(model, *said))
    file = tmp_path / "test.yml"
    file.write_text(file_text([scenario], str(GENERATED)))
    code, told = promtool().run("test", "rules", str(file))
    assert code == 0, told


def test_a_new_price_list_rewrites_nothing_that_was_counted(priced_log: Log, clock: Clock, tmp_path: Path) -> None:
    at = START.replace(minute=15, second=0)

    def quarter(start: datetime, exporter: Running, calls: int) -> Scraped:
        clock.set(start + timedelta(minutes=5))
        write(priced_log, [("dear", clock.ago(n), 1_000_000, 0, None, Decimal(3), True) for n in range(10)])
        exporter.scrape()
        clock.set(start + MERGED)
        return wait_checked(exporter, calls)

    with running(priced_log.url, tmp_path, prices=listed(LIST), host=clock.host) as first:
        first.wait_ready()
        assert quarter(at, first, 10).total(METRICS["expected"]) == 30
    raised = {**LIST, "dear": {"input": 5, "output": 5}}
    with running(priced_log.url, tmp_path, prices=listed(raised), host=clock.host, after=first) as second:
        second.wait_up()
        # rows of before that come late have the price of before, though all of their quarter is read again
        write(priced_log, [("dear", at + timedelta(minutes=2), 1_000_000, 0, None, Decimal(3), True)])
        scraped = wait_checked(second, 11)
        assert scraped.total(METRICS["expected"]) == 33
        scraped = quarter(at + timedelta(minutes=30), second, 21)
        assert scraped.total(METRICS["expected"]) == 33 + 50
        assert scraped.total(METRICS["cost"]) == 63
    with running(priced_log.url, tmp_path, prices={}, host=clock.host, after=second) as third:
        assert third.wait_up().total(METRICS["expected"]) == 83


def test_dated_prices_and_tiers_by_the_size_of_the_input(priced_log: Log, clock: Clock, tmp_path: Path) -> None:
    midnight = datetime(2026, 6, 11, tzinfo=UTC)
    clock.set(midnight - timedelta(minutes=20))
    dated = {"dear": [{"input": 3, "output": 3}, {"input": 4, "output": 4, "valid_from": "2026-06-11"}]}
    with running(priced_log.url, tmp_path, prices=dated, host=clock.host) as exporter:
        exporter.wait_ready()
        clock.set(midnight - timedelta(minutes=1))
        big, small = 200_001, 200_000
        write(
            priced_log,
            [
                ("dear", midnight - timedelta(seconds=61), 1_000_000, 0, None, Decimal(3), True),
                ("claude-sonnet-4-5", midnight - timedelta(seconds=62), big, 1000, 100_000, Decimal(1), True),
                ("claude-sonnet-4-5", midnight - timedelta(seconds=63), small, 1000, 100_000, Decimal(1), True),
            ],
        )
        exporter.scrape()
        clock.set(midnight + timedelta(minutes=1))
        write(priced_log, [("dear", midnight, 1_000_000, 0, None, Decimal(3), True)])
        exporter.scrape()
        clock.set(midnight + MERGED)
        scraped = wait_checked(exporter, 4)
        assert scraped.total(METRICS["expected"], model="dear") == 7
        tokens = 100_001 * 6 + 1000 * Decimal("22.5") + 100_000 * Decimal("0.6")
        tokens += 100_000 * 3 + 1000 * 15 + 100_000 * Decimal("0.3")
        assert scraped.total(METRICS["expected"], model="claude-sonnet-4-5") == float(tokens / 10**6)


def test_cached_tokens_on_top_of_the_input(priced_log: Log, clock: Clock, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"prices": listed(LIST), "models": {"cached_in_input": False}}
    with running(priced_log.url, tmp_path, host=clock.host, **settings) as exporter:
        exporter.wait_ready()
        clock.set(START.replace(minute=16, second=0))
        write(priced_log, [("deepseek-v3.2", clock.ago(5), 1000, 0, 1_000_000, Decimal("0.02828"), True)])
        exporter.scrape()
        clock.set(START.replace(minute=15, second=0) + MERGED)
        assert wait_checked(exporter, 1).total(METRICS["expected"]) == 0.02828


@pytest.mark.parametrize("layout", ["status", "success"])
def test_a_log_without_cached_tokens_costs_the_full_price(
    log: Log, layout: Layout, clock: Clock, tmp_path: Path
) -> None:
    with running(
        log.url, tmp_path, prices=listed(LIST), models={"aliases": {"pricey": "dear"}}, host=clock.host
    ) as exporter:
        exporter.wait_ready()
        clock.set(START.replace(minute=16, second=0))
        # under a loose name, too
        for model in ("dear", "pricey"):
            log.insert(model=model, at=clock.ago(5), input_tokens=1_000_000, output_tokens=0, cost="3")
        exporter.scrape()
        clock.set(START.replace(minute=15, second=0) + MERGED)
        scraped = wait_checked(exporter, 2)
        assert scraped.total(METRICS["expected"], model="dear") == 6
        assert scraped.total("ai_operation_cached_tokens_total") == 0


def test_an_upgrade_counts_from_then_on(
    priced_log: Log, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = START.replace(minute=15, second=0)
    monkeypatch.setattr(models, "PRICES", 0)
    with running(priced_log.url, tmp_path, prices=listed(LIST), host=clock.host) as before:
        before.wait_ready()
        clock.set(at + timedelta(minutes=10))
        write(priced_log, [("dear", clock.ago(n), 1_000_000, 0, None, Decimal(3), True) for n in range(5)])
        wait_for(lambda: before.scrape().total("ai_operations_total") == 5, lambda: "not counted")
        clock.set(at + MERGED)
        before.wait_up()
        assert before.scrape().total(METRICS["expected"]) == 0
    monkeypatch.undo()
    monkeypatch.setattr(lateness, "INTERVAL", 0.5)
    with running(priced_log.url, tmp_path, prices=listed(LIST), host=clock.host, after=before) as exporter:
        exporter.wait_in_force()
        clock.set(at + timedelta(minutes=40))
        write(priced_log, [("dear", clock.ago(n), 1_000_000, 0, None, Decimal(3), True) for n in range(3)])
        exporter.wait_up()
        clock.set(at + timedelta(minutes=30) + MERGED)
        scraped = wait_checked(exporter, 3)
        # what was there at the upgrade is known, and not counted
        assert scraped.total(METRICS["expected"]) == scraped.total(METRICS["cost"]) == 9
        assert scraped.total("ai_operations_total") == 8


def test_prices_show_says_which_price_is_used(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(START)
    for model, operation in (("dear", "chat"), ("dear", "plan"), ("claude-opus-4.5", "chat"), ("nobody-knows", "chat")):
        log.insert(at=clock.ago(60), model=model, operation=operation)
    prices = {
        "dear": [{"input": 3, "output": "4.5", "cached": "0.25", "valid_from": "2026-01-01", "source": "contract"}]
    }

    def shown(**wanted: Any) -> tuple[str, list[dict[str, Any]]]:
        printed = []
        for as_json in (False, True):
            out = io.StringIO()
            assert run_prices(config, {}, wanted.get("model"), 7, out, offline=False, as_json=as_json) == 0
            printed.append(out.getvalue())
        return printed[0], json.loads(printed[1])

    with running(log.url, tmp_path, prices=prices, host=clock.host) as exporter:
        exporter.wait_ready()
        config = exporter.config
        text, found = shown()
        by_model = {each["model"]: each for each in found}
        assert by_model.keys() == {"dear", "claude-opus-4.5", "nobody-knows"}
        dear = by_model["dear"]
        assert (dear["input"], dear["output"], dear["cached"]) == ("3", "4.5", "0.25")
        assert (dear["source"], dear["valid_from"]) == ("contract", "2026-01-01")
        assert dear["operations"] == ["chat", "plan"]
        assert by_model["claude-opus-4.5"]["source"].endswith("anthropic/claude-opus-4-5")
        assert not by_model["nobody-knows"]["known"]
        assert "no price is known" in text
        assert len(shown(model="claude-opus-4.5")[1]) == 1
    # what was counted by is said of the state, whatever the list says now
    config = config.model_copy(update={"prices": {}})
    _, entries = shown(model="dear")
    assert [(each["known"], each["counted_since"] is None) for each in entries] == [(True, True), (False, False)]


def test_a_history_is_checked_by_the_prices_of_its_time(priced_log: Log, clock: Clock, tmp_path: Path) -> None:
    begin = datetime(2026, 6, 3, tzinfo=UTC)
    dated = {"dear": [{"input": 3, "output": 3}, {"input": 4, "output": 4, "valid_from": "2026-06-05T12:00Z"}]}
    for day in range(6):
        for hour in (1, 13):
            at = begin + timedelta(days=day, hours=hour)
            write(priced_log, [("dear", at, 1_000_000, 0, None, Decimal(3), True)])
    with running(priced_log.url, tmp_path, begin, prices=dated, host=clock.host) as exporter:
        scraped = exporter.wait_ready(60).scrape()
        checked, unknown = (scraped.total(METRICS[name]) for name in ("checked", "price_unknown"))
        assert checked + unknown == 12
        # of a day that is read as one, the price must be the same all day
        assert unknown in (0, 2)
        wanted = 2 * 2 * 3 + 3 * 2 * 4 + (0 if unknown else 3 + 4)
        assert scraped.total(METRICS["expected"]) == wanted
        assert scraped.total(METRICS["cost"]) == 3 * checked
