"""The fenced blocks of the documentation, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT
from tests.unit.docs.spans import PAGES, SPANS

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block, the page that it is on, and its language."""

    page: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page, without the indentation of a list."""
    for indent, language, text in _BLOCK.findall(page.read_text()):
        plain = re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        yield Block(str(page.relative_to(ROOT)), language, plain)


BLOCKS = [block for page in PAGES for block in blocks(page)]


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and the page that says to run it."""

    page: str
    words: tuple[str, ...]


def commands(page: str, script: str) -> Iterator[Command]:
    """The simple commands of a script, without comments, assignments, redirections and what connects them."""
    script = re.sub(r"(?<!\S)#.*$", "", script.replace("\\\n", " "), flags=re.MULTILINE)
    lexer = shlex.shlex(script, posix=True, punctuation_chars="|&;<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    redirected = False
    for token in [*lexer, "\n"]:
        if token and set(token) <= set("|&;\n"):
            while words and re.match(r"export$|[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield Command(page, tuple(words))
            words = []
        elif token and set(token) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        else:
            words.append(token)


SAID = list(
    dict.fromkeys(command for block in BLOCKS if block.language == "sh" for command in commands(block.page, block.text))
)
"""The commands of the blocks: complete."""

MENTIONED = list(
    dict.fromkeys(command for span in SPANS if span.kind == "command" for command in commands(span.page, span.text))
)
"""The commands in the midst of sentences: without what everybody knows by then."""
