"""Prometheus' history: exact differences, over restarts, new series and several replicas."""

import json
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from exporter.catalog import USD
from exporter.errors import UserError
from exporter.reconcile.history import read_history
from exporter.reconcile.period import DayRange
from exporter.verify.web import Part

DAY, LOOKBACK = 86_400, 300
START = 1_780_272_000
"""A midnight."""

COST, REFUNDS = "ai_operation_cost_usd_total", "ai_operation_refunds_usd_total"

Samples = Mapping[int, float]


class _Prometheus(HTTPServer):
    """Answers range queries on samples as Prometheus does: what it looks back for, and the least of a range."""

    def __init__(self, series: list[tuple[dict[str, str], Samples]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.series = series


class _Handler(BaseHTTPRequestHandler):
    server: _Prometheus

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(str(urlsplit(self.path).query)).items()}
        lowest = asked["query"].startswith("min_over_time(")
        (name,) = (each for each in (COST, REFUNDS) if f'{each}{{job="ours"}}' in asked["query"])
        result = []
        for labels, samples in self.server.series:
            if labels.get("__name__", COST) != name:
                continue
            values, seconds = [], sorted(samples)
            for at in range(int(asked["start"]), int(asked["end"]) + 1, int(asked["step"])):
                window = slice(bisect_right(seconds, at - LOOKBACK), bisect_right(seconds, at))
                seen = [samples[second] for second in seconds[window]]
                if seen:
                    values.append([at, str(min(seen) if lowest else seen[-1])])
            if values:
                result.append({"metric": labels | {"__name__": name}, "values": values})
        body: bytes = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def series() -> list[tuple[dict[str, str], Samples]]:
    return []


@pytest.fixture
def part(series: list[tuple[dict[str, str], Samples]]) -> Iterator[Part]:
    server = _Prometheus(series)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Part(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def of(model: str, operation: str = "chat", instance: str = "a:1") -> dict[str, str]:
    return {"job": "ours", "instance": instance, "operation": operation, "model": model}


def rising(since: int, until: int, begin: float, rate: float) -> dict[int, float]:
    """A scrape a minute, seven seconds past it."""
    return {at + 7: begin + rate * (at - since) for at in range(since, until, 60)}


TWO_DAYS = DayRange(START, START + 2 * DAY, ZoneInfo("UTC"))


def amounts(part: Part, by: Any = "model", period: DayRange = TWO_DAYS) -> dict[str, float]:
    found = read_history(part, "ours", by, period)
    return {key: round(units / USD, 9) for key, units in (found.amounts or {}).items()}


def test_differences_at_the_ends(part: Part, series: list[tuple[dict[str, str], Samples]]) -> None:
    series.append((of("m1"), rising(START - DAY, START + 3 * DAY, 5, 2**-10)))
    series.append((of("m1", "plan"), dict.fromkeys(range(START - DAY, START + 3 * DAY, 60), 4.0)))
    # of the last samples before both ends
    assert amounts(part) == {"m1": 2 * DAY * 2**-10}
    assert amounts(part, "operation") == {"chat": 2 * DAY * 2**-10}
    assert amounts(part, "day") == {"2026-06-01": DAY * 2**-10, "2026-06-02": DAY * 2**-10}


def test_a_new_series_counts_from_its_zero_or_from_what_it_had(
    part: Part, series: list[tuple[dict[str, str], Samples]]
) -> None:
    born = START + 1000
    series.append(
        (of("zero first"), {born: 0.0, born + 15: 0.0, **dict.fromkeys(range(born + 60, born + 900, 60), 3.0)})
    )
    series.append((of("with a history"), dict.fromkeys(range(born, born + 900, 60), 70.0)))
    assert amounts(part) == {"zero first": 3.0}


def test_a_counter_that_begins_anew_is_told(part: Part, series: list[tuple[dict[str, str], Samples]]) -> None:
    cut = START + DAY // 2
    values = {**rising(START - 600, cut, 100, 0.5), **rising(cut + 60, START + 2 * DAY, 0, 0.25)}
    series.append((of("m1"), values))
    found = read_history(part, "ours", "model", TWO_DAYS)
    assert "began anew 1 times" in found.note
    wanted = (cut - START) * 0.5 + (START + 2 * DAY - cut) * 0.25
    assert found.amounts is not None
    assert found.amounts["m1"] / USD == pytest.approx(wanted, rel=0.01)


def test_of_replicas_the_one_that_has_counted_most(part: Part, series: list[tuple[dict[str, str], Samples]]) -> None:
    for instance, rate in (("a:1", 0.5), ("b:1", 0.25)):
        for operation in ("chat", "plan"):
            series.append((of("m1", operation, instance), rising(START - 600, START + 2 * DAY + 60, 0, rate)))
    assert amounts(part) == {"m1": 2 * 2 * DAY * 0.5}


def test_days_of_a_zone_whose_clock_is_moved(part: Part, series: list[tuple[dict[str, str], Samples]]) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # 2026-03-28 to 30: 24 and 23 hours
    lo = 1_774_652_400
    series.append((of("m1"), rising(lo - 600, lo + 3 * DAY, 0, 1.0)))
    period = DayRange(lo, lo + 47 * 3600, berlin)
    assert amounts(part, "day", period) == {"2026-03-28": 24 * 3600, "2026-03-29": 23 * 3600}


def test_what_was_refunded_is_taken_off(part: Part, series: list[tuple[dict[str, str], Samples]]) -> None:
    for model, rate in (("m1", 0.25), ("m3", 0.5)):
        series.append((of(model) | {"__name__": REFUNDS}, rising(START - 600, START + 2 * DAY + 60, 0, rate)))
    for model, rate in (("m1", 0.5), ("m2", 1.0)):
        series.append((of(model), rising(START - 600, START + 2 * DAY + 60, 0, rate)))
    assert amounts(part) == {"m1": 2 * DAY * 0.25, "m2": 2 * DAY * 1.0, "m3": -2 * DAY * 0.5}


def test_no_samples_and_no_answer(part: Part) -> None:
    assert "no samples" in read_history(part, "ours", "model", TWO_DAYS).note
    assert "no counter by user" in read_history(part, "ours", "user", TWO_DAYS).note
    with pytest.raises(UserError, match="--prometheus"):
        read_history(Part("http://127.0.0.1:1"), "ours", "model", TWO_DAYS)
