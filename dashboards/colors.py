"""The colours of series, by their names: the same ones on every chart, and never green, orange or red.

Those three mean good, warning and bad. Grafana's own palette has them all, and gives them by position.
"""

from collections.abc import Iterator, Sequence
from string import ascii_lowercase, digits
from typing import Any

from dashboards.style import GREY
from exporter.catalog import ERROR_CLASSES, USUAL_OPERATIONS

Overrides = Sequence[dict[str, Any]]


def colored(name: str, color: str, **custom: Any) -> dict[str, Any]:
    """An override that gives a series a colour of its own, and perhaps another way of drawing it."""
    drawn = [{"id": f"custom.{key}", "value": value} for key, value in custom.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": [_fixed(color), *drawn]}


def colored_like(pattern: str, color: str) -> dict[str, Any]:
    """An override that gives all series whose names match a regular expression one colour."""
    return {"matcher": {"id": "byRegexp", "options": f"/{pattern}/"}, "properties": [_fixed(color)]}


def _fixed(color: str) -> dict[str, Any]:
    return {"id": "color", "value": {"fixedColor": color, "mode": "fixed"}}


PURPLE, YELLOW = "#b877d9", "#e0b400"
_BLUE, _LIGHT_BLUE, _DARK_BLUE, _PALE_BLUE = "#5794f2", "#8ab8ff", "#1f60c4", "#c0d8ff"
_PINK, _CYAN, _VIOLET, _LEMON, _LILAC, _PLUM = "#ff7ab8", "#70dbed", "#8f3bb8", "#fade2a", "#deb6f2", "#c15c9f"
FIRST = (PURPLE, _BLUE, YELLOW, _LIGHT_BLUE, _PINK, _CYAN, _VIOLET, _DARK_BLUE)
"""The colours of a few series whose names are known, in their order."""
_COLORS = (*FIRST, _LEMON, _LILAC, _PLUM, _PALE_BLUE)
_REST = colored_like("^(?:other|all others)$", GREY)


def _by_ends() -> Iterator[dict[str, Any]]:
    """A colour for every name, by its first and its last letter or digit.

    E-mail addresses end alike, names with a number begin alike, and identifiers do neither.
    """
    signs, count = digits + ascii_lowercase, len(_COLORS)
    alike = ["".join(dict.fromkeys(signs[k::count] + signs[k::count].upper())) for k in range(count)]
    yield colored_like("^", _COLORS[0])  # names without any
    for k, color in enumerate(_COLORS[1:], 1):
        ends = "|".join(f"(?=[{first}]).*[{alike[(k - i) % count]}]" for i, first in enumerate(alike))
        yield colored_like(f"^[^0-9A-Za-z]*(?:{ends})[^0-9A-Za-z]*$", color)


NAMES = (*_by_ends(), _REST)
"""The colours of users, groups, and all names of which nothing is known."""

_MODELS = {
    "claude": PURPLE,
    "claude.*sonnet": _PINK,
    "claude.*haiku": _LILAC,
    "deepseek": YELLOW,
    "deepseek.*(?:reason|r1)": _LEMON,
    "gemini": _BLUE,
    "gemini.*pro": _DARK_BLUE,
    "gpt|^o[0-9]": _CYAN,
    "(?:gpt|^o[0-9]).*(?:mini|nano)": _PALE_BLUE,
    "llama": _VIOLET,
    "mistral|mixtral": _LEMON,
    "qwen": _LIGHT_BLUE,
}
"""Families of models; where several patterns match, the last one counts."""
_VERSIONS = {"": (0, 0.0), ".*[1379][^0-9]*$": (255, 0.5), ".*5[^0-9]*$": (0, 0.3)}
"""How the last digit of a name changes its family's colour: how much of white (255) or black (0) is mixed in."""


def _mixed(color: str, other: int, share: float) -> str:
    parts = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (other - part) * share):02x}" for part in parts)


MODELS = (
    *NAMES,
    *(
        colored_like(f"^(?=.*(?:{pattern})){version}", _mixed(color, *mixed))
        for pattern, color in _MODELS.items()
        for version, mixed in _VERSIONS.items()
    ),
)
"""The colours of models: one for each family, lighter or darker for its versions."""

OPERATIONS = (
    colored_like("^", _COLORS[0]),
    *(colored_like(f"^(?:.{{{len(_COLORS)}}})*.{{{rest}}}$", color) for rest, color in enumerate(_COLORS)),
    *(colored_like(f"^{name}$", color) for name, color in zip(USUAL_OPERATIONS, _COLORS, strict=False)),
    _REST,
)
"""The colours of operations: each of the usual ones has its own, others have one by the length of their name.

The names of a team often begin or end alike, but seldom are of one length.
"""

_BY_LEGEND = {
    "{{model}}": MODELS,
    "{{error_class}}": (*map(colored_like, (f"^{name}$" for name in ERROR_CLASSES[:-1]), FIRST), _REST),
    "{{operation}}": OPERATIONS,
}


def in_order(names: Sequence[str]) -> Overrides:
    """The colours of a few series with these names."""
    return [colored(name, color) for name, color in zip(names, FIRST, strict=False)]


def of_series(targets: Sequence[Any], given: Overrides = ()) -> Overrides:
    """The colours of the series that queries answer with, by what their legends say, besides those that are `given`."""
    done = {override["matcher"]["options"] for override in given}
    legends = [getattr(target, "legendFormat", "") for target in targets]
    labels = [legend for legend in legends if "{{" in legend]
    names = [legend for legend in legends if legend and legend not in (*labels, *done)]
    return [*(_BY_LEGEND.get(labels[0], NAMES) if labels else ()), *in_order(names)]


QUANTILES = (colored("p99", PURPLE), colored("p95", YELLOW), colored("p50", _LIGHT_BLUE))
"""The colours of the lines of quantiles."""
