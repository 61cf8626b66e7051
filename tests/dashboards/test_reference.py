"""The documentation's list of panels: all that the panels say, and checked."""

from pathlib import Path

import pytest

from dashboards.base import Page
from dashboards.command import pages, rendered
from dashboards.grid import Row, line
from dashboards.panels import stat
from dashboards.promql import prom
from dashboards.render import each_panel
from docs import reference
from tests.support.grafana import SETTINGS


def cells(text: str) -> list[list[str]]:
    """The rows of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| panel |")]
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]


def test_every_panel_says_in_the_list_what_it_says_in_grafana() -> None:
    panels = [panel for made in rendered(SETTINGS).values() for panel in each_panel(made)]
    shown = [[each["title"], *each["description"].split("\n\n**What to do:** ")] for each in panels]
    assert cells(reference.panels_page(pages(SETTINGS))) == shown
    assert cells((reference.DOCS / "panels.md").read_text()) == shown


@pytest.mark.parametrize("change", ["", "# Another page\n"])
def test_a_list_that_differs_is_refused_until_it_is_written(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    (tmp_path / "panels.md").write_text(change)
    assert reference.main(["--check"]) == 1
    assert "panels.md is not up to date" in capsys.readouterr().out
    (tmp_path / "panels.md").unlink()
    assert reference.main(["--check"]) == 1


def test_a_bar_in_a_text_does_not_end_its_cell() -> None:
    panel = stat("A | B", "Shows a|b.", "Do one or the other.", prom("up"), unit="none")
    text = reference.panels_page([Page("uid", "Title", "About.", [Row("A row", [line(4, panel)])], "now-1h")])
    assert "| A \\| B | Shows a\\|b. | Do one or the other. |" in text
    assert "### A row" in text
