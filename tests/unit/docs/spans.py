"""The code in the midst of a sentence of the documentation, and what it is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.command_reference import leaves
from exporter.cli import COMMANDS, PROGRAM, build_parser
from tests.support import ROOT

GENERATED = ("statements.md", "commands.md", "settings.md", "metrics.md", "panels.md", "http.md")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in GENERATED),
]

OTHERS = ("docker", "kill", "kubectl", "make", "pip", "pre-commit", "printf", "promtool", "psql", "python", "systemctl")
"""Programs that the documentation names."""

_OURS = "|".join(name for name, _, _ in leaves(build_parser([command.name for command in COMMANDS])) if " " in name)
_KINDS = (
    ("command", re.compile(rf"({PROGRAM}|{'|'.join(OTHERS)}|{_OURS})\b|[a-z-]+ --\w|\\\w+ |--\w|venv/bin/")),
    ("sql", re.compile(r"[A-Z]{3,} ")),
    ("expression", re.compile(r"(sum|max|min|avg|rate|increase)\b.*\(|ai_\w+")),
    ("condition", re.compile(r"\w+ [<>]=? ")),
    ("setting", re.compile(r"[\w.-]+(: | ?= ?)\S|\{")),
)


@dataclass(frozen=True)
class Span:
    """Some words in backticks, and the page that they are on."""

    page: str
    text: str

    @property
    def kind(self) -> str:
        """What it is: `message` if nothing else."""
        return next((kind for kind, form in _KINDS if form.match(self.text)), "message")


def spans(page: Path) -> Iterator[Span]:
    """Those of a page that have two words or more."""
    prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for found in re.findall(r"`([^`]+)`", prose):
        text = " ".join(found.split())
        if " " in text:
            yield Span(str(page.relative_to(ROOT)), text)


SPANS = list(dict.fromkeys(span for page in PAGES for span in spans(page)))
