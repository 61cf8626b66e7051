"""The demo's tables: those of the application in both layouts that exist in production, and LiteLLM's."""

from importlib.resources import files
from typing import Any, Literal, get_args

import psycopg

Layout = Literal["success", "status"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DemoLog = Literal["success", "status", "litellm"]
"""Which log the demo writes: `ai_operation_log` in one of its layouts, or the spend log of LiteLLM."""


def load_schema(connection: psycopg.Connection[Any], log: DemoLog) -> None:
    """Create the tables of a log, empty, in the first schema of the search path; the caller commits."""
    if log not in get_args(DemoLog):
        raise ValueError(f"layout {log!r} is not known: it is one of {', '.join(get_args(DemoLog))}")
    # Bytes, since psycopg takes a query that is not a literal only so or as a composed one.
    connection.execute(files(__package__).joinpath(f"schema_{log}.sql").read_bytes())
