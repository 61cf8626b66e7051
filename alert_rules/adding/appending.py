"""Append an alert to the text of `alerts.yaml`, and keep every byte that was there. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from alert_rules.language.source import Source
from alert_rules.model.errors import RulesError, wrong
from exporter.yaml_source import read_document

# What YAML reads as a plain text wherever it stands; "yes" and its like are caught by reading it again.
_PLAIN = re.compile(r"[A-Za-z$](?:[\w .,$%<>=()/+-]*[\w.,$%)])?", re.ASCII)


def append_alert(content: bytes, settings: Mapping[str, Any], name: str) -> bytes:
    """The text with one more alert at the end of its `alerts:`; `name` is what errors call the file.

    The result has been read again: it holds what the text held, and the alert, and nothing else. Raises RulesError
    where the name is taken, and where the text is such that this cannot be done by adding lines.
    """
    source = Source(name, read_document(content))
    if source.flaws:
        raise wrong(source.flaws)
    before, where = source.document.data, source.where
    alerts = before.get("alerts") if isinstance(before, dict) else None
    if not isinstance(before, dict | None) or not isinstance(alerts, list | None):
        raise RulesError([f"{where(('alerts',))}: not a list of alerts — begin the file with alerts:"])
    for i, alert in enumerate(alerts or []):
        if isinstance(alert, dict) and alert.get("name") == settings["name"]:
            raise RulesError(
                [
                    f"{where(('alerts', i, 'name'))}: an alert of that name is there already — choose another name, or"
                    " change that one; if it was added just now by a command that was ended, rules build completes it"
                ]
            )
    added = _with_lines(content.decode("utf-8"), settings)
    if added is not None:
        after = _read(added.encode())
        expected = {**(before or {}), "alerts": [*(alerts or []), dict(settings)]}
        if same_data(after, expected):
            return added.encode()
    raise RulesError(
        [
            f"{where(('alerts',))}: the list is written so that no alert can be added by adding lines — write it one"
            f" `- name:` a line, or add this to it by hand: {json.dumps(dict(settings), ensure_ascii=False)}"
        ]
    )


def _read(content: bytes) -> Any:
    document = read_document(content)
    return None if document.flaws else document.data


def same_data(one: Any, other: Any) -> bool:
    """Whether two files hold the same settings in the same order."""
    # 1, 1.0 and True are equal in Python, and not the same setting; so are two orders of keys. NaN is unlike itself.
    return repr(one) == repr(other)


def _with_lines(text: str, settings: Mapping[str, Any]) -> str | None:
    newline = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    if root is None:
        return _ended(text, newline) + f"alerts:{newline}" + _item(settings, 2, newline)
    if not isinstance(root, MappingNode) or root.flow_style:
        return None
    keys = [key.value for key, _ in root.value]
    if "alerts" not in keys:
        return _ended(text, newline) + f"alerts:{newline}" + _item(settings, 2, newline)
    alerts = root.value[keys.index("alerts")][1]
    if isinstance(alerts, SequenceNode) and (alerts.flow_style or not alerts.value):
        return None
    indent = alerts.start_mark.column if isinstance(alerts, SequenceNode) else 2
    item = _item(settings, indent, newline)
    if keys[-1] == "alerts":
        return _ended(text, newline) + item
    lines = text.split("\n")
    line = last_line(alerts) + 1
    if line >= len(lines):
        return None
    return "\n".join(lines[:line]) + "\n" + item + "\n".join(lines[line:])


def _ended(text: str, newline: str) -> str:
    return text if not text or text.endswith("\n") else text + newline


def last_line(node: Node) -> int:
    """The number, from 0, of the last line that a value stands on."""
    # A collection ends, for the parser, where the next thing begins: the last scalar's end is what is wanted.
    while not isinstance(node.value, str):
        if not node.value:
            break
        last = node.value[-1]
        node = last[1] if isinstance(node, MappingNode) else last
    mark = node.end_mark
    # The end of a block scalar is the beginning of the line after it.
    return int(mark.line) - (1 if mark.column == 0 and mark.line > node.start_mark.line else 0)


def _item(settings: Mapping[str, Any], indent: int, newline: str) -> str:
    lines = [line for key, value in settings.items() for line in _lines(key, value)]
    first, rest = " " * indent + "- ", " " * (indent + 2)
    return "".join((first if i == 0 else rest) + line + newline for i, line in enumerate(lines))


def _lines(key: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}:", *(f"  {_key(inner)}: {_value(of_it)}" for inner, of_it in value.items())]
    return [f"{key}: {_value(value)}"]


def _key(text: str) -> str:
    # An amount like 80% is plain, though it begins as no other text of ours does.
    return text if re.fullmatch(r"[\d.]+%", text) else _scalar(text)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, list):
        return f"[{', '.join(_scalar(item, flow=True) for item in value)}]"
    return json.dumps(value)


def _scalar(text: str, *, flow: bool = False) -> str:
    plain = _PLAIN.fullmatch(text) and not (flow and "," in text)
    if plain and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
