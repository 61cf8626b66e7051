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
        self._calm: asyncio.TimerHandle | None = None
        self._listening = listening
        self._task = self._loop.create_task(self._accept(listening))

    def stop(self) -> None:
        """Accept no more connections; the socket itself stays open."""
        # before the task: asyncio would still accept a connection that is due now, and lose it
        self._loop.remove_reader(self._listening)
        self._task.cancel()
        if self._calm is not None:
            self._calm.cancel()

    async def _accept(self, listening: socket.socket) -> None:
        made_room = False
        while True:
            try:
                connection, address = await self._loop.sock_accept(listening)
            except ConnectionAbortedError:  # gone already
                pass
            except OSError as error:
                self._report(error)
                # if making room did not help, it is not this process that causes the shortage
                made_room = not made_room and error.errno in _SHORTAGES and self._make_room()
                if not made_room:
                    await asyncio.sleep(_REST_SECONDS)
            else:
                made_room = False
                self._loop.call_soon(self._accepted, connection, address)  # its errors do not end this loop
            await asyncio.sleep(0)  # while many come, others get their turn

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
