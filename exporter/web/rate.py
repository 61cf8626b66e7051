"""A token bucket."""

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
