"""Each query of docs/verify-by-sql.md gives what the exporter shows, on both layouts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exporter.demo.history import history
from exporter.demo.rows import fill
from exporter.demo.schema import LAYOUTS
from tests.support import ROOT
from tests.support.harness import Log, running
from tests.support.scraped import Scraped, micro
from tests.support.servers import EmbeddedServer

PAGE = (ROOT / "docs" / "verify-by-sql.md").read_text()
HEADINGS = {
    "Spend today": 3,
    "Failures today": 1,
    "Mean latency today": 1,
    "Slow operations": 1,
    "The costliest over seven days": 2,
    "Without the view": 2,
}


def queries(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


@dataclass(frozen=True)
class Seen:
    """A log of eight days, and what an exporter that has counted since midnight shows of it."""

    log: Log
    scraped: Scraped

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        cursor = self.log.connection.execute(query.encode())
        while cursor.nextset():
            pass
        return cursor.fetchall()

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The sums of a metric by a label, zeros left out."""
        sums: dict[str, float] = {}
        for (_, found), value in self.scraped.having(name, **labels).items():
            of = dict(found)[label]
            sums[of] = sums.get(of, 0.0) + value
        return {of: value for of, value in sums.items() if value}


@pytest.fixture(scope="module", params=LAYOUTS)
def seen(
    request: pytest.FixtureRequest, embedded_postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    url = embedded_postgres.create_database()
    with Log(url, request.param) as log:
        found = look(log, tmp_path_factory.mktemp("state"))
        # a day that ended meanwhile is looked at again
        while found is None:
            log.execute("TRUNCATE public.ai_operation_log CASCADE")
            found = look(log, tmp_path_factory.mktemp("state"))
        yield found
        log.execute("DROP OWNED BY ai_grafana")
        log.execute("DROP ROLE ai_grafana")
    embedded_postgres.drop_database(url)


def look(log: Log, state: Path) -> Seen | None:
    """What an exporter shows of eight days; None if the day ended meanwhile."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    fill(log.connection, log.layout, history(log.layout, 8, datetime.now(UTC), Random(1), per_day=1_700))
    log.insert(cost="0.25")
    log.connection.execute((ROOT / "deploy" / "sql" / "dashboards.sql").read_bytes())
    with running(log.url, state, midnight, users={"top": 1000, "max_series": 1000}) as exporter:
        exporter.wait_ready()
        scraped = exporter.scrape()
    return Seen(log, scraped) if datetime.now(UTC).day == midnight.day else None


def test_the_page_has_the_queries() -> None:
    assert {heading: len(queries(heading)) for heading in HEADINGS} == HEADINGS


@pytest.mark.parametrize(("number", "label"), list(enumerate(["operation", "model", "user"])))
def test_spend_today(seen: Seen, number: int, label: str) -> None:
    name = "ai_user_spend_today_usd" if label == "user" else "ai_spend_today_usd"
    by_sql = {of: micro(usd) for of, usd in seen.rows(queries("Spend today")[number]) if usd}
    assert by_sql
    assert {of: round(usd * 1e6) for of, usd in seen.by(label, name).items()} == by_sql


def test_failures_today(seen: Seen) -> None:
    rows = seen.rows(queries("Failures today")[0])
    assert seen.by("operation", "ai_operations_total") == {of: calls for of, calls, _ in rows}
    failures = {of: failed for of, _, failed in rows if failed}
    assert seen.by("operation", "ai_operation_failures_total") == failures


def test_mean_latency_today(seen: Seen) -> None:
    sums, counts = (seen.by("operation", f"ai_operation_latency_seconds_{part}") for part in ("sum", "count"))
    by_sql = {of: float(mean) for of, mean in seen.rows(queries("Mean latency today")[0])}
    assert {of: sums[of] / counts[of] for of in counts} == pytest.approx(by_sql)


def test_slow_operations(seen: Seen) -> None:
    counts = seen.by("operation", "ai_operation_latency_seconds_count")
    fast = seen.by("operation", "ai_operation_latency_seconds_bucket", le="0.5")
    slow = {of: count - fast.get(of, 0) for of, count in counts.items()}
    rows = seen.rows(queries("Slow operations")[0])
    assert {of: number for of, number in slow.items() if number} == {of: calls for of, calls, _ in rows}
    assert all(slowest > Decimal("0.5") for _, _, slowest in rows)


def test_the_costliest_over_seven_days(seen: Seen) -> None:
    ten, calls = (seen.rows(query) for query in queries("The costliest over seven days"))
    (newest,) = seen.log.execute(
        "SELECT sum(cost_usd) FROM public.ai_operation_log WHERE {time} >= now() AT TIME ZONE 'UTC' - interval '7 days'"
    )
    assert 0 < sum(usd for *_, usd in ten) <= newest[0]
    assert [usd for *_, usd in ten] == sorted((usd for *_, usd in ten), reverse=True)
    assert len(calls) == 10
    (dearest,) = seen.log.execute(
        "SELECT max(cost_usd) FROM public.ai_operation_log WHERE {time} >= now() AT TIME ZONE 'UTC' - interval '7 days'"
    )
    assert calls[0][-1] == dearest[0]


def test_the_plain_table_gives_the_same(seen: Seen) -> None:
    (query,) = (query for query in queries("Without the view") if f"-- layout {seen.log.layout}\n" in query)
    by_sql = {of: micro(usd) for of, usd in seen.rows(query) if usd}
    spent = {of: round(usd * 1e6) for of, usd in seen.by("operation", "ai_spend_today_usd").items()}
    assert spent == by_sql
