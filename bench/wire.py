"""A wire to the database server that adds a distance, and counts what passes."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

_WAITS = (ord("Q"), ord("S"))  # a simple query, and the end of a pipeline: a client then waits for the answer


@dataclass
class Wire:
    """What has passed: round trips, and bytes in both directions. `rtt` is the added round-trip time in seconds."""

    address: str
    rtt: float
    round_trips: int = 0
    sent: int = 0
    received: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """Count anew."""
        with self.lock:
            self.round_trips = self.sent = self.received = 0


@contextlib.contextmanager
def wire_to(server: tuple[str, int], rtt: float) -> Iterator[Wire]:
    """A wire that holds back whatever passes for half the round-trip time in each direction. Without TLS only."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(f"127.0.0.1:{listener.getsockname()[1]}", rtt)
        threading.Thread(target=_accept, args=(listener, server, wire), daemon=True).start()
        yield wire
        # wakes the thread that accepts
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: tuple[str, int], wire: Wire) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            behind = socket.create_connection(server)
            for end in (client, behind):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _carry(client, behind, wire.rtt, _counting_waits(wire))
            _carry(behind, client, wire.rtt, _counting_bytes(wire))


def _carry(source: socket.socket, sink: socket.socket, rtt: float, count: Callable[[bytes], None]) -> None:
    held: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def take() -> None:
        data = b"begun"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            count(data)
            held.put((time.monotonic() + rtt / 2, data))

    def give() -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = held.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    for work in (take, give):
        threading.Thread(target=work, daemon=True).start()


def _counting_bytes(wire: Wire) -> Callable[[bytes], None]:
    def count(data: bytes) -> None:
        with wire.lock:
            wire.received += len(data)

    return count


def _counting_waits(wire: Wire) -> Callable[[bytes], None]:
    waits = waits_in()
    next(waits)

    def count(data: bytes) -> None:
        found = waits.send(data)
        with wire.lock:
            wire.sent += len(data)
            wire.round_trips += found

    return count


def waits_in() -> Generator[int, bytes, None]:
    """A coroutine that is sent what a client says, in any pieces, and returns how often it then waits."""
    buffer, found, begun = b"", 0, False
    while True:
        buffer += yield found
        found = 0
        while len(buffer) >= (4 if not begun else 5):
            # the startup message has no type
            length = int.from_bytes(buffer[1:5]) + 1 if begun else int.from_bytes(buffer[:4])
            if len(buffer) < length:
                break
            found += begun and buffer[0] in _WAITS
            buffer, begun = buffer[length:], True
