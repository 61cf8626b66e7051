"""What the web surface needs from the program behind it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporter.web.families import Family


@dataclass(frozen=True)
class HealthStatus:
    """An answer to a health question: yes or no, and a sentence free of secrets that says why."""

    ok: bool
    reason: str


class Application(Protocol):
    """The program behind the pages; its methods are called from several threads at once."""

    def scrape(self, timeout: float) -> Iterable[Family]:
        """The metric families of now; returns within about ``timeout`` seconds. May raise anything."""

    def health(self) -> HealthStatus:
        """Whether the process works; a false answer asks for a restart."""

    def readiness(self) -> HealthStatus:
        """Whether a scrape would tell the whole truth now."""

    def status(self) -> Sequence[tuple[str, str]]:
        """Rows (name, value) for the landing page, already free of secrets."""
