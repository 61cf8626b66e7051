"""A server that refuses every login with an error of one's choice, in whatever language."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


@contextlib.contextmanager
def refusing(state: str, message: str, severity: str = "FATAL", *, tls: bool = False) -> Iterator[int]:
    """The port of a server on 127.0.0.1 that answers each startup with this SQLSTATE and message.

    With `tls` it says that it speaks TLS, and does not.
    """
    fields = {"S": severity, "V": "FATAL", "C": state, "M": message, "F": "file.c", "L": "1", "R": "function"}
    body = b"".join(name.encode() + text.encode() + b"\0" for name, text in fields.items()) + b"\0"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        answer = b"E" + struct.pack("!i", len(body) + 4) + body
        thread = threading.Thread(target=_serve, args=(listener, answer, b"S" if tls else b"N"))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, answer: bytes, encryption: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(10)
        with connection, contextlib.suppress(OSError, struct.error):
            while _request(connection) in (_SSL_REQUEST, _GSS_REQUEST):
                connection.sendall(encryption)
                if encryption == b"S":
                    break
            else:
                connection.sendall(answer)


def _request(connection: socket.socket) -> int:
    (length,) = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))
    packet = connection.recv(length - 4, socket.MSG_WAITALL)
    (code,) = struct.unpack("!i", packet[:4])
    return int(code)
