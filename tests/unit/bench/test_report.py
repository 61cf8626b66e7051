"""The tables of the bench, and their places in a document."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.__main__ import MEASUREMENTS, write
from bench.charts import chart, chart_of
from bench.command import sizes_of
from bench.report import Cell, Table, block, cell, markdown, replaced
from tests.support import ROOT

TABLE = Table("load", ("Rows", "Program", "ms"), [[1000, "a", 2.0], [10, "b", None]], "About it.")
DOCUMENT = """# Title

<!-- bench: load -->

old

<!-- end of load -->
By hand.
<!-- bench: users -->
<!-- end of users -->
"""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        ("text", "text"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.123, "0.12"),
        (0.00491, "0.0049"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (9.996, "10.00"),
        (12.34, "12.3"),
        (123.4, "123"),
        (-1234.5, "-1,234"),
    ],
)
def test_a_number_has_two_significant_digits_at_least(value: Cell, shown: str) -> None:
    assert cell(value) == shown


def test_a_table_in_markdown_has_numbers_to_the_right() -> None:
    assert markdown(TABLE).splitlines() == [
        "About it.",
        "",
        "| Rows | Program | ms |",
        "| --- | --- | --: |",
        "| 1,000 | a | 2.00 |",
        "| 10 | b | – |",
    ]


def test_a_block_names_its_command_and_its_machine() -> None:
    assert block("python -m bench.load", "2 cores", TABLE).splitlines()[0] == "`python -m bench.load` on 2 cores:"


def test_a_table_goes_into_its_place_and_nothing_else_changes() -> None:
    written = replaced(DOCUMENT, "load", r"new \1 text")
    assert written == DOCUMENT.replace("old", r"new \1 text")
    assert replaced(written, "load", "old") == DOCUMENT
    assert "\nmore\n" in replaced(DOCUMENT, "users", "more")


@pytest.mark.parametrize("document", ["", DOCUMENT + DOCUMENT, "<!-- bench: load -->\nno end"])
def test_a_table_without_exactly_one_place_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="load"):
        replaced(document, "load", "text")


def test_writing_puts_tables_and_charts_beside_the_document(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT)
    headings = ("Users a day", "At the peak, MiB", "Own CPU a scrape, ms")
    write(document, "users", Table("users", headings, [[100, 80.0, 5.0], [1000, 81.0, 5.5]]), "2 cores", full=True)
    assert "`python -m bench.users --full` on 2 cores:" in document.read_text()
    svg = ElementTree.fromstring((tmp_path / "images" / "performance-users.svg").read_text())
    assert "1,000" in [element.text for element in svg.iter() if element.tag.endswith("text")]


def test_a_chart_names_its_lines_and_leaves_out_what_was_not_measured() -> None:
    headings = ("Rows", "Program", "Database time, ms")
    rows: list[list[Cell]] = [
        [10, "the <floor>", 0.5],
        [10, "other", 3.0],
        [1000, "the <floor>", 0.6],
        [1000, "other", None],
    ]
    drawn_chart = chart_of(Table("alternatives", headings, rows))
    assert drawn_chart is not None
    name, svg = drawn_chart
    drawn = ElementTree.fromstring(svg)
    points = [element.attrib["points"] for element in drawn.iter() if element.tag.endswith("polyline")]
    assert name == "rows"
    assert [len(line.split()) for line in points] == [2, 1]
    assert {"the <floor>", "other"} <= {element.text for element in drawn.iter()}


def test_a_chart_lies_within_its_frame() -> None:
    drawn = ElementTree.fromstring(chart("t", "x", "y", {"a": [(1, 0.01), (5e7, 9999)], "b": [(3, 9999)]}))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    places = [
        (float(element.attrib["cx"]), float(element.attrib["cy"]))
        for element in drawn.iter()
        if element.tag.endswith("circle")
    ]
    assert len(places) == 3
    assert all(0 < x < width and 0 < y < height for x, y in places)
    labels = [float(element.attrib["y"]) for element in drawn.iter() if element.text in {"a", "b"}]
    assert abs(labels[0] - labels[1]) >= 16


def test_the_document_has_one_place_for_every_table_and_shows_every_chart() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    places = re.findall(r"<!-- bench: ([a-z-]+) -->", text)
    assert sorted(places) == sorted(
        [
            *("alternatives", "table-size", "partitioned", "exactness", "load", "window", "distance", "users"),
            *("pages", "scrapers"),
        ]
    )
    for place in places:
        assert "\nput here\n" in replaced(text, place, "put here")
    shown = re.findall(r"\]\(images/(performance-[a-z]+\.svg)\)", text)
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs" / "images").glob("performance-*.svg"))


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_sizes_come_from_the_command_line(name: str) -> None:
    module = MEASUREMENTS[name]
    assert module.SMALL.keys() == module.FULL.keys()
    assert sizes_of(module.SMALL, module.FULL, [], None) == module.SMALL
    assert sizes_of(module.SMALL, module.FULL, ["--full"], None) == module.FULL


def test_one_size_can_be_chosen_apart() -> None:
    small, full = {"rates": (10, 20), "seconds": 1}, {"rates": (1, 2, 3), "seconds": 60}
    assert sizes_of(small, full, ["--rates", "5", "--seconds", "7"], None) == {"rates": (5,), "seconds": 7}
    assert sizes_of(small, full, ["--full", "--rates", "5", "6"], None) == {"rates": (5, 6), "seconds": 60}
