"""The configuration file of the exporter."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from exporter.config.checking import CheckedFile, check_file
from exporter.config.errors import ConfigError
from exporter.config.models import Config
from exporter.config.secrets import read_hmac_key
from exporter.diagnostics import Form, Problem, shown
from exporter.yaml_source import SettingPath

ENVIRONMENT_PATH = "AI_OPERATION_EXPORTER_CONFIG"
_SECRET_SETTINGS = {
    (section, *setting) for section in ("database", "recommendations") for setting in ((), ("url",), ("url_file",))
}
_DATABASE = ("database",)
_SHORT = re.compile(r"[\w.+-]{0,20}")  # a duration, and not what was meant for the line above


def load_config(path: Path | None, environ: Mapping[str, str], *, read_files: bool = True) -> Config:
    """Read the configuration; without a path from ``$AI_OPERATION_EXPORTER_CONFIG``, else all defaults.

    With `read_files` the files of secrets that it names must be there and fit, too. Relative paths in it are relative
    to the working directory. Raises ConfigError with every problem found.
    """
    file = read_config(path, environ, read_files=read_files)
    return Config() if file is None else file.settings


def read_config(
    path: Path | None, environ: Mapping[str, str], *, read_files: bool = True
) -> CheckedFile[Config] | None:
    """The same with the places of the settings in the file; None where no file is named. Raises ConfigError."""
    option = "--config FILE"
    if path is None:
        named = environ.get(ENVIRONMENT_PATH)
        if not named:
            return None
        path, option = Path(named), f"${ENVIRONMENT_PATH}"
    further = _problems_of_files if read_files else lambda _: ()
    return check_file(path, Form(Config, _quoted), further, option)


def _quoted(path: SettingPath, value: object) -> str:
    if isinstance(value, str) and (path in _SECRET_SETTINGS or (path[:1] == _DATABASE and not _SHORT.fullmatch(value))):
        return "a text (not shown)"
    return shown(value)


def _problems_of_files(file: CheckedFile[Config]) -> Iterable[Problem]:
    if file.settings.users.mode == "hmac":
        try:
            read_hmac_key(file.settings)
        except ConfigError as error:
            yield file.problem(("users", "hmac_key_file"), shown(str(file.settings.users.hmac_key_file)), str(error))
