"""Which messages the programs can print, and whether a text in the documentation is one of them.

A message of the programs is a string in the source; what an f-string, `%s` or `{}` puts in is a gap. A text of the
documentation is a message if it is a piece of one, with its gaps filled: at most half of it may stand in gaps.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT

GAP = "\0"
_GRAM = 6
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sdgf]|%[1-9]\$[sI]|%\.\d[fg]|(?<!%)%(?![%\w])|\{[^{}]*\}|\$\{?\w+\}?")
_BLANKS = re.compile(r"\s+")


def _in_python(path: Path) -> Iterator[str]:
    """The strings of a module, those of f-strings with gaps."""
    tree = ast.parse(path.read_text())
    parts: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= set(node.values)
            yield "".join(str(value.value) if isinstance(value, ast.Constant) else GAP for value in node.values)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            # a docstring is said to nobody
            parts.add(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield _PLACEHOLDER.sub(GAP, node.value)


def _in_text(path: Path) -> Iterator[str]:
    """What stands in quotes in a script or in SQL, without what is said in comments."""
    text = re.sub(r"^\s*(--|#).*$", "", path.read_text(), flags=re.MULTILINE)
    for found in re.finditer(r"'((?:[^']|'')*)'|\"([^\"]*)\"", text):
        yield _PLACEHOLDER.sub(GAP, (found[1] or found[2] or "").replace("''", "'"))


def messages() -> Iterator[str]:
    """All strings of the programs."""
    for folder in ("exporter", "alert_rules", "dashboards", "deploy"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from _in_python(path)
    for path in sorted([*(ROOT / "deploy").rglob("*.sh"), *(ROOT / "deploy").rglob("*.sql")]):
        yield from _in_text(path)


class Messages:
    """The strings of the programs, to look for a text in."""

    def __init__(self, known: Iterator[str]) -> None:
        self.strings = list(known)
        self._by_gram: dict[str, set[str]] = defaultdict(set)
        for message in self.strings:
            plain = _BLANKS.sub(" ", message)
            for literal in plain.split(GAP):
                for start in range(len(literal) - _GRAM + 1):
                    self._by_gram[literal[start : start + _GRAM]].add(plain)

    def can_be(self, text: str) -> bool:
        """Whether a message can be this text, or contain it; `…` in it stands for anything."""
        pieces = [piece for piece in re.split(r"\s*…\s*", _BLANKS.sub(" ", text).strip()) if piece]
        candidates = [self._candidates(piece) for piece in pieces]
        longest = max(range(len(pieces)), key=lambda index: len(pieces[index]))
        return any(all(fits(piece, message) for piece in pieces) for message in candidates[longest])

    def _candidates(self, piece: str) -> list[str]:
        """The messages that share something with it, first those that share most."""
        grams = {piece[start : start + _GRAM] for start in range(max(1, len(piece) - _GRAM + 1))}
        shared = Counter(message for gram in grams for message in self._by_gram.get(gram, ()))
        return [message for message, _ in shared.most_common()]


def fits(piece: str, message: str) -> bool:
    """Whether the piece is a part of the message with its gaps filled, most of it by what the message says itself."""
    # for each place in the message, by how much of the piece is done: how few of its characters gaps have filled
    none = len(piece) + 1
    at: list[int] = [none] * (len(piece) + 1)
    best = none
    for character in message:
        at[0] = 0
        if character == GAP:
            filled = list(at)
            for done in range(1, len(piece) + 1):
                filled[done] = min(at[done], filled[done - 1] + 1)
            at = filled
        else:
            at = [0, *(at[done - 1] if piece[done - 1] == character else none for done in range(1, len(piece) + 1))]
        best = min(best, at[-1])
    return best <= len(piece) // 2
