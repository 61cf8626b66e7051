"""The exporter and its alternatives as real programs, each with a role of its own in the database."""

import contextlib
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import tools
from bench.logs import Log, Shape
from bench.processes import Page, Process, free_port, wait_until
from bench.rivals import configs
from bench.server import Server

TOTALS = "%GROUP BY 1, 2, 3%"
"""The statement by which an alternative refreshes its totals, as a pattern."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Contender(ABC):
    """A program that shows what is in the log, and what it says its totals are."""

    name = ""

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
        self._process = self.prepare(url, free_port())
        self._process.start()
        wait_until(lambda: self.process.answers(self.ready_path), f"{self.name} is not ready")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def scrape(self) -> Page:
        """Its page."""
        return self.process.fetch()

    ready_path = "/metrics"

    @abstractmethod
    def prepare(self, url: str, port: int) -> Process:
        """Write its configuration; the process that serves on this port."""

    @abstractmethod
    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """The series that it counts by, for each of `calls` and `cost_usd`."""

    @abstractmethod
    def spend_today(self, samples: Samples) -> dict[str, float]:
        """What it says each user has spent today."""


class Ours(Contender):
    """This exporter. `settings` go into its configuration."""

    name = "ai-operation-exporter"
    ready_path = "/-/ready"

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder)
        self.settings = dict(settings or {})

    @property
    def role(self) -> str:
        """Its role in the database."""
        return "bench_ours"

    def prepare(self, url: str, port: int) -> Process:
        """Write its configuration; the process that serves on this port."""
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump({"zero_hold": 0} | self.settings))
        address = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "exporter", "serve", "--config", str(config)]
        command += ["--state-dir", str(self.folder / "state"), f"--web.listen-address={address}"]
        return Process(command, f"http://{address}", {"DATABASE_URL": url}, self.folder / "log")

    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """Calls and cost."""
        return {
            "calls": series(samples, "ai_operations_total"),
            "cost_usd": series(samples, "ai_operation_cost_usd_total"),
        }

    def spend_today(self, samples: Samples) -> dict[str, float]:
        """What it says each user has spent today."""
        users = by_label(samples, "ai_user_spend_today_usd", "user")
        return {user: spend for user, spend in users.items() if user != "other"}


class QueryExporter(Contender):
    """query-exporter from PyPI."""

    name = "query-exporter"

    def prepare(self, url: str, port: int) -> Process:
        """Write its configuration; the process that serves on this port."""
        config = self.folder / "config.yaml"
        config.write_text(configs.query_exporter(url))
        command = [str(tools.program("query-exporter")), "--config", str(config), "--host", "127.0.0.1"]
        return Process([*command, "--port", str(port)], f"http://127.0.0.1:{port}", {}, self.folder / "log")

    ready_path = "/"

    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """Calls and cost."""
        return {name: series(samples, f"{name}_total") for name in ("calls", "cost_usd")}

    def spend_today(self, samples: Samples) -> dict[str, float]:
        """What it says each user has spent today."""
        return by_label(samples, "spend_usd", "username")


class SqlExporter(Contender):
    """Debian's prometheus-sql-exporter. It refreshes at an interval of its own."""

    name = "prometheus-sql-exporter"
    interval = "1s"

    def prepare(self, url: str, port: int) -> Process:
        """Write its configuration; the process that serves on this port."""
        config = self.folder / "config.yaml"
        config.write_text(configs.sql_exporter(url.replace("postgresql:", "postgres:", 1), self.interval))
        command = [self.name, "-config.file", str(config), "-web.listen-address", f"127.0.0.1:{port}"]
        return Process(command, f"http://127.0.0.1:{port}", {}, self.folder / "log")

    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """Calls and cost, which are gauges here."""
        found = series(samples, "sql_log")
        return {
            name: {labels: value for labels, value in found.items() if ("col", name) in labels}
            for name in ("calls", "cost_usd")
        }

    def spend_today(self, samples: Samples) -> dict[str, float]:
        """What it says each user has spent today."""
        return by_label(samples, "sql_log_spend_today", "username")


class PostgresExporter(Contender):
    """Debian's prometheus-postgres-exporter, with custom queries and nothing else."""

    name = "prometheus-postgres-exporter"
    ready_path = "/"

    def prepare(self, url: str, port: int) -> Process:
        """Write its configuration; the process that serves on this port."""
        config = self.folder / "queries.yaml"
        config.write_text(configs.postgres_exporter())
        command = [self.name, f"--extend.query-path={config}", f"--web.listen-address=127.0.0.1:{port}"]
        command += ["--disable-default-metrics", "--disable-settings-metrics"]
        command += ["--no-collector.database", "--no-collector.bgwriter"]
        return Process(command, f"http://127.0.0.1:{port}", {"DATA_SOURCE_NAME": url}, self.folder / "log")

    def totals(self, samples: Samples) -> Mapping[str, Mapping[frozenset[tuple[str, str]], float]]:
        """Calls and cost."""
        # the parser ends every counter's name so
        return {name: series(samples, f"log_{name}_total") for name in ("calls", "cost_usd")}

    def spend_today(self, samples: Samples) -> dict[str, float]:
        """What it says each user has spent today."""
        return by_label(samples, "log_spend_today_spend_usd", "username")


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
        ours = Ours(Path(folder), settings)
        database.grant(ours.role)
        ours.start(database.url(ours.role))
        try:
            yield log, ours
        finally:
            ours.stop()


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


def samples_on(page: Page) -> int:
    """How many samples a page has."""
    return sum(bool(line) and not line.startswith(b"#") for line in page.body.splitlines())
