"""A wire to PostgreSQL that counts how often each client waits for an answer."""

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

READS_THE_LOG, READS_TABLES = "ai-operation-exporter", "ai-operation-exporter-tables"
LOGIN = 5
"""Round trips until a session can be used: to connect, to ask for TLS, and to log in by a password with SCRAM."""

_WAITS = (ord("Q"), ord("S"))  # a simple query, and the end of a pipeline
_FLUSH, _PARSE = ord("H"), ord("P")
_PROCESS = b"K"  # what the server names itself by


@dataclass
class Wire:
    """Counts, by application name, the messages after which a client waits: the round trips of its transactions.

    Those of the login are not among them: connecting, asking for TLS, and three for a password by SCRAM. `strays` are
    Flush messages that follow the end of a pipeline, which a pooler may give a server of their own. `parsed` are the
    statements that the server was sent as a text, and `kept` those of them that it keeps under a name.
    """

    url: str
    one_by_one: bool = False
    like_a_pooler: bool = False
    waits: Counter[str] = field(default_factory=Counter)
    connections: Counter[str] = field(default_factory=Counter)
    strays: Counter[str] = field(default_factory=Counter)
    parsed: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: str) -> int:
        """Round trips so far of the connections with this application name."""
        with self.lock:
            return self.waits[name]

    def opened(self) -> int:
        """Connections so far."""
        with self.lock:
            return self.connections.total()

    def total(self) -> int:
        """Round trips so far of all connections."""
        with self.lock:
            return self.waits.total()


@contextlib.contextmanager
def wire_to(url: str, *, one_by_one: bool = False, like_a_pooler: bool = False) -> Iterator[Wire]:
    """A wire to the server of a URL; its own URL leads to the same database.

    `one_by_one`: it ends a connection that sends several statements together, as an old pooler may. `like_a_pooler`:
    it names a process at the login that is not the server's.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    target = (parts.hostname, parts.port or 5432)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        login = parts.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{listener.getsockname()[1]}"
        own = urlunsplit(parts._replace(netloc=netloc, query="sslmode=disable&gssencmode=disable"))
        wire = Wire(own, one_by_one, like_a_pooler)
        threading.Thread(target=_accept, args=(listener, target, wire), daemon=True).start()
        yield wire
        # wakes the thread that accepts
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: tuple[str, int], wire: Wire) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(target)
            threading.Thread(target=_forward, args=(client, server, wire), daemon=True).start()
            threading.Thread(target=_back, args=(server, client, wire), daemon=True).start()


def _back(source: socket.socket, sink: socket.socket, wire: Wire) -> None:
    with contextlib.suppress(OSError, EOFError):
        head = b""
        while wire.like_a_pooler and head[:1] != _PROCESS:
            head = _exactly(source, 5)
            body = _exactly(source, int.from_bytes(head[1:]) - 4)
            sink.sendall(head + (b"\x7f" + body[1:] if head[:1] == _PROCESS else body))
        while data := source.recv(65536):
            sink.sendall(data)
    _close(source, sink)


def _forward(client: socket.socket, server: socket.socket, wire: Wire) -> None:
    """Pass messages on one by one: the startup packet, which has no type, then the others."""
    with contextlib.suppress(OSError, EOFError):
        length = _exactly(client, 4)
        startup = _exactly(client, int.from_bytes(length) - 4)
        words = startup[4:].split(b"\0")
        name = dict(zip(words[::2], words[1::2], strict=False)).get(b"application_name", b"").decode()
        server.sendall(length + startup)
        with wire.lock:
            wire.connections[name] += 1
        together, ended = 0, True
        while True:
            head = _exactly(client, 5)
            body = _exactly(client, int.from_bytes(head[1:]) - 4)
            together = 0 if head[0] in _WAITS else together + (head[0] == _PARSE)
            if wire.one_by_one and together > 1:
                break
            with wire.lock:
                wire.waits[name] += head[0] in _WAITS
                wire.strays[name] += ended and head[0] == _FLUSH
                wire.parsed[name] += head[0] == _PARSE
                wire.kept[name] += head[0] == _PARSE and body[0] != 0
            ended = head[0] in _WAITS
            server.sendall(head + body)
    _close(client, server)


def _exactly(source: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = source.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
