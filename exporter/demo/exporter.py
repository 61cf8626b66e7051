"""The exporter as the demo runs it."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from exporter.catalog import USD
from exporter.config import Config
from exporter.config.sources import SourceName
from exporter.demo.profiles import MODELS
from exporter.demo.run import CONFIG_FILE, RunningExporter, Summary
from exporter.figures import Figure
from exporter.ledger.aggregate import FAILURES
from exporter.ledger.exposed import spend_month, spend_today, started_ratio
from exporter.ledger.model import Phase
from exporter.process.serving import serving
from exporter.scrape.application import Exporter

_SCRAPE_SECONDS = 5.0


@contextlib.contextmanager
def serve_demo(
    database_url: str,
    state_dir: Path,
    backfill_since: datetime,
    listen_address: str,
    *,
    source: SourceName = "helix",
) -> Iterator[RunningExporter]:
    """An exporter on the demo's database, which counts its whole history."""
    settings = demo_settings(database_url, state_dir, listen_address, source)
    with serving(Config.model_validate(settings), {}, int(backfill_since.timestamp())) as running:
        file = state_dir.with_name(CONFIG_FILE)
        file.touch(mode=0o600)  # it has the database's password
        file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        yield _Demonstrated(running.exporter, running.url)


def demo_settings(database_url: str, state_dir: Path, listen_address: str, source: SourceName) -> dict[str, Any]:
    """The exporter's configuration, as a file would have it."""
    return {
        "source": source,
        "database": {"url": database_url},
        "models": {
            "aliases": {model.route_name: model.name for model in MODELS.values()},
            "timeouts": {model.name: f"{model.timeout_ms // 1000}s" for model in MODELS.values()},
        },
        "prices": {
            model.name: [
                {
                    "input": float(model.input_price),
                    "output": float(model.output_price),
                    "source": "the demo's own list",
                }
            ]
            for model in MODELS.values()
        },
        "daily_limit_usd": 200,
        "monthly_limit_usd": 4000,
        "state_dir": str(state_dir),
        "web": {"listen_address": listen_address},
        "log_level": "warning",
    }


@dataclass(frozen=True)
class _Demonstrated:
    exporter: Exporter
    address: str

    def summary(self) -> Summary | None:
        """The figures after a scrape of its own, so that the demo shows life without a Prometheus."""
        self.exporter.scrape(_SCRAPE_SECONDS)
        ledger = self.exporter.ledger
        with ledger.reading():
            state = ledger.durable
            if state is None:
                return None
            failures: dict[str, int] = {}
            for series, total in state.totals.items():
                failures[series.operation] = failures.get(series.operation, 0) + sum(total[FAILURES])
            return Summary(
                Decimal(sum(spend_today(state, ledger.settings).values())) / USD,
                Decimal(sum(spend_month(state, ledger.settings).values())) / USD,
                sum(total[Figure.CALLS] for total in state.totals.values()),
                {operation: count for operation, count in failures.items() if count},
                state.progress.phase == Phase.RUNNING,
                started_ratio(state.progress),
            )
