"""What only some public systems log is counted as plain SQL says: cached tokens, times to the first token, refunds."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.harness import running
from tests.support.public_logs import PUBLIC, PublicLog
from tests.support.scraped import Scraped

SHOWN: Mapping[str, Callable[[Scraped], Any]] = {
    "cached_tokens": lambda scraped: scraped.total("ai_operation_cached_tokens_total"),
    "refunds": lambda scraped: scraped.total("ai_operation_refunds_usd_total"),
    "first_tokens": lambda scraped: scraped.total("ai_operation_time_to_first_token_seconds_count"),
    "first_token_seconds": lambda scraped: scraped.total("ai_operation_time_to_first_token_seconds_sum"),
}
"""How a scrape shows each figure, by its name in the sources' files."""

WITH_MORE = [name for name in PUBLIC if PublicLog.of(name).also]


@pytest.mark.parametrize("name", WITH_MORE)
def test_what_only_some_systems_have_is_what_plain_sql_says(name: str, embedded_database: str, tmp_path: Path) -> None:
    public = PublicLog.of(name)
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 500, step=17)
        truth = public.more_figures(admin)
        assert all(truth.values()), truth
        with running(embedded_database, tmp_path, datetime.now(UTC) - timedelta(hours=4), source=name) as exporter:
            exporter.wait_ready()
            scraped = exporter.scrape()
            shown = {figure: SHOWN[figure](scraped) for figure in truth}
            assert shown == {figure: pytest.approx(float(value), rel=1e-12) for figure, value in truth.items()}
