"""What Grafana reads of other systems' logs: every panel answers, by the log's own index, as the exporter counts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.reports.recent import Wanted, read_calls
from exporter.sql_files.render import render
from tests.support.grafana import View
from tests.support.grafana import sql as sent
from tests.support.public_logs import PUBLIC, PublicLog
from tests.support.roles import drop_role
from tests.support.scraped import Figures
from tests.support.servers import EmbeddedServer
from tests.support.sql_panels import SQL_PANELS

PASSWORD = "for this test"
ROWS, STEP = 100_000, 9
"""Ten days."""

Connection = psycopg.Connection[Any]

CALL = (
    'extract(epoch FROM at), operation, model, "user", outcome, input_tokens, output_tokens, cost_usd, latency_seconds'
)


@dataclass
class Views:
    """A log of another system with the views on it."""

    public: PublicLog
    config: Config
    admin: Connection
    grafana: Connection

    def read(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows that Grafana's role gets."""
        return self.grafana.execute(statement.encode()).fetchall()


@pytest.fixture(scope="module", params=PUBLIC)
def views(request: pytest.FixtureRequest, embedded_postgres: EmbeddedServer) -> Iterator[Views]:
    public, url = PublicLog.of(request.param), embedded_postgres.create_database()
    config = Config.model_validate({"database": {"url": url}, "source": public.name})
    with psycopg.connect(url, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, ROWS, step=STEP)
        admin.execute("VACUUM ANALYZE")
        make_views(admin, config)
        admin.execute(sql.SQL("ALTER ROLE ai_grafana PASSWORD {}").format(PASSWORD))
        as_grafana = embedded_postgres.url(admin.info.dbname, "ai_grafana", PASSWORD)
        with psycopg.connect(as_grafana, autocommit=True) as grafana:
            yield Views(public, config, admin, grafana)
        drop_role(admin, "ai_grafana")
    embedded_postgres.drop_database(url)


def make_views(admin: Connection, config: Config) -> None:
    admin.execute(render(config)["dashboards.sql"].encode())


@pytest.mark.parametrize("panel", SQL_PANELS)
def test_every_panel_answers(views: Views, panel: str) -> None:
    now = time.time()
    rows = views.read(sent(SQL_PANELS[panel], View(now - 1800, now)))
    # of calls that failed or cost something there are none where the log has no such calls
    without = {"open-webui": "cost", "phoenix": "cost", "sub2api": "fail"}.get(views.public.name)
    assert rows or (without and without in SQL_PANELS[panel]), panel
    odd = {"operation": [r"none (of) 'these' \ [x]"], "model": ["gpt-4o"]}
    views.read(sent(SQL_PANELS[panel], View(now - 1800, now, chosen=odd)))


def test_the_views_sum_what_plain_sql_does(views: Views) -> None:
    ((calls, failures, cost, *tokens),) = views.read(
        "SELECT count(*) FILTER (WHERE outcome IN ('ok', 'failed', 'timeout')),"
        " count(*) FILTER (WHERE outcome IN ('failed', 'timeout')),"
        " coalesce(sum(cost_usd), 0), sum(input_tokens), sum(output_tokens) FROM ai_dashboards.operations"
    )
    assert Figures(calls, failures, round(cost * 10**9), *map(int, tokens)) == views.public.figures(views.admin)
    assert views.read("SELECT coalesce(sum(cost_usd), 0) FROM ai_dashboards.spending") == [(cost,)]


def test_each_call_is_shown_as_the_exporter_reads_it(views: Views) -> None:
    shown = views.read(
        f"SELECT {CALL} FROM ai_dashboards.operations"
        " WHERE logged_at >= ai_dashboards.logged(now() - interval '1 hour')"
    )
    calls = read_calls(views.config, {}, Wanted(limit=1000, since=3600)).calls
    assert len(calls) > 100
    oldest = max(row[0] for row in shown) - 3000
    assert sorted((*row[:7], _paid(row[7]), row[8]) for row in shown if row[0] > oldest) == sorted(
        (
            Decimal(repr(call.at)),
            call.operation,
            call.model,
            call.user,
            "unknown" if call.outcome == "null" else call.outcome,
            call.input_tokens,
            call.output_tokens,
            _paid(call.cost_usd),
            None if call.latency_ms is None else call.latency_ms / 1000,
        )
        for call in calls
        if call.at > oldest
    )


def _paid(amount: Decimal | None) -> Decimal | None:
    """An amount as it is counted; None for one that cannot be, and for a refund, which is in the sums."""
    if amount is None or not amount.is_finite() or amount < 0:
        return None
    return amount.quantize(Decimal(10) ** -12, ROUND_HALF_UP)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize("view", ["operations", "spending"])
@pytest.mark.parametrize("since", ["'{now}'::timestamptz - interval '30 minutes'", "now() - interval '30 minutes'"])
def test_the_log_s_own_index_serves_a_time_range(views: Views, view: str, since: str) -> None:
    since = since.format(now=datetime.now(UTC).isoformat())
    plan = views.read(
        f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT sum(cost_usd) FROM ai_dashboards.{view}"
        f" WHERE logged_at >= ai_dashboards.logged({since}) AND logged_at < ai_dashboards.logged(now())"
    )[0][0][0]["Plan"]
    nodes = list(_nodes(plan))
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], plan
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in nodes)
    assert read <= 1800 / STEP * 4, plan


def test_grafana_s_role_reads_the_two_views_alone(views: Views) -> None:
    table = sql.Identifier(*views.config.tables.log.parts).as_string()
    for refused in (f"SELECT 1 FROM public.{table}", "SELECT 1 FROM ai_dashboards.calls"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)):
            views.read(refused)
    readable = views.read(
        "SELECT DISTINCT table_name::text FROM information_schema.table_privileges"
        " WHERE grantee = 'ai_grafana' ORDER BY 1"
    )
    assert readable == [("operations",), ("spending",)]
