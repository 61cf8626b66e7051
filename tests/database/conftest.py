"""A log to write to, a clock to set, and a database for `check`: each fresh, on the embedded server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.demo.schema import Layout
from tests.support.clock import START, Clock
from tests.support.harness import Log
from tests.support.preflight import Bench, open_bench
from tests.support.servers import EmbeddedServer


@pytest.fixture
def log(embedded_postgres: EmbeddedServer, layout: Layout) -> Iterator[Log]:
    """A log of each layout in turn; a module that has `layout = fixed_layout(…)` sees one."""
    url = embedded_postgres.create_log(layout)
    with Log(url, layout, exists=True) as log:
        yield log
    embedded_postgres.drop_database(url)


@pytest.fixture
def clock(log: Log) -> Clock:
    """The clock of the log's database, put to `START`."""
    clock = Clock(log)
    clock.set(START)
    return clock


@pytest.fixture
def bench(embedded_postgres: EmbeddedServer, tmp_path: Path) -> Iterator[Bench]:
    """A database in which `check` finds nothing to say."""
    url = embedded_postgres.create_log("success")
    with open_bench(url, embedded_postgres, tmp_path / "state") as bench:
        yield bench
    embedded_postgres.drop_database(url)
