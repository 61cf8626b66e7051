"""A scrape that finds nothing new makes nothing of the series again, and one that does shows all of it."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.schema import Layout
from exporter.web.encoding import RememberingEncoder
from exporter.web.negotiate import choose_format
from tests.support.harness import Log, Running, running

BY_SERIES = ("operation", "model")
SERIES = 5


@pytest.fixture
def log(database: str, layout: Layout) -> Iterator[Log]:
    with Log(database, layout) as log:
        yield log


def by_series(exporter: Running) -> dict[str, Mapping[Any, Any]]:
    """The values by series of one scrape, by the name of the metric."""
    found = exporter.exporter.scrape(10.0)
    return {each.metric.name: each.values for each in found if each.metric.labels[:2] == BY_SERIES}


def changed(before: Mapping[str, Mapping[Any, Any]], after: Mapping[str, Mapping[Any, Any]]) -> set[str]:
    """The metrics whose values are another object, and those that are not in both."""
    return {name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)}


def settled(exporter: Running) -> dict[str, Mapping[Any, Any]]:
    """The values of a scrape by which every series has been admitted, and shown with its zero."""
    exporter.wait_ready()
    for _ in range(3):
        found = by_series(exporter)
    assert all(len(values) == SERIES for values in found.values())
    return found


def test_what_has_not_changed_is_the_same_object_again(log: Log, tmp_path: Path) -> None:
    for number in range(SERIES):
        log.insert(operation=f"o{number}", cost="0.5")
    with running(log.url, tmp_path, zero_hold=0) as exporter:
        before = settled(exporter)
        assert {"ai_operations_total", "ai_spend_today_usd", "ai_spend_month_usd"} <= before.keys()
        assert changed(before, by_series(exporter)) == set()
        log.insert(operation="o3", cost="0.25")
        after = by_series(exporter)
        assert {"ai_operations_total", "ai_spend_today_usd", "ai_spend_month_usd"} <= changed(before, after)
        spent = {key: units - before["ai_spend_today_usd"][key] for key, units in after["ai_spend_today_usd"].items()}
        assert sorted(spent.values()) == [0] * (SERIES - 1) + [250_000_000_000]
        assert changed(after, by_series(exporter)) == set()


@pytest.mark.parametrize("change", ["UPDATE ai_operation_log SET cost_usd = 0.125", "DELETE FROM ai_operation_log"])
def test_rows_that_are_changed_or_gone_are_seen_at_once(log: Log, tmp_path: Path, change: str) -> None:
    for number in range(SERIES):
        log.insert(operation=f"o{number}", cost="0.5")
    with running(log.url, tmp_path, zero_hold=0) as exporter:
        settled(exporter)
        log.insert(operation="o2", cost="0.5")
        assert exporter.scrape().micro("ai_spend_today_usd") == (SERIES + 1) * 500_000
        log.execute(change)
        left = 0 if change.startswith("DELETE") else (SERIES + 1) * 125_000
        scraped = exporter.scrape()
        assert scraped.micro("ai_spend_today_usd") == scraped.micro("ai_spend_month_usd") == left
        # the one row that was not there at the beginning
        assert scraped.micro("ai_operation_cost_usd_total") == 500_000


def test_pages_of_unchanged_scrapes_are_whole(log: Log, tmp_path: Path) -> None:
    for number in range(SERIES):
        log.insert(operation=f"o{number}", cost="0.5")
    encode = RememberingEncoder(choose_format(None)[0])
    with running(log.url, tmp_path, zero_hold=0) as exporter:
        settled(exporter)
        for number in range(6):
            if number == 3:
                log.insert(operation="o1", cost="0.5")
            families = list(exporter.exporter.scrape(10.0))
            expected = RememberingEncoder(choose_format(None)[0])(families)
            assert gzip.decompress(encode(families, compress=True)) == expected == encode(families)
