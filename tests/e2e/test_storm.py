"""The messages that the document prints are those that arrive."""

from pathlib import Path

import pytest

from tests.e2e.storm import BEGIN, DOCUMENT, END, JOINED, storm, written

pytestmark = pytest.mark.slow


def test_the_document_prints_the_storm_as_it_arrives(tmp_path: Path) -> None:
    printed = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    first, later = storm(tmp_path)
    assert written(first, later).strip() == printed
    # an update is never the message before it, and names who joined
    assert not set(first) & set(later)
    assert any(f"user {JOINED[0]} is" in message for message in later)
