"""A transaction for statements that write, in which nothing of the search path is called."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg


@contextlib.contextmanager
def locked(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Run what is inside with no search path but the system's own; tables need their schema there.

    Whoever may create a function in a schema of the search path could otherwise have it called with our rights. In a
    transaction of the caller's, the path is as before when this ends without an error.
    """
    with connection.transaction():
        (before,) = connection.execute("SHOW search_path").fetchone() or ("",)
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        yield
        connection.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (before,))
