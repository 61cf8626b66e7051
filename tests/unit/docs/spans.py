"""The code in the midst of a sentence of the documentation, and what it is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.cli import PROGRAM
from tests.support import ROOT

GENERATED = ("statements.md", "commands.md", "settings.md", "metrics.md", "panels.md", "http.md")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in GENERATED),
]

OTHERS = ("docker", "kill", "kubectl", "make", "pip", "pre-commit", "printf", "promtool", "psql", "python", "systemctl")
"""Programs that the documentation names."""

SUBCOMMANDS = {
    "rules": ("build", "validate", "explain", "add", "list", "remove", "disable", "enable"),
    "state": ("show", "adopt", "forget", "rewind", "backup", "restore"),
    "sql": ("build",),
    "dashboards": ("build",),
}
_OURS = "|".join(f"{command} ({'|'.join(words)})" for command, words in SUBCOMMANDS.items())
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
