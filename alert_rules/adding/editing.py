"""Remove an alert from the text of `alerts.yaml`, or switch it off or on; keep every other byte. Pure."""

from collections.abc import Callable
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from alert_rules.adding.appending import last_line, same_data
from alert_rules.language.source import Source
from alert_rules.model.conventions import alert_id
from alert_rules.model.errors import RulesError, wrong
from exporter.yaml_source import read_document

DISABLED = "disabled"


def remove_alert(content: bytes, wanted: str, file: str) -> tuple[bytes, str]:
    """The text without an alert, by its id or its name, and its name; comments around it stay, those within it go.

    Raises `RulesError` where there is none, where it is the only one, and where lines cannot simply be taken out.
    """
    source, alerts, number = _found(content, wanted, file)
    name = str(alerts[number]["name"])
    if len(alerts) == 1:
        raise RulesError([f"{name} is the only alert of {file} — disable it instead: rules disable"])

    def edit(lines: list[str], item: MappingNode) -> None:
        del lines[_first_line(lines, item) : last_line(item) + 1]

    expected = [alert for i, alert in enumerate(alerts) if i != number]
    return _edited(content, source, number, edit, expected), name


def set_disabled(content: bytes, wanted: str, file: str, *, disabled: bool) -> tuple[bytes, str]:
    """The text with an alert, by its id or its name, switched off or on, and its name.

    Raises `RulesError` where there is none, and where this cannot be done by one line.
    """
    source, alerts, number = _found(content, wanted, file)
    name = str(alerts[number]["name"])
    if bool(alerts[number].get(DISABLED, False)) == disabled:
        return content, name

    def edit(lines: list[str], item: MappingNode) -> None:
        value = next((value for key, value in item.value if key.value == DISABLED), None)
        if isinstance(value, ScalarNode):
            start, end = value.start_mark, value.end_mark
            line = lines[start.line]
            if not disabled and line.strip() == f"{DISABLED}: {value.value}":
                del lines[start.line]
                return
            lines[start.line] = line[: start.column] + ("true" if disabled else "false") + line[end.column :]
            return
        last = last_line(item)
        ending = lines[last][len(lines[last].rstrip("\r\n")) :] or "\n"
        lines[last] = lines[last].rstrip("\r\n") + ending
        lines.insert(last + 1, f"{' ' * item.start_mark.column}{DISABLED}: true{ending}")

    changed = {key: value for key, value in alerts[number].items() if key != DISABLED or disabled}
    expected = [*alerts]
    expected[number] = changed | ({DISABLED: True} if disabled else {})
    return _edited(content, source, number, edit, expected), name


def _found(content: bytes, wanted: str, file: str) -> tuple[Source, list[Any], int]:
    source = Source(file, read_document(content))
    if source.flaws:
        raise wrong(source.flaws)
    data = source.document.data
    alerts = data.get("alerts") if isinstance(data, dict) else None
    for number, alert in enumerate(alerts if isinstance(alerts, list) else ()):
        name = alert.get("name") if isinstance(alert, dict) else None
        if isinstance(name, str) and wanted in (name, alert_id(name)):
            return source, list(alerts or ()), number
    raise RulesError([f"no alert of {file} has the id or the name {wanted!r} — `rules list` shows all"])


def _edited(
    content: bytes,
    source: Source,
    number: int,
    edit: Callable[[list[str], MappingNode], None],
    expected: list[Any],
) -> bytes:
    """The text after an edit of its lines, read again to be sure that it holds what is expected, and nothing else."""
    text = content.decode("utf-8")
    marked = "\ufeff" if text.startswith("\ufeff") else ""
    item = _item(yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader), number)
    if item is not None:
        lines = text.removeprefix("\ufeff").split("\n")
        lines = [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
        edit(lines, item)
        after = (marked + "".join(lines)).encode()
        document = read_document(after)
        wanted = {**source.document.data, "alerts": expected}
        if not document.flaws and same_data(_enabled(document.data), _enabled(wanted)):
            return after
    place = source.where(("alerts", number))
    raise RulesError([f"{place}: the alert is not written one setting a line — change it by hand"])


def _enabled(data: Any) -> Any:
    """The data with `disabled: false` left out, which says nothing."""
    if not isinstance(data, dict) or not isinstance(data.get("alerts"), list):
        return data
    alerts = [
        {key: value for key, value in alert.items() if key != DISABLED or value} if isinstance(alert, dict) else alert
        for alert in data["alerts"]
    ]
    return {**data, "alerts": alerts}


def _item(root: Node | None, number: int) -> MappingNode | None:
    if not isinstance(root, MappingNode) or root.flow_style:
        return None
    alerts = next((value for key, value in root.value if key.value == "alerts"), None)
    if not isinstance(alerts, SequenceNode) or alerts.flow_style:
        return None
    item = alerts.value[number]
    return item if isinstance(item, MappingNode) and not item.flow_style else None


def _first_line(lines: list[str], item: MappingNode) -> int:
    """The line of the item's dash, which may stand above its first setting."""
    line = int(item.start_mark.line)
    while line and not lines[line].lstrip().startswith("-"):
        line -= 1
    return line
