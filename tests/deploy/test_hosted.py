"""The guide's way to a hosted database: roles made by its owner, checked and served through its pooler."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config, load_config
from exporter.database.conninfo import resolve_conninfo
from exporter.demo.history import history
from exporter.demo.rows import fill
from exporter.preflight import run_check
from exporter.process.serving import serving
from exporter.verify.database import spent_since
from exporter.verify.exporter import evaluate_cost, parse, spend_today, window_start
from tests.support import ROOT
from tests.support.hosted import PASSWORD, USERS, Hosted, hosted_postgres
from tests.support.programs import fetch, free_port, wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosted")]

FILES = ("role_policies.sql", "dashboards.sql", "role_postgres_exporter.sql")


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """The database with calls in it, and the roles made by the guide's first step."""
    with hosted_postgres(tmp_path_factory.mktemp("hosted")) as hosted:
        with psycopg.connect(hosted.owner_url) as connection:
            fill(connection, "success", history("success", 1, datetime.now(UTC), Random(5), per_day=1_700))
        for file in FILES:
            hosted.owner_runs(ROOT / "deploy" / "sql" / file)
        with psycopg.connect(hosted.owner_url, autocommit=True) as connection:
            for user in USERS:
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), PASSWORD))
        yield hosted


def config_for(url: str, folder: Path) -> Config:
    secret = folder / "database_url"
    secret.write_text(url)
    config = load_config(ROOT / "deploy" / "exporter.yaml", {}).model_dump()
    config["database"] = {"url_file": str(secret)}
    config["state_dir"] = folder / "state"
    config["web"] = {"listen_address": f"127.0.0.1:{free_port()}"}
    return Config.model_validate(config, by_name=True)


def test_without_tls_nobody_gets_in(hosted: Hosted) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(hosted.direct("owner", sslmode="disable"))


def test_check_passes_through_the_pooler(hosted: Hosted, tmp_path: Path) -> None:
    out = io.StringIO()
    assert run_check(config_for(hosted.pooled("ai_exporter"), tmp_path), {}, out) == 0, out.getvalue()
    assert "every row: a policy shows all rows" in out.getvalue()
    assert PASSWORD not in out.getvalue()


@pytest.mark.parametrize("way", ["pooler", "direct"])
def test_the_exporter_shows_what_sql_says(hosted: Hosted, tmp_path: Path, way: str) -> None:
    url = hosted.pooled("ai_exporter") if way == "pooler" else hosted.direct("ai_exporter")
    config = config_for(url, tmp_path)
    with serving(config, {}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200, 60)
        samples = parse(fetch(f"{running.url}/metrics")[1])
        start = window_start(samples)
        assert start is not None
        shown = spend_today(samples)
        truth = spent_since(config, resolve_conninfo(config, {}), start)
        assert truth > 0
        assert "off by 0.0000%" in evaluate_cost(shown, truth, shown).detail


def test_the_other_roles_can_do_their_work_and_no_more(hosted: Hosted) -> None:
    with psycopg.connect(hosted.direct("ai_grafana"), autocommit=True) as grafana:
        (calls,) = grafana.execute("SELECT count(*) FROM ai_dashboards.operations").fetchone() or (0,)
        assert calls > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            grafana.execute("SELECT * FROM public.ai_operation_log")
    with psycopg.connect(hosted.direct("ai_postgres_exporter"), autocommit=True) as statistics:
        (connections,) = statistics.execute("SELECT sum(numbackends) FROM pg_stat_database").fetchone() or (0,)
        assert connections > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            statistics.execute("SELECT * FROM public.ai_operation_log")
