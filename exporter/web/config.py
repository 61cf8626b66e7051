"""The web configuration file, as the exporter-toolkit has it."""

from pathlib import Path

from exporter.config.checking import CheckedFile, check_file
from exporter.diagnostics import Form, shown
from exporter.web.settings import WebSettings
from exporter.yaml_source import SettingPath

WebFile = CheckedFile[WebSettings]


def read_web_file(path: Path) -> WebFile:
    """Read and check the file, but none of the files it names. Raises ConfigError with every problem found."""
    return check_file(path, Form(WebSettings, _quoted, suggest=False), option="--web.config.file FILE")


def _quoted(setting: SettingPath, value: object) -> str:
    secret = setting[0:1] == ("basic_auth_users",) or setting[-1:] in (("key",), ("cert",), ("client_ca",))
    # a key that was pasted where its path belongs
    secret = secret or (isinstance(value, str) and "-----" in value)
    # A password of digits is a number to YAML.
    return "a value (not shown)" if secret and isinstance(value, str | int | float) else shown(value)
