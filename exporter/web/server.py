"""The web server: its own thread and event loop, started and stopped by the program."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic_core import PydanticCustomError
from tornado.netutil import bind_sockets

from exporter.config.types import split_listen_address
from exporter.errors import UserError
from exporter.web.app import Application
from exporter.web.limits import Limits, ScrapeTimeouts
from exporter.web.listener import Listener
from exporter.web.metrics import describe
from exporter.web.rate import LogRateFilter
from exporter.web.refusals import Refusals
from exporter.web.reloading import ReloadingSettings
from exporter.web.routes import Router

_STOP_SECONDS = 1.5
_BACKLOG = 512
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound

_log = logging.getLogger(__name__)
_log_rate_filter = LogRateFilter(seconds=10.0)


class WebError(UserError):
    """The server cannot start; the text says why and how to fix it."""


class WebServer:
    """Serves an application over HTTP or HTTPS until it is stopped."""

    def __init__(
        self,
        app: Application,
        listen_address: str = "127.0.0.1:9867",
        web_config_file: Path | None = None,
        timeouts: ScrapeTimeouts = ScrapeTimeouts(default=10.0, offset=0.5, most=60.0),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
        refusals: Refusals | None = None,
    ) -> None:
        self._app = app
        self._listen_address = listen_address
        self._web_config_file = web_config_file
        self._timeouts = timeouts
        self._limits = limits
        self._refusals = refusals or Refusals()
        self._host, self._port = "", 0
        self._settings: ReloadingSettings | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Listen and serve in a thread; when this returns, clients can connect.

        Raises ConfigError for a web configuration file that cannot be used, WebError for the address.
        """
        if self._thread is not None:
            raise WebError("the web server was started already; make a new one")
        self._host, _ = _split(self._listen_address)
        settings = ReloadingSettings(self._web_config_file, self._limits.reload_interval)
        sockets = listen_on(self._listen_address)
        self._port = sockets[0].getsockname()[1]
        self._settings = settings
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(sockets, settings, ready), name="web", daemon=True)
        self._thread.start()
        ready.wait()
        if self._loop is None:
            raise WebError("the web server cannot run: the log says where — free file descriptors or memory")

    def stop(self) -> None:
        """Close the port and every connection, within two seconds; a scrape under way loses its client."""
        if self._thread is None or self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_SECONDS + 0.4)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def ping(self, answer: Callable[[], None]) -> None:
        """Have the event loop call ``answer`` as soon as it can; never, if it has ended."""
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(answer)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """``http://host:port`` or ``https://…``, without a slash at the end; for every address, the local one."""
        scheme = "https" if self._settings is not None and self._settings.context is not None else "http"
        host = _WILDCARDS.get(self._host, self._host)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}"

    def _run(self, sockets: list[socket.socket], settings: ReloadingSettings, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(sockets, settings, ready))
        except Exception as error:
            _log.error("%s", describe("web server ended", error))
        finally:
            for one in sockets:
                one.close()
            ready.set()  # if it failed before, start() still waits

    async def _serve(self, sockets: list[socket.socket], settings: ReloadingSettings, ready: threading.Event) -> None:
        logging.getLogger("tornado.general").addFilter(_log_rate_filter)
        router = Router(self._app, self._timeouts, self._limits, self._refusals)
        listener = Listener(sockets, settings, router, self._limits)
        self._loop = asyncio.get_running_loop()
        summaries = self._loop.create_task(self._sum_up_refusals())
        ready.set()
        await self._stopping.wait()
        summaries.cancel()
        self._refusals.summary()
        try:
            await asyncio.wait_for(listener.close(), _STOP_SECONDS)
        except TimeoutError:
            _log.warning("connections left open at the end")

    async def _sum_up_refusals(self) -> None:
        while True:
            await asyncio.sleep(self._limits.refusal_summary)
            self._refusals.summary()


def listen_on(address: str) -> list[socket.socket]:
    """The sockets of an address, as host:port. Raises WebError if it is none, or cannot be listened on."""
    host, port = _split(address)
    try:
        return bind_sockets(port, host or None, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such host"
        hint = "choose another address with --web.listen-address, or stop what listens there"
        raise WebError(f"cannot listen on {address}: {reason} — {hint}") from None


def _split(address: str) -> tuple[str, int]:
    try:
        return split_listen_address(address)
    except PydanticCustomError as error:
        raise WebError(f"listen address {address!r} — {error.message()}") from None
