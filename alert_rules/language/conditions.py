"""Parse conditions: comparisons of a quantity with an amount or another quantity, joined by `and`."""

import re
from dataclasses import dataclass
from typing import cast

from alert_rules.model.alerts import OPERATORS, Operator

_TURNED: dict[Operator, Operator] = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_TOKEN = re.compile(r"\s*(?:(?P<op>[<>=!]+)|(?P<word>[A-Za-z_]\w*)|(?P<amount>[$0-9.][\w.,%]*)|(?P<other>\S))")


class ConditionError(Exception):
    """A condition that cannot be read: at which character (from 0), what was found, and what fits."""

    def __init__(self, offset: int, found: str, hint: str) -> None:
        super().__init__(f"{found} — {hint}")
        self.offset = offset
        self.found = found
        self.hint = hint


@dataclass(frozen=True)
class Token:
    """A word, an amount or an operator, and the character (from 0) at which it begins."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True)
class Comparison:
    """`left operator right`; where the author wrote an amount first, the sides have been exchanged."""

    left: Token
    operator: Operator
    right: Token


def parse_condition(text: str) -> tuple[Comparison, ...]:
    """The comparisons that must all hold. Raises `ConditionError`.

    Names are not looked up here, and amounts not judged.
    """
    tokens = _tokens(text)
    comparisons = []
    position = 0
    while True:
        comparison, position = _comparison(tokens, position, text)
        comparisons.append(comparison)
        if position == len(tokens):
            return tuple(comparisons)
        joint = tokens[position]
        if joint.text == "or":
            raise ConditionError(joint.offset, "'or'", "write two alerts: each is then told apart when it fires")
        if joint.text != "and":
            raise ConditionError(joint.offset, repr(joint.text), "write 'and' between comparisons")
        position += 1


def _tokens(text: str) -> list[Token]:
    tokens = []
    position = 0
    while match := _TOKEN.match(text, position):
        kind = cast(str, match.lastgroup)
        token = Token(kind, match[kind], match.start(kind))
        if kind == "other":
            raise ConditionError(token.offset, repr(token.text), "write a comparison like daily_spend > $200")
        tokens.append(token)
        position = match.end()
    return tokens


def _comparison(tokens: list[Token], position: int, text: str) -> tuple[Comparison, int]:
    left = _operand(tokens, position, text)
    operator = _operator(tokens, position + 1, text)
    right = _operand(tokens, position + 2, text)
    if left.kind == "amount":
        if right.kind == "amount":
            raise ConditionError(left.offset, f"two amounts, {left.text} and {right.text}", "name a quantity")
        return Comparison(right, _TURNED[operator], left), position + 3
    return Comparison(left, operator, right), position + 3


def _operand(tokens: list[Token], position: int, text: str) -> Token:
    if position >= len(tokens):
        raise ConditionError(len(text), "the end of the condition", "write a quantity or an amount here")
    token = tokens[position]
    if token.kind == "op" or token.text in ("and", "or"):
        raise ConditionError(token.offset, repr(token.text), "write a quantity or an amount here")
    return token


def _operator(tokens: list[Token], position: int, text: str) -> Operator:
    if position >= len(tokens):
        raise ConditionError(len(text), "the end of the condition", f"write one of {', '.join(OPERATORS)} here")
    token = tokens[position]
    if token.text in ("==", "=", "!="):
        hint = f"write one of {', '.join(OPERATORS)}: a measured figure hardly ever equals a number"
        raise ConditionError(token.offset, repr(token.text), hint)
    if token.text not in OPERATORS:
        raise ConditionError(token.offset, repr(token.text), f"write one of {', '.join(OPERATORS)} here")
    return token.text
