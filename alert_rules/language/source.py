"""A YAML file that people write, and the places of its values."""

from dataclasses import dataclass
from pathlib import Path

from alert_rules.model.errors import wrong
from exporter.diagnostics import Problem
from exporter.yaml_source import Document, Place, SettingPath, prefixes, read_document


@dataclass(frozen=True)
class Source:
    """A file's name and where its values stand, to point at them."""

    file: str
    document: Document

    def place(self, path: SettingPath) -> Place:
        """Where a value begins. Of a value that is not in the file, where the nearest setting around it begins."""
        values = self.document.values
        return next((values[part] for part in prefixes(path) if part in values), Place(1, 1))

    def problem(self, path: SettingPath, found: str, hint: str, offset: int = 0) -> Problem:
        """An error in a value, `offset` characters after its start."""
        place = self.place(path)
        return Problem(self.file, place.line, place.column + offset, found, hint)

    def key_problem(self, path: SettingPath, found: str, hint: str) -> Problem:
        """An error in a setting's name, or in name and value together."""
        place = self.document.keys.get(path) or self.place(path)
        return Problem(self.file, place.line, place.column, found, hint)

    def where(self, path: SettingPath) -> str:
        """`file:line:column` of a setting's name; of one that is not in the file, of what would hold it."""
        place = self.document.place(path, name=True)
        return f"{self.file}:{place.line}:{place.column}"

    @property
    def flaws(self) -> list[Problem]:
        """What makes the text no YAML, or not plain YAML."""
        return [
            Problem(self.file, f.line, f.column, f"{f.path[-1]}: {f.found}" if f.path else f.found, f.hint)
            for f in self.document.flaws
        ]


def read_source(path: Path, option: str) -> Source:
    """Read a file, which the option of this name gives.

    Raises `RulesError` where it cannot be read at all; flaws of its text are left to the caller.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        found = error.strerror or "unreadable"
        raise wrong([Problem(str(path), 1, 1, found, f"name a file that can be read, with {option} FILE")]) from None
    return Source(str(path), read_document(content))
