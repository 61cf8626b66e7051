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
def log(embedded_database: str, layout: Layout) -> Iterator[Log]:
    """A log of each layout in turn; a module that has `layout = fixed_layout(…)` sees one."""
    with Log(embedded_database, layout) as log:
        yield log


@pytest.fixture
def clock(log: Log) -> Clock:
    """The clock of the log's database, put to `START`."""
    clock = Clock(log)
    clock.set(START)
    return clock


@pytest.fixture
def bench(embedded_database: str, embedded_postgres: EmbeddedServer, tmp_path: Path) -> Iterator[Bench]:
    """A database in which `check` finds nothing to say."""
    with open_bench(embedded_database, embedded_postgres, tmp_path / "state") as bench:
        yield bench
