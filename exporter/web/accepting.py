"""Accept connections on a listening socket, even when the process runs out of file descriptors."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_SECONDS = 0.5
_CALM_SECONDS = 10.0


class Acceptor:
    """Passes each new connection on. Lives in a running event loop, and is used by its thread only.

    In a shortage, `make_room` closes a connection that can be spared. If there is none, new connections wait in the
    kernel for half a second: the listening socket stays readable, and would keep the loop busy for nothing. A shortage
    is logged once, and its end after ten seconds without one.
    """

    def __init__(
        self,
        listening: socket.socket,
        accepted: Callable[[socket.socket, Any], None],
        make_room: Callable[[], bool],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._make_room = make_room
        self._listening = listening
        self._made_room = False
        self._rest: asyncio.TimerHandle | None = None
        self._calm: asyncio.TimerHandle | None = None
        self._resume()

    def stop(self) -> None:
        """Accept no more connections; the socket itself stays open."""
        self._loop.remove_reader(self._listening)
        for timer in (self._rest, self._calm):
            if timer is not None:
                timer.cancel()

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        """Accept one connection and pass it on in one go: a stop comes before or after, and loses none.

        One at a time, so that while many come, others get their turn.
        """
        try:
            connection, address = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # gone already
            return
        except OSError as error:
            self._report(error)
            # if making room did not help, it is not this process that causes the shortage
            self._made_room = not self._made_room and error.errno in _SHORTAGES and self._make_room()
            if not self._made_room:
                self._loop.remove_reader(self._listening)
                self._rest = self._loop.call_later(_REST_SECONDS, self._resume)
            return
        self._made_room = False
        connection.setblocking(False)
        self._accepted(connection, address)

    def _report(self, error: OSError) -> None:
        if self._calm is None:
            _log.warning(
                "new connections have to wait: %s — raise the limit of open files (LimitNOFILE, ulimit -n), "
                "or find out who opens so many connections",
                error.strerror,
            )
        else:
            self._calm.cancel()
        self._calm = self._loop.call_later(_CALM_SECONDS, self._calm_down)

    def _calm_down(self) -> None:
        self._calm = None
        _log.info("new connections are accepted again")
