"""The histogram of times to the first token: as plain SQL sorts them, and absent where the log has none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from exporter.catalog import FIRST_TOKEN_EDGES
from exporter.demo.history import Outcome
from tests.support.harness import Log, running, wait_for
from tests.support.scraped import Scraped

NAME = "ai_operation_time_to_first_token_seconds"
ODD = ("NULL", "0", "100", "100.5", "99.999", "750", "30000", "30001", "86400000")
BAD = {"'NaN'": "nan", "-1": "negative", "86400001": "too_large"}


@pytest.fixture
def streamed(log: Log) -> Log:
    log.execute("ALTER TABLE ai_operation_log ADD time_to_first_token_ms numeric")
    return log


def insert(log: Log, value: str, ago: float = 1.0, *, model: str = "m", outcome: Outcome = "success") -> None:
    row = log.insert(ago, model=model, outcome=outcome)
    log.execute(f"UPDATE ai_operation_log SET time_to_first_token_ms = {value} WHERE id = %s", row)


def by_sql(log: Log) -> dict[str, float]:
    final = "true" if log.layout == "success" else "status IN ('success', 'failed', 'timeout')"
    edges = ", ".join(f"count(*) FILTER (WHERE ms <= {1000 * edge})" for edge in FIRST_TOKEN_EDGES)
    ((*counts, count, seconds),) = log.execute(
        f"SELECT {edges}, count(ms), coalesce(sum(ms), 0) / 1000 FROM (SELECT time_to_first_token_ms AS ms"
        f" FROM ai_operation_log WHERE {final} AND time_to_first_token_ms BETWEEN 0 AND 86400000) AS found"
    )
    buckets = dict(zip((*map(str, FIRST_TOKEN_EDGES), "+Inf"), (*counts, count), strict=True))
    return {**buckets, "count": count, "sum": pytest.approx(float(seconds))}


def shown(scraped: Scraped) -> dict[str, float]:
    buckets = {edge: scraped.total(f"{NAME}_bucket", le=edge) for edge in (*map(str, FIRST_TOKEN_EDGES), "+Inf")}
    return {**buckets, "count": scraped.total(f"{NAME}_count"), "sum": scraped.total(f"{NAME}_sum")}


@pytest.mark.parametrize("kind", ["numeric", "integer", "double precision"])
def test_it_is_what_plain_sql_says(streamed: Log, tmp_path: Path, kind: str) -> None:
    log = streamed
    log.execute(f"ALTER TABLE ai_operation_log ALTER time_to_first_token_ms TYPE {kind}")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for model in ("deepseek-v3.2", "another"):
            for number, value in enumerate(ODD):
                insert(log, value, number, model=model, outcome="failed" if number % 3 else "success")
        if log.layout == "status":
            insert(log, "200", outcome="running")
        assert shown(exporter.scrape()) == by_sql(log)
        bad = {value: reason for value, reason in BAD.items() if kind != "integer" or reason != "nan"}
        for value in bad:
            insert(log, value)
        scraped = exporter.scrape()
        assert shown(scraped) == by_sql(log)
        found = scraped.having("ai_rows_skipped_total", field="time_to_first_token")
        assert {dict(labels)["reason"]: n for (_, labels), n in found.items() if n} == dict.fromkeys(bad.values(), 1)
    with running(log.url, tmp_path, after=exporter) as again:
        assert shown(again.wait_ready().scrape()) == by_sql(log)


def test_what_is_filled_in_later_and_comes_late_is_counted(
    streamed: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.scrape.lateness.INTERVAL", 0.02)
    monkeypatch.setattr("exporter.scrape.lateness.SHARE", 0.9)
    log, rng = streamed, Random(5)
    for number in range(300):
        insert(log, str(rng.randrange(40_000)), 400 * number + 5)
    with running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=2)) as exporter:
        exporter.wait_ready()
        assert shown(exporter.scrape()) == by_sql(log)
        insert(log, "NULL", 1)
        exporter.scrape()
        log.execute("UPDATE ai_operation_log SET time_to_first_token_ms = 333 WHERE time_to_first_token_ms IS NULL")
        assert shown(exporter.scrape()) == by_sql(log)
        # of a row that is read no more, the probe sees that the time to its first token has come
        row = log.insert(4 * 3600)
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == 302, lambda: str(shown(exporter.last)))
        log.execute("UPDATE ai_operation_log SET time_to_first_token_ms = 444 WHERE id = %s", row)
        wait_for(lambda: shown(exporter.scrape()) == by_sql(log), lambda: str(shown(exporter.last)))


def test_it_is_absent_where_the_log_has_none_and_appears_with_the_column(log: Log, tmp_path: Path) -> None:
    log.insert(1)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        assert not exporter.scrape().having(f"{NAME}_count")
    log.execute("ALTER TABLE ai_operation_log ADD ttft_ms int")
    with running(log.url, tmp_path, after=exporter) as later:
        later.wait_ready()
        # at 0 first, so that the first rise is seen
        assert set(later.scrape().having(f"{NAME}_count").values()) == {0}
        log.execute("UPDATE ai_operation_log SET ttft_ms = 80")
        assert later.scrape().total(f"{NAME}_bucket", le="0.1") == 1
    log.execute("ALTER TABLE ai_operation_log DROP ttft_ms")
    with running(log.url, tmp_path, after=later) as last:
        last.wait_ready()
        assert last.scrape().total(f"{NAME}_count") == 1
