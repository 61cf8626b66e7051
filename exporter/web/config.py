"""From the web configuration file to checked settings, or to everything that is wrong with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.errors import ConfigError, shown
from exporter.web.settings import HttpServer, RateLimit, TlsServer, WebSettings
from exporter.yaml_source import Flaw, SettingPath, read_document

_PLAIN_KEY = re.compile(r"[\w.-]{1,64}")
_SECTIONS: Mapping[SettingPath, type[BaseModel]] = {
    (): WebSettings,
    ("tls_server_config",): TlsServer,
    ("http_server_config",): HttpServer,
    ("rate_limit",): RateLimit,
}
_HINTS = {
    "string_type": "write a text; in quotes if it looks like a number",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "tuple_type": "write a list, one '- item' a line",
    "greater_than_equal": "write {ge} or more",
}
_MAPPING_HINT = "write a mapping, one 'name: value' a line"


@dataclass(frozen=True)
class WebFile:
    """A read web configuration file: where it is, what it says, and the line of each setting."""

    path: Path
    settings: WebSettings
    lines: Mapping[SettingPath, int]

    def error(self, setting: SettingPath, found: str, hint: str) -> ConfigError:
        """What to raise when a setting turns out to be unusable after all."""
        return ConfigError([_sentence(self.path, Flaw(_line(self.lines, setting), setting, found, hint))])

    def resolve(self, path: Path) -> Path:
        """A path from the file: relative to the file's own folder."""
        return self.path.parent / path


def read_web_file(path: Path) -> WebFile:
    """Read and check the file, but none of the files it names. Raises ConfigError with every problem found."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror} — name a file that can be read"]) from None
    document = read_document(content)
    flaws = list(document.flaws)
    settings = WebSettings()
    if document.data is not None or not flaws:
        try:
            settings = WebSettings.model_validate(document.data)
        except ValidationError as error:
            details = error.errors(include_url=False)
            flaws.extend(_flaw(document.data, document.lines, detail) for detail in details)
    if flaws:
        ordered = sorted(flaws, key=lambda flaw: flaw.line)
        raise ConfigError(dict.fromkeys(_sentence(path, flaw) for flaw in ordered))
    return WebFile(path, settings, document.lines)


def _sentence(path: Path, flaw: Flaw) -> str:
    name = ""
    for part in flaw.path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += ("." if name else "") + (part if _PLAIN_KEY.fullmatch(part) else "(…)")
    return f"{path}:{flaw.line}: {name}{': ' if name else ''}{flaw.found} — {flaw.hint}"


def _line(lines: Mapping[SettingPath, int], setting: SettingPath) -> int:
    return next((lines[setting[:n]] for n in range(len(setting), -1, -1) if setting[:n] in lines), 1)


def _flaw(data: Any, lines: Mapping[SettingPath, int], detail: ErrorDetails) -> Flaw:
    context = detail.get("ctx", {})
    # pydantic adds steps of its own, which are in no file.
    location = tuple(detail["loc"])
    known = max(n for n in range(len(location) + 1) if location[:n] in lines or n == 0)
    setting: SettingPath = location[:known]
    if context.get("setting"):
        setting = (*setting, context["setting"])
    if detail["type"] == "extra_forbidden":
        model = _SECTIONS[setting[:-1]]
        return Flaw(_line(lines, setting), setting, "no such setting", f"known here: {', '.join(model.model_fields)}")
    hint = context.get("hint") or _HINTS.get(detail["type"], _MAPPING_HINT).format(**context)
    return Flaw(_line(lines, setting), setting, _found(data, setting), hint)


def _found(data: Any, setting: SettingPath) -> str:
    value = data
    for part in setting:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return "not set"
    secret = setting[0:1] == ("basic_auth_users",) or setting[-1:] in (("key",), ("cert",), ("client_ca",))
    # a key that was pasted where its path belongs
    secret = secret or (isinstance(value, str) and "-----" in value)
    # A password of digits is a number to YAML.
    return "a value (not shown)" if secret and isinstance(value, str | int | float) else shown(value)
