"""Limits that keep slow or hostile clients from stopping a scrape."""

from dataclasses import dataclass
from math import isfinite

_LEAST_SCRAPE = 0.1


@dataclass(frozen=True)
class Limits:
    """The most that clients can use; times in seconds, sizes in bytes."""

    connections: int = 256
    header_timeout: float = 10.0  # from the accepted connection to the whole first request, TLS handshake included
    keep_alive: float = 75.0  # from a response to the next whole request; longer than usual scrape intervals
    write_timeout: float = 30.0
    header_bytes: int = 16 * 1024
    body_bytes: int = 1024  # bodies are read and thrown away
    scrape_threads: int = 64  # those that come together share one read; a thread of each waits for it
    scrape_queue: int = 16
    auth_threads: int = 2  # for bcrypt
    auth_queue: int = 32  # different passwords that wait for it
    refusal_summary: float = 60.0
    page_timeout: float = 5.0
    reload_interval: float = 1.0


@dataclass(frozen=True)
class ScrapeTimeouts:
    """How long a scrape may take, in seconds."""

    default: float
    offset: float
    most: float

    def choose(self, header: str | None) -> float:
        """Seconds for a scrape with this ``X-Prometheus-Scrape-Timeout-Seconds``; the default if it makes no sense."""
        try:
            announced = float(header or "")
        except ValueError:
            return self.default
        if not isfinite(announced) or announced <= 0:
            return self.default
        return max(_LEAST_SCRAPE, min(announced - self.offset, self.most))
