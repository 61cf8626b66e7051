"""Answer requests: who has access, and what each path returns."""

import logging
from collections.abc import Mapping

from exporter.web.app import Application
from exporter.web.auth import Authenticator
from exporter.web.endpoints import ENDPOINTS, HEALTHY, LANDING, METHODS, METRICS
from exporter.web.limits import Limits, ScrapeTimeouts
from exporter.web.messages import Request, Response, sentence
from exporter.web.metrics import MetricsPage, describe
from exporter.web.pages import landing_page
from exporter.web.pool import BoundedPool, PoolFullError
from exporter.web.rate import RateLimiter
from exporter.web.refusals import Reason, Refusals
from exporter.web.settings import WebSettings

_log = logging.getLogger(__name__)
_PAGE_THREADS, _PAGE_QUEUE = 2, 32


class Router:
    """Answers every request, in an event loop; never raises."""

    def __init__(self, app: Application, timeouts: ScrapeTimeouts, limits: Limits, refusals: Refusals) -> None:
        self._app = app
        self._metrics = MetricsPage(app, timeouts, BoundedPool("scrape", limits.scrape_threads, limits.scrape_queue))
        self._pages = BoundedPool("page", _PAGE_THREADS, _PAGE_QUEUE)
        self._page_timeout = limits.page_timeout
        self._authenticator = Authenticator(limits.auth_threads, limits.auth_queue)
        self._refusals = refusals
        self._limiter, self._probe_limiter = RateLimiter(), RateLimiter()

    async def answer(self, request: Request, settings: WebSettings) -> Response:
        """The response under these settings."""
        try:
            refusal = await self._refusal(request, settings)
            return refusal or await self._page(request)
        except PoolFullError:
            return sentence(503, "Too many requests at once.", Retry_After="1")
        except TimeoutError:
            return sentence(503, "The page took too long.")
        except Exception as error:
            _log.error("%s", describe("page failed", error))
            return sentence(500, "The page failed; the log says where.")

    async def _refusal(self, request: Request, settings: WebSettings) -> Response | None:
        tls = settings.tls_server_config
        if tls and tls.client_allowed_sans and not request.names.intersection(tls.client_allowed_sans):
            return sentence(403, "The client certificate has none of the allowed names.")
        users = settings.basic_auth_users
        endpoint = ENDPOINTS.get(request.path)
        # An orchestrator has no password, and must get an answer even while somebody guesses passwords.
        needs_password = bool(users) and not (endpoint and endpoint.open)
        if needs_password:
            refusal = await self._refused_login(request, users)
            if refusal is not None:
                return refusal
        # Only now, and separately for probes: strangers must not use up the requests of those with a password.
        limiter = self._limiter if needs_password or not users else self._probe_limiter
        return None if limiter.allow(settings.rate_limit) else sentence(429, "Too many requests.", Retry_After="1")

    async def _refused_login(self, request: Request, users: Mapping[str, str]) -> Response | None:
        reason = await self._authenticator.check(users, request.headers.get("Authorization"), request.network)
        if reason is None:
            return None
        self._refusals.note(reason, request.network)
        if reason is Reason.BUSY:
            return sentence(503, "Too many logins at once.", Retry_After="1")
        return sentence(401, "Unauthorized.", WWW_Authenticate='Basic realm="metrics", charset="UTF-8"')

    async def _page(self, request: Request) -> Response:
        endpoint = ENDPOINTS.get(request.path)
        if endpoint is None:
            return sentence(404, "Not found.")
        if request.method not in METHODS:
            return sentence(405, "Only GET and HEAD.", Allow=", ".join(METHODS))
        if endpoint is METRICS:
            return await self._metrics.answer(request)
        if endpoint is LANDING:
            return await self._pages.run(lambda: landing_page(self._app.status()), self._page_timeout)
        check = self._app.health if endpoint is HEALTHY else self._app.readiness
        status = await self._pages.run(check, self._page_timeout)
        return sentence(200 if status.ok else 503, status.reason)
