"""The SQLSTATE of a refused login, which libpq keeps to itself: it is the same in every language.

The driver hands on libpq's sentence alone, and that is in the language of the server. The one public way to the state
is to ask libpq for verbose errors while the connection is being made, on the library that the driver has loaded.
"""

import ctypes
import re
import select
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

_MAPS = Path("/proc/self/maps")
_LIBRARY = re.compile(r"(/\S*/libpq[-.]\S*)$", re.MULTILINE)
_VERBOSE = 2  # PQERRORS_VERBOSE
_STATE = re.compile(rb":  ([0-9A-Z]{5}): ")  # after the severity, in whatever language


def refused_with(parameters: Mapping[str, str], seconds: float) -> str | None:
    """Log in once more, for `seconds` at most, only to learn the SQLSTATE of the refusal.

    None where it is not refused again, or where the loaded libpq cannot be found. Never raises.
    """
    library = _libpq()
    if library is None:
        return None
    try:
        connection = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
    except (psycopg.Error, UnicodeError):
        return None
    try:
        library.PQsetErrorVerbosity(getattr(connection, "pgconn_ptr", None), _VERBOSE)
        _wait_for_end(connection, time.monotonic() + seconds)
        found = _STATE.search(connection.error_message)
    except (psycopg.Error, OSError, ValueError):
        return None
    finally:
        connection.finish()
    return found[1].decode() if found else None


def _wait_for_end(connection: pq.abc.PGconn, deadline: float) -> None:
    ready = pq.PollingStatus.WRITING
    while ready in (pq.PollingStatus.READING, pq.PollingStatus.WRITING) and time.monotonic() < deadline:
        poller = select.poll()
        poller.register(connection.socket, select.POLLIN if ready == pq.PollingStatus.READING else select.POLLOUT)
        poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        ready = pq.PollingStatus(connection.connect_poll())


@cache
def _libpq() -> ctypes.CDLL | None:
    """The library that the driver uses; another copy of it must not touch the driver's connections."""
    try:
        paths = set(_LIBRARY.findall(_MAPS.read_text()))
        (path,) = paths
        library = ctypes.CDLL(path)
        library.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
    except (OSError, ValueError, AttributeError):
        return None
    return library
