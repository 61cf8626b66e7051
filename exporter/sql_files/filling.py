"""Templates of SQL, and values as text that fills their gaps."""

import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

_TEMPLATES = files(__package__) / "templates"
_GAP = re.compile(r"\{\{([a-z_]+)\}\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its gaps filled."""
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return _GAP.sub(lambda match: values[match[1]], text)


def indented(text: str, spaces: int) -> str:
    """All lines but the first further to the right."""
    return text.replace("\n", "\n" + " " * spaces)


def json_text(value: object) -> str:
    """A value as JSON, on one line."""
    return json.dumps(value, ensure_ascii=False)


def optional(text: str | None) -> str:
    """A text or NULL in SQL."""
    return "NULL" if text is None else literal(text)


def array(texts: Iterable[str]) -> str:
    """Texts as an array in SQL."""
    return f"ARRAY[{', '.join(map(literal, texts))}]"


def literal(text: str) -> str:
    """A text in SQL, also within dollar quotes."""
    quoted = text.replace("'", "''")
    if "\\" not in quoted and "$$" not in quoted:
        return f"'{quoted}'"
    escaped = quoted.replace("\\", "\\\\").replace("$", "\\x24")
    return f"E'{escaped}'"
