"""YAML with its places: plain data, and where each setting stands, so that errors can point at it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from alert_rules.errors import RulesError

SettingPath = tuple[str | int, ...]
Where = Callable[[SettingPath], str]


def load(path: Path) -> tuple[Any, Where]:
    """The data of a YAML file, and the function from a setting's path to its `file:line:column`.

    A path that is not in the file gives the place of what would hold it. Raises RulesError where the file
    cannot be read or is not YAML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RulesError([f"{path}: {error.strerror} — name a file that can be read"]) from None
    return parse(content, str(path))


def parse(content: bytes, name: str) -> tuple[Any, Where]:
    """The same of a text; `name` is what errors call it."""
    try:
        loader = yaml.SafeLoader(content.decode("utf-8-sig"))
        node = loader.get_single_node()
        places: dict[SettingPath, tuple[int, int]] = {}
        data = None if node is None else _build(name, places, node, (), loader)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RulesError([f"{name}:{line}:1: a byte that is not UTF-8 — save the file as UTF-8"]) from None
    except (RecursionError, ValueError):
        raise RulesError(
            [f"{name}:1:1: a value that YAML cannot build — put dates in quotes, write less depth"]
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise RulesError([f"{name}:{line}:{column}: not YAML ({said}) — compare it with the lines around it"]) from None

    def where(path: SettingPath) -> str:
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in places), ())
        line, column = places.get(known, (1, 1))
        return f"{name}:{line}:{column}"

    return data, where


def _build(
    name: str, places: dict[SettingPath, tuple[int, int]], node: Node, path: SettingPath, loader: yaml.SafeLoader
) -> Any:
    places.setdefault(path, _place(node))
    if isinstance(node, SequenceNode):
        return [_build(name, places, item, (*path, i), loader) for i, item in enumerate(node.value)]
    if not isinstance(node, MappingNode):
        return loader.construct_object(node)
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = _place(key_node)
        if not isinstance(key_node, ScalarNode):
            raise RulesError([f"{name}:{line}:{column}: a key that is not a name — write name: value"])
        key = str(key_node.value)
        if key in built:
            raise RulesError([f"{name}:{line}:{column}: {key} a second time — keep one"])
        places[(*path, key)] = (line, column)
        built[key] = _build(name, places, value_node, (*path, key), loader)
    return built


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
