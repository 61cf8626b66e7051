"""Write the SQL files, or compare them."""

from pathlib import Path

from exporter.config import Config
from exporter.sql_files.render import render

FOLDER = Path("deploy/sql")
"""Where the files are, below the folder of the project."""


def build(config: Config, output: Path = FOLDER, *, check: bool = False) -> list[str]:
    """Write the files into a folder; with `check` only compare them. Returns the names of those that differ.

    Raises OSError if a file cannot be written.
    """
    changed = []
    for name, text in render(config).items():
        path = output / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        changed.append(name)
        if not check:
            output.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed
