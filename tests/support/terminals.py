"""A terminal to write to, and what it shows."""

import io
import re

import pytest


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def plain(text: str) -> str:
    """The text without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def with_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the environment that of a terminal that can move its cursor and show colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
