"""All that feeds the dashboards, as real programs: a log, the exporter on it, and what Prometheus scrapes beside it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import psycopg
from testcontainers.core.container import DockerContainer

from exporter.demo.history import fail, history, make_call
from exporter.demo.profiles import BUSIEST_USER, MODELS
from exporter.demo.rows import COLUMNS, fill, to_row
from exporter.demo.schema import Layout, load_schema
from tests.support import ROOT
from tests.support.programs import Program, Prometheus, fetch, free_port, running, wait_for
from tests.support.servers import DockerServer, docker_image, require_docker, run_docker_postgres

SQL = ROOT / "deploy" / "sql" / "dashboards.sql"
GRAFANA, PASSWORD = "ai_grafana", "for this test"
ODD_NAME = r"it's \ 100% (a|b) $5 [x]"
"""An operation as a careless caller might name it."""

_SOON = "from exporter.scrape import background\nbackground.PROBE_INTERVAL = 5.0"
"""Samples the drift seconds after the start, and not a minute."""

_RULES = """
groups:
  - name: two
    rules:
      - {alert: watchdog, expr: vector(1), labels: {severity: none, channel: discord}}
      - alert: budget_exceeded
        expr: max by (job, user) (ai_user_spend_today_usd) > on (job, user) max by (job, user) (ai_user_daily_limit_usd)
        labels: {severity: critical, channel: discord}
"""


@dataclass
class Stack:
    """The running programs, and how to reach what they know."""

    layout: Layout
    zone: str
    postgres: DockerServer
    database: str
    program: Program
    prometheus: Prometheus

    @property
    def grafana_url(self) -> str:
        """The database as Grafana's role sees it."""
        name = str(psycopg.conninfo.conninfo_to_dict(self.database)["dbname"])
        return self.postgres.url(name, GRAFANA, PASSWORD)


def zone_at_day(now: datetime) -> str:
    """A time zone where the day is neither in its first two hours nor about to end."""
    return "UTC" if 3 <= now.hour < 22 else "Asia/Tokyo"


@contextlib.contextmanager
def run_stack(layout: Layout, folder: Path) -> Iterator[Stack]:
    """Everything, with some traffic behind it that Prometheus has seen coming."""
    require_docker("Prometheus, postgres_exporter and blackbox_exporter")
    now = datetime.now(UTC)
    zone = zone_at_day(now)
    config = "\n".join(
        (
            "zero_hold: 2s",
            "optional_interval: 0s",
            f"budget_time_zone: {zone}",
            "daily_limit_usd: 200",
            "monthly_limit_usd: 4000",
            # the log has no teams: the models stand for them
            "columns: {log: {group: model_used}}",
            "groups: {daily_limits: {" + ", ".join(f"{model.name}: 20" for model in MODELS.values()) + "}}",
            "budgets:",
            "  - {limit_usd: 900, soft_limit_usd: 800, period: week}",
            f"  - {{user: {BUSIEST_USER}, limit_usd: 90, soft_limit_usd: 80, period: 30d, reset_at: 2026-12-15}}",
            "models:",
            "  aliases: {" + ", ".join(f"{model.route_name}: {model.name}" for model in MODELS.values()) + "}",
        )
    )
    with contextlib.ExitStack() as running_now:
        postgres = running_now.enter_context(run_docker_postgres())
        database = postgres.create_database()
        with psycopg.connect(database, autocommit=True) as connection:
            load_schema(connection, layout)
            fill(connection, layout, history(layout, 8, now, Random(5), per_day=1_700))
            connection.execute("UPDATE cost_budgets SET daily_limit_usd = 0.01 WHERE user_id = %s", (BUSIEST_USER,))
            connection.execute(SQL.read_bytes())
            connection.execute(f"ALTER ROLE {GRAFANA} PASSWORD '{PASSWORD}'".encode())
        program = running_now.enter_context(running(Program(database, folder / "state", config=config, before=_SOON)))
        ports = {name: free_port() for name in ("prometheus", "postgres", "blackbox")}
        for container in (
            DockerContainer(docker_image("POSTGRES_EXPORTER_IMAGE", "prometheuscommunity/postgres-exporter:v0.17.1"))
            .with_env("DATA_SOURCE_NAME", f"{database}?sslmode=disable")
            .with_command(f"--web.listen-address=127.0.0.1:{ports['postgres']}"),
            DockerContainer(docker_image("BLACKBOX_EXPORTER_IMAGE", "prom/blackbox-exporter:v0.26.0")).with_command(
                f"--config.file=/etc/blackbox_exporter/config.yml --web.listen-address=127.0.0.1:{ports['blackbox']}"
            ),
            _prometheus(folder, ports, program.port),
        ):
            running_now.enter_context(container.with_kwargs(network_mode="host"))
        server = Prometheus(f"http://127.0.0.1:{ports['prometheus']}")
        wait_for(lambda: fetch(f"{server.url}/-/ready")[0] == 200, 60)
        wait_for(
            lambda: server.query("count(ai_operations_total) > 8 and on () sum(probe_success) > 0 and on () pg_up == 1")
        )
        write_calls(database, layout)
        # more than one rise, so that every rate has its two samples
        wait_for(
            lambda: server.query("sum(ai_operations_total) >= 400 and on () sum(rate(ai_operations_total[1m])) > 0")
        )
        wait_for(lambda: server.query("sum(increase(ai_operation_fallbacks_total[1h])) > 0"))
        wait_for(lambda: server.query("sum(increase(ai_rows_skipped_total[1h])) > 0"))
        wait_for(lambda: server.query('ALERTS{alertname="budget_exceeded", alertstate="firing"}'))
        wait_for(lambda: server.query("sum(delta(pg_stat_database_blks_hit[1m])) > 0"))
        yield Stack(layout, zone, postgres, database, program, server)


def write_calls(database: str, layout: Layout, count: int = 400) -> None:
    """Calls of the last seconds; among them every kind, one with a cost that cannot be and one with an odd name."""
    rng = Random(11)
    now = datetime.now(UTC).replace(tzinfo=None)
    calls = [make_call(now - timedelta(seconds=rng.uniform(1, 20)), rng) for _ in range(count)]
    calls[0] = replace(calls[0], cost_usd=Decimal("NaN"))
    calls[1] = replace(calls[1], operation=ODD_NAME, names_operation=True)
    calls[2] = fail(replace(calls[2], operation="email-classify", model="gemini-2.0-flash"), "rate_limit", rng)
    columns = COLUMNS[layout]
    statement = f"INSERT INTO ai_operation_log ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.executemany(statement.encode(), [to_row(layout, call) for call in calls])


def _prometheus(folder: Path, ports: dict[str, int], exporter: int) -> DockerContainer:
    config, rules = folder / "prometheus.yml", folder / "rules.yml"
    probed = f"http://127.0.0.1:{exporter}/metrics"
    config.write_text(
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [/etc/prometheus/rules.yml]
scrape_configs:
  - {{job_name: ai-operation-exporter, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}
  - {{job_name: postgres, static_configs: [{{targets: ['127.0.0.1:{ports["postgres"]}']}}]}}
  - job_name: blackbox
    metrics_path: /probe
    params: {{module: [http_2xx], target: ['{probed}']}}
    static_configs: [{{targets: ['127.0.0.1:{ports["blackbox"]}'], labels: {{instance: '{probed}'}}}}]
"""
    )
    rules.write_text(_RULES)
    folder.chmod(0o755)
    for file in (config, rules):
        file.chmod(0o644)
    return (
        DockerContainer(docker_image("PROMETHEUS_IMAGE", "prom/prometheus:v2.53.5"))
        .with_volume_mapping(str(config), "/etc/prometheus/prometheus.yml", "ro")
        .with_volume_mapping(str(rules), "/etc/prometheus/rules.yml", "ro")
        .with_command(
            "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus"
            f" --web.listen-address=127.0.0.1:{ports['prometheus']}"
        )
    )
