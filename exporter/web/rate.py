"""How often something may happen: requests by a token bucket, lines in the log by one an interval."""

import logging
import time
from collections.abc import Callable

from exporter.web.settings import RateLimit


class RateLimiter:
    """Lets ``burst`` requests through at once and one more every ``interval`` seconds; the limit may change."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit = RateLimit()
        self._tokens = 0.0
        self._filled = clock()

    def allow(self, limit: RateLimit) -> bool:
        """Whether one more request may pass now under this limit."""
        now = self._clock()
        if limit != self._limit:
            self._limit, self._tokens, self._filled = limit, float(limit.burst), now
        if not limit.interval:
            return True
        self._tokens = min(limit.burst, self._tokens + (now - self._filled) / limit.interval)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class LogRateFilter(logging.Filter):
    """Lets one record through every ``seconds``, and none below a warning: strangers must not fill the log."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._next = 0.0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        now = self._clock()
        # Below a warning Tornado repeats what the client sent, which may be a password.
        if record.levelno < logging.WARNING:
            return False
        if now < self._next:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg = f"{record.getMessage()} (and {self._left_out} more like it)"
            record.args = None
        self._next, self._left_out = now + self._seconds, 0
        return True
