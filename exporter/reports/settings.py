"""The settings that are in force, and where each comes from. No secret is among them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import yaml

from exporter.config import Config, ConfigError
from exporter.config.checking import CheckedFile
from exporter.config.section import Section
from exporter.config.sources import source_settings
from exporter.database.conninfo import is_shown, resolve_conninfo
from exporter.diagnostics import may_be_secret
from exporter.humanize import printable
from exporter.logs import mask
from exporter.yaml_source import ABSENT, SettingPath, value_at

HIDDEN = "(not shown)"
_COLUMNS = ("columns",)
_URLS = frozenset({("database", "url"), ("recommendations", "url")})
_PATHS = frozenset(
    {("database", "url_file"), ("recommendations", "url_file"), ("users", "hmac_key_file"), ("web", "config_file")}
)
_PLAIN = re.compile(r"\w[\w./-]*", re.ASCII)
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def print_settings(file: CheckedFile[Config] | None, environ: Mapping[str, str], out: TextIO, *, as_json: bool) -> None:
    """Print all settings as YAML that can be loaded again, or as JSON; `file` is the configuration, if there is one."""
    config = Config() if file is None else file.settings
    connection, secrets = _connection(config, environ)
    defaults = Config().model_dump(mode="json")
    shown = {
        path: _without_secrets(value, path, secrets, value_at(defaults, path))
        for path, value in _leaves(config, config.model_dump(mode="json"))
    }
    sources = {path: _source(file, path, config) for path in shown}
    if as_json:
        named = {".".join(path): {"value": value, "source": sources[path]} for path, value in shown.items()}
        print(json.dumps({"connection": connection, "settings": named}, indent=2), file=out)
        return
    name = "none, all settings are at their defaults" if file is None else mask(str(file.path), secrets)
    print(f"# configuration: {printable(name)}\n# connection: {printable(connection)}", file=out)
    for line in _as_yaml(shown, sources):
        print(line, file=out)


def _connection(config: Config, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Which database the exporter reads, or why that is not known, and what must not be printed."""
    try:
        info = resolve_conninfo(config, environ)
    except ConfigError as error:
        return str(error), ()
    return f"{mask(info.display, info.secrets)}, by {info.source}", info.secrets


def _leaves(section: Section, values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """The path and the value of each setting that is no section."""
    for name, value in values.items():
        inner = getattr(section, name)
        if isinstance(inner, Section):
            yield from _leaves(inner, value, (*above, name))
        else:
            yield (*above, name), value


def _without_secrets(value: Any, path: tuple[str, ...], secrets: Iterable[str], default: Any) -> Any:
    """The value; a text that may be a secret, or hold one, is replaced."""
    if value is None or value == default:
        return value
    if path[:1] == _COLUMNS:
        return value if mask(str(value), secrets) == str(value) else HIDDEN  # tokens are what they count
    if path in _URLS or (path in _PATHS and not is_shown(Path(value))):
        return HIDDEN
    return _masked(value, secrets)


def _masked(value: Any, secrets: Iterable[str]) -> Any:
    match value:
        case str():
            return HIDDEN if may_be_secret(value) or mask(value, secrets) != value else value
        case list():
            return [_masked(each, secrets) for each in value]
        case dict():
            return {_masked(name, secrets): _masked(each, secrets) for name, each in value.items()}
    return value


def _source(file: CheckedFile[Config] | None, path: SettingPath, config: Config) -> str:
    place = None if file is None else file.document.values.get(path)
    if place is not None:
        return f"line {place.line}"
    return "default" if value_at(source_settings(config.source), path) is ABSENT else f"source {config.source}"


def _as_yaml(shown: Mapping[tuple[str, ...], Any], sources: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    opened: tuple[str, ...] = ()
    for path, value in shown.items():
        for depth, name in enumerate(path[:-1]):
            if path[: depth + 1] != opened[: depth + 1]:
                yield f"{'  ' * depth}{name}:"
        opened = path[:-1]
        indent = "  " * len(opened)
        first, *rest = _lines(value)
        yield f"{indent}{path[-1]}: {first}".rstrip() + f"  # {sources[path]}"
        yield from (f"{indent}  {line}" for line in rest)


def _lines(value: Any) -> list[str]:
    """What stands behind a setting's name, and the lines below it."""
    match value:
        case dict() if value:
            return ["", *(line for name, each in value.items() for line in _entry(f"{_scalar(name)}:", each))]
        case list() if value:
            return ["", *(line for each in value for line in _entry("-", each))]
    return [_scalar(value)]


def _entry(before: str, value: Any) -> list[str]:
    first, *rest = _lines(value)
    if before == "-" and isinstance(value, dict) and rest:
        return [f"- {rest[0]}", *(f"  {line}" for line in rest[1:])]
    return [f"{before} {first}".rstrip(), *(f"  {line}" for line in rest)]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
