"""The exporter and its alternatives as real programs, each with a role of its own in the database."""

import contextlib
import shutil
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import tools
from bench.logs import Log, Shape
from bench.processes import Page, Process, cpu_seconds, free_port, wait_until
from bench.rivals import configs
from bench.server import Database, Server

TOTALS = "%GROUP BY 1, 2, 3%"
"""The statement by which an alternative refreshes its totals, as a pattern."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Contender(ABC):
    """A program that shows what is in the log, and what it says its totals are."""

    name = ""
    ready_path = "/metrics"
    counted: tuple[str, str]
    """The series that count calls, and their cost."""
    spent: tuple[str, str]
    """The series of what users have spent today, and its label for the user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process: Process | None = None

    @property
    def role(self) -> str:
        """Its role in the database."""
        return f"bench_{type(self).__name__.lower()}"

    @property
    def process(self) -> Process:
        """The program. Raises `RuntimeError` before the start."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

    def start(self, url: str) -> None:
        """Start it on a database, and wait until it can be scraped."""
        address = f"127.0.0.1:{free_port()}"
        command, environ = self._command(url, address)
        self._process = Process(command, f"http://{address}", environ, self.folder / "log")
        wait_until(lambda: self.process.answers(self.ready_path), f"{self.name} is not ready")

    @contextlib.contextmanager
    def running_on(self, database: Database, address: str | None = None) -> Iterator[Self]:
        """Give it its role in a database, start it there, through another `host:port` if one is given, and end it."""
        database.grant(self.role)
        try:
            self.start(database.url(self.role, address))
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def scrape(self) -> Page:
        """Its page."""
        return self.process.fetch()

    @abstractmethod
    def _command(self, url: str, address: str) -> tuple[list[str], dict[str, str]]:
        """Write its configuration; the command that serves on this address, and what it needs in the environment."""

    def _written(self, text: str) -> str:
        path = self.folder / "config.yaml"
        path.write_text(text)
        return str(path)

    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """The series that it counts by, for each of `calls` and `cost_usd`."""
        calls, cost = self.counted
        return {"calls": series(samples, calls), "cost_usd": series(samples, cost)}

    def spend_today(self, samples: Samples) -> dict[str, float]:
        """What it says each user has spent today."""
        return {user: spend for user, spend in by_label(samples, *self.spent).items() if user != "other"}


class Ours(Contender):
    """This exporter. `settings` go into its configuration."""

    name = "ai-operation-exporter"
    ready_path = "/-/ready"
    counted = "ai_operations_total", "ai_operation_cost_usd_total"
    spent = "ai_user_spend_today_usd", "user"

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder)
        self.settings = dict(settings or {})

    def _command(self, url: str, address: str) -> tuple[list[str], dict[str, str]]:
        config = self._written(yaml.safe_dump({"zero_hold": 0} | self.settings))
        command = [sys.executable, "-m", "exporter", "serve", "--config", config]
        command += ["--state-dir", str(self.folder / "state"), f"--web.listen-address={address}"]
        return command, {"DATABASE_URL": url}


class QueryExporter(Contender):
    """query-exporter from PyPI."""

    name = "query-exporter"
    ready_path = "/"
    counted = "calls_total", "cost_usd_total"
    spent = "spend_usd", "username"

    def _command(self, url: str, address: str) -> tuple[list[str], dict[str, str]]:
        host, _, port = address.partition(":")
        config = self._written(configs.query_exporter(url))
        return [str(tools.program("query-exporter")), "--config", config, "--host", host, "--port", port], {}


class SqlExporter(Contender):
    """Debian's prometheus-sql-exporter. It refreshes at an interval of its own."""

    name = "prometheus-sql-exporter"
    counted = "sql_log", "sql_log"
    spent = "sql_log_spend_today", "username"
    interval = "1s"

    def _command(self, url: str, address: str) -> tuple[list[str], dict[str, str]]:
        config = self._written(configs.sql_exporter(url.replace("postgresql:", "postgres:", 1), self.interval))
        return [self.name, "-config.file", config, "-web.listen-address", address], {}

    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """Calls and cost, which are gauges of one name here."""
        found = super().totals(samples)
        return {
            what: {labels: value for labels, value in values.items() if ("col", what) in labels}
            for what, values in found.items()
        }


class PostgresExporter(Contender):
    """Debian's prometheus-postgres-exporter, with custom queries and nothing else."""

    name = "prometheus-postgres-exporter"
    ready_path = "/"
    # the parser ends every counter's name so
    counted = "log_calls_total", "log_cost_usd_total"
    spent = "log_spend_today_spend_usd", "username"

    def _command(self, url: str, address: str) -> tuple[list[str], dict[str, str]]:
        config = self._written(configs.postgres_exporter())
        command = [self.name, f"--extend.query-path={config}", f"--web.listen-address={address}"]
        command += ["--disable-default-metrics", "--disable-settings-metrics"]
        command += ["--no-collector.database", "--no-collector.bgwriter"]
        return command, {"DATA_SOURCE_NAME": url}


RIVALS: tuple[type[Contender], ...] = (QueryExporter, SqlExporter, PostgresExporter)


@contextlib.contextmanager
def ours_on(
    server: Server, shape: Shape, rate: float, recent: int, settings: Mapping[str, Any] | None = None
) -> Iterator[tuple[Log, Ours]]:
    """The exporter, running on a log that has rows of the last `recent` seconds, so many a second."""
    with server.database() as database, tempfile.TemporaryDirectory() as folder:
        log = Log(database, shape)
        log.fill_recent(rate, recent)
        log.settle()
        with Ours(Path(folder), settings).running_on(database) as ours:
            yield log, ours


def available() -> list[type[Contender]]:
    """The alternatives that are here. Says which are not, by name."""
    found = []
    for kind in RIVALS:
        if kind is QueryExporter or shutil.which(kind.name):
            found.append(kind)
        else:
            print(
                f"not measured, since it is not installed: {kind.name} (apt-get install {kind.name})", file=sys.stderr
            )
    return found


def everyone() -> list[type[Contender]]:
    """The exporter, and the alternatives that are here."""
    return [Ours, *available()]


def series(samples: Samples, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """The series of a name."""
    return {labels: value for (found, labels), value in samples.items() if found == name}


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    """The series of a name by one of their labels."""
    return {dict(labels)[label]: value for labels, value in series(samples, name).items()}


def parsed(page: Page) -> Samples:
    """The samples of a page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.body.decode())
        for sample in family.samples
    }


@dataclass(frozen=True)
class Scrapes:
    """What scrapes cost, each: milliseconds of the program's CPU, and of wall time; and the last page."""

    cpu_ms: float
    wall_ms: float
    page: Page


def repeated(contender: Contender, times: int, pause: float, headers: Mapping[str, str] | None = None) -> Scrapes:
    """Scrape so many times, with a pause of so many seconds after each."""
    before, pages = cpu_seconds(contender.process.pid), []
    for _ in range(times):
        pages.append(contender.process.fetch(headers=headers))
        time.sleep(pause)
    spent = cpu_seconds(contender.process.pid) - before
    return Scrapes(1000 * spent / times, median(page.milliseconds for page in pages), pages[-1])


def samples_on(page: Page) -> int:
    """How many samples a page has."""
    return sum(bool(line) and not line.startswith(b"#") for line in page.body.splitlines())
