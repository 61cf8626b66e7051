"""The metrics page: a scrape in a thread, in the format that the client prefers."""

import logging
import time
import traceback
from dataclasses import dataclass, field
from functools import partial

from exporter.web.app import Application
from exporter.web.encoding import RememberingEncoder
from exporter.web.limits import ScrapeTimeouts
from exporter.web.messages import Request, Response, sentence
from exporter.web.negotiate import accepts_gzip, choose_format
from exporter.web.pool import BoundedPool, PoolFullError

_log = logging.getLogger(__name__)
_TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_GRACE = 1.0  # seconds a scrape may be late before its client is told


@dataclass(frozen=True)
class MetricsPage:
    """``/metrics``."""

    app: Application
    timeouts: ScrapeTimeouts
    pool: BoundedPool
    _encoders: dict[str, RememberingEncoder] = field(default_factory=dict)

    async def answer(self, request: Request) -> Response:
        """The metrics, or one line on why there are none; HEAD gets the headers without a scrape."""
        encode, content_type = choose_format(request.headers.get("Accept"))
        if content_type not in self._encoders:
            self._encoders[content_type] = RememberingEncoder(encode)
        encoder = self._encoders[content_type]
        compress = accepts_gzip(request.headers.get("Accept-Encoding"))
        headers = {"Vary": "Accept, Accept-Encoding"}
        if compress:
            headers["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            return Response(200, None, content_type, headers)
        timeout = self.timeouts.choose(request.headers.get(_TIMEOUT_HEADER))
        names = frozenset(request.query.get("name[]", ()))
        work = partial(_scrape, self.app, time.monotonic() + timeout, names, encoder, compress)
        try:
            body = await self.pool.run(work, timeout + _GRACE)
        except PoolFullError:
            return sentence(503, "Too many scrapes at once.", Retry_After="1")
        except TimeoutError:
            return sentence(503, "The scrape took longer than its timeout.")
        except Exception as error:
            _log.error("%s", describe("scrape failed", error))
            return sentence(500, "The scrape failed; the log says where.")
        return Response(200, body, content_type, headers)


def describe(what: str, error: BaseException) -> str:
    """One line on an error: its class and place, but not its text, which may hold a secret."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return f"{what}: {kind}"
    frame, line = frames[-1]
    return f"{what}: {kind} at {frame.f_globals.get('__name__', '?')}:{line}"


def _scrape(
    app: Application, deadline: float, names: frozenset[str], encode: RememberingEncoder, compress: bool
) -> bytes:
    # Waiting in the queue has taken some of the time.
    families = app.scrape(max(0.1, deadline - time.monotonic()))
    return encode(families, names, compress=compress)
