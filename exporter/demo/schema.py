"""The demo's tables in both layouts that exist in production."""

from importlib.resources import files
from typing import Any, Literal, get_args

import psycopg

Layout = Literal["success", "status"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def load_schema(connection: psycopg.Connection[Any], layout: Layout) -> None:
    """Create the tables of a layout, empty, in the first schema of the search path; the caller commits."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not known: it is one of {', '.join(LAYOUTS)}")
    # Bytes, since psycopg takes a query that is not a literal only so or as a composed one.
    connection.execute(files(__package__).joinpath(f"schema_{layout}.sql").read_bytes())
