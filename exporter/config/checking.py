"""Read a configuration file, or raise everything that is wrong with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from exporter.config.errors import ConfigError
from exporter.diagnostics import Form, Problem, as_lines, check, problem_at
from exporter.yaml_source import Document, SettingPath, read_document

_Settings = TypeVar("_Settings", bound=BaseModel)


@dataclass(frozen=True)
class CheckedFile(Generic[_Settings]):
    """A file's path, its settings, and where they stand in it."""

    path: Path
    settings: _Settings
    document: Document

    def problem(self, setting: SettingPath, found: str, hint: str) -> Problem:
        """A problem with a setting that only its use shows."""
        return problem_at(str(self.path), self.document, setting, found, hint)

    def error(self, setting: SettingPath, found: str, hint: str) -> ConfigError:
        """What to raise when a setting turns out to be unusable after all."""
        return ConfigError(str(self.problem(setting, found, hint)))


def check_file(
    path: Path,
    form: Form[_Settings],
    further: Callable[[CheckedFile[_Settings]], Iterable[Problem]] = lambda _: (),
    option: str = "",
) -> CheckedFile[_Settings]:
    """Read and check the file. Raises `ConfigError` with every problem found.

    `further` finds problems in settings that fit the form. `option` is what names the file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        by = f", with {option}" if option else ""
        raise ConfigError(f"{path}: {error.strerror} — name a file that can be read{by}") from None
    document = read_document(content)
    settings, problems = check(str(path), document, form)
    if settings is None:
        raise ConfigError(as_lines(problems))
    file = CheckedFile(path, settings, document)
    if found := [*problems, *further(file)]:
        raise ConfigError(as_lines(found))
    return file
