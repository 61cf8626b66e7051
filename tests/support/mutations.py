"""Mutants of rules: one small change each, of the kind that a person makes by mistake."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alert_rules.quantities.promql import shape

Rule = Mapping[str, Any]

_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<duration>\d+[smhdw](?:\d+[smhdw])*)|(?P<number>\d+(?:\.\d+)?)'
    r"|(?P<name>[A-Za-z_:][\w:]*)|(?P<op>>=|<=|==|!=|=~|!~|\S)|(?P<space>\s+)"
)

_COMPARISONS = {">": (">=", "<"), ">=": (">", "<"), "<": ("<=", ">"), "<=": ("<", ">"), "==": ("!=",), "!=": ("==",)}
_ARITHMETIC = {"+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",)}
_WORDS = {
    "max": ("min", "sum"),
    "min": ("max", "sum"),
    "sum": ("max", "min"),
    "count": ("sum",),
    "max_over_time": ("min_over_time",),
    "min_over_time": ("max_over_time",),
    "increase": ("resets",),
    "resets": ("changes",),
    "and": ("unless", "or"),
    "unless": ("and", "or"),
    "or": ("and", "unless"),
}
_MATCHES = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Token:
    """A piece of an expression: what it is, and its text."""

    kind: str
    text: str


@dataclass(frozen=True)
class Mutant:
    """A rule that has been changed, and in what."""

    of: str
    change: str
    rule: Rule

    def __str__(self) -> str:
        return f"{self.of}: {self.change}"


def identity(rule: Rule) -> str:
    """A name for a rule; alerts of one name are told apart by labels and severity."""
    if "record" in rule:
        return str(rule["record"])
    labels = rule["labels"]
    told = [labels[name] for name in ("scope", "reason", "rung", "severity") if name in labels]
    return f"{rule['alert']} [{' '.join(told)}]"


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every mutant of a rule that is a rule: what does not parse, or is the same expression, is none."""
    name, original, seen = identity(rule), rule["expr"], set()
    for change, expr in _expressions(_tokens(original)):
        form = _form(expr)
        if form is None or form == _form(original) or form in seen:
            continue
        seen.add(form)
        yield Mutant(name, change, {**rule, "expr": expr})
    yield from _settings(name, rule)


def _form(expression: str) -> tuple[str, ...] | None:
    try:
        return tuple(shape(expression))
    except ValueError:
        return None


def _settings(name: str, rule: Rule) -> Iterator[Mutant]:
    for key in ("for", "keep_firing_for"):
        if key in rule:
            length = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", rule[key]))
            for change in (f"{length + 60}s", f"{length - 60}s"):
                yield Mutant(name, f"{key}: {rule[key]} to {change}", {**rule, key: change})
            yield Mutant(name, f"no {key}", {k: v for k, v in rule.items() if k != key})
        elif "alert" in rule:
            yield Mutant(name, f"{key}: 2m", {**rule, key: "2m"})
    for label, value in rule.get("labels", {}).items():
        yield Mutant(name, f"label {label} changed", {**rule, "labels": {**rule["labels"], label: f"not-{value}"}})


def _expressions(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    for place in range(len(tokens)):
        for text, length in _instead(tokens, place):
            changed = [*tokens[:place], Token("new", text), *tokens[place + length :]]
            was = "".join(part.text for part in tokens[place : place + length])
            around = " ".join("".join(part.text for part in tokens[max(place - 12, 0) : place]).split())
            said = f"{around[-60:]} [{' '.join(was.split())} → {text or 'nothing'}]".strip()
            yield said, "".join(part.text for part in changed)


def _instead(tokens: list[Token], place: int) -> Iterator[tuple[str, int]]:
    """What may stand instead of the token at a place, and of how many tokens."""
    token = tokens[place]
    in_braces = _inside(tokens, place, "{", "}")
    if token.kind == "op" and in_braces:
        if token.text in _MATCHES:
            yield _MATCHES[token.text], 1
    elif token.kind == "op":
        for text in (*_COMPARISONS.get(token.text, ()), *_ARITHMETIC.get(token.text, ())):
            yield text, 1
        if token.text in _COMPARISONS:
            yield from _without_comparison(tokens, place)
    elif token.kind == "duration":
        yield from ((text, 1) for text in _other_durations(token.text))
    elif token.kind == "number":
        yield from ((text, 1) for text in _other_numbers(token.text))
    elif token.kind == "name" and in_braces:
        yield "", _length_of_matcher(tokens, place)
    elif token.kind == "name":
        yield from ((text, 1) for text in _WORDS.get(token.text, ()))
        if token.text in ("on", "by", "group_left"):
            yield from _other_labels(tokens, place)


def _without_comparison(tokens: list[Token], place: int) -> Iterator[tuple[str, int]]:
    """A guard left out: `> 0` and `> time()`."""
    after = place + 1
    while tokens[after].kind == "space":
        after += 1
    if tokens[after].kind == "number":
        yield "", after + 1 - place
    elif tokens[after].text == "time":
        yield "", after + 3 - place


def _other_labels(tokens: list[Token], place: int) -> Iterator[tuple[str, int]]:
    """The clause left out, and each of its labels."""
    ends = next(number for number in range(place, len(tokens)) if tokens[number].text == ")") + 1
    labels = [token.text for token in tokens[place + 1 : ends] if token.kind == "name"]
    if tokens[place].text != "by":
        yield "", ends - place
    for left_out in labels:
        kept = ", ".join(label for label in labels if label != left_out)
        yield f"{tokens[place].text} ({kept})", ends - place


def _length_of_matcher(tokens: list[Token], place: int) -> int:
    length = next(number for number in range(place, len(tokens)) if tokens[number].kind == "string") + 1 - place
    return length + (tokens[place + length].text == ",")


def _other_durations(text: str) -> tuple[str, str]:
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))
    return f"{seconds // 2}s", f"{seconds * 2}s"


def _other_numbers(text: str) -> tuple[str, str]:
    if "." in text:
        return f"{float(text) * 1.1:.6g}", f"{float(text) * 0.9:.6g}"
    number = int(text)
    if number >= 100:
        return str(number * 11 // 10), str(number * 9 // 10)
    return str(number + 1), str(number - 1)


def _inside(tokens: list[Token], place: int, opens: str, closes: str) -> bool:
    texts = [token.text for token in tokens[:place] if token.kind == "op"]
    return texts.count(opens) > texts.count(closes)


def _tokens(expression: str) -> list[Token]:
    found = [Token(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(expression)]
    assert "".join(token.text for token in found) == expression
    return found
