"""A look into a state folder beside the exporter that uses it. Nothing is changed, and no lock is needed."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from exporter.state.store import FILE_NAME

_SECONDS = 5.0


@contextlib.contextmanager
def peek(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection that only reads, as of one commit; None where the folder holds no state. Raises `sqlite3.Error`."""
    path = folder / FILE_NAME
    if not path.is_file():
        yield None
        return
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_SECONDS)) as db:
        db.execute("BEGIN")
        yield db
