"""The guide for those who carry on names files that are there, and in them the names that it says they have."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

GUIDE = ROOT / "docs" / "dev"
FILE = re.compile(r"`((?:exporter|alert_rules|dashboards|deploy|docs|tests)/[\w./-]+)`")
NAME = re.compile(r"`(?!\w+\.md`)(_?[A-Z]\w*(?:\.[a-z_]\w*)?|_\w+|[a-z]+(?:_[a-z]+)+)(?:\(\w*\))?`")
"""A class or a constant, perhaps with an attribute; a private name; or one of several words."""


def blocks(text: str) -> list[str]:
    """The paragraphs, list items and rows of tables."""
    return re.split(r"\n\s*\n|\n(?=\s*(?:\d+\.|-|\|) )", text)


def content(path: Path) -> str:
    """A file's text; of a folder, that of its modules."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return "\n".join(file.read_text() for file in files)


def missing(text: str) -> Iterator[str]:
    """The names that stand beside files, and are in none of these."""
    for block in blocks(text):
        if files := FILE.findall(block):
            known = set(re.findall(r"\w+", "".join(content(ROOT / file) for file in files)))
            yield from (name for name in NAME.findall(block) if not known.issuperset(name.split(".")))


@pytest.mark.parametrize("page", ["adding", "architecture", "vocabulary"])
def test_every_file_that_the_guide_names_is_there(page: str) -> None:
    files = FILE.findall((GUIDE / f"{page}.md").read_text())
    assert len(files) > 30
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_name_is_in_a_file_that_stands_beside_it() -> None:
    # what the application calls its table, and a condition one of its limits
    assert set(missing((GUIDE / "vocabulary.md").read_text())) == {"ai_operation_log", "daily_limit"}
    assert list(missing((GUIDE / "adding.md").read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "1. `exporter/figures.py`: a line of `Figures`.",
        "| slice | what is kept | `Slice` in `exporter/figures.py` |",
        "- `exporter/figures.py`: set by `_figure`;",
        "Call `of_figures` of\n`exporter/figures.py`.",
        "2. `exporter/advisor/`: a function that takes `Factors`.",
        "`State.stamps` in `exporter/ledger/model.py`",
    ],
)
def test_a_name_that_has_moved_is_found(text: str) -> None:
    assert len(list(missing(text))) == 1
