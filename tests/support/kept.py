"""A state as version 0.1 left it, and what stands in the files of a folder."""

import sqlite3
from contextlib import closing
from pathlib import Path

from exporter.state.store import FILE_NAME

USERS = tuple(f"5f0c{n:04d}-1111-4222-8333-00000000{n:04d}" for n in range(4))
"""The users in it, each with spend on its last day, all but the first shown."""


def write_first_version(folder: Path) -> Path:
    """Make the folder as version 0.1 left it."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.executescript(Path(__file__).with_name("state_0_1.sql").read_text())
    return folder


def files_with(folder: Path, *texts: str) -> set[str]:
    """The names of the files that hold any of the texts."""
    return {
        path.name
        for path in folder.iterdir()
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    }
