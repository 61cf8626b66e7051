"""A log to write to."""

from collections.abc import Iterator

import psycopg
import pytest

from exporter.demo.schema import load_schema


@pytest.fixture
def log(embedded_database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection that writes into a log of layout "success"."""
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, "success")
        yield connection
