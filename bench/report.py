"""Tables as Markdown, and their places in a document."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """What one measurement found. `name` is its place in the documents, `about` says under which conditions."""

    name: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    about: str = ""

    def column(self, heading: str) -> list[Cell]:
        """All cells below a heading."""
        place = list(self.headings).index(heading)
        return [row[place] for row in self.rows]


def cell(value: Cell) -> str:
    """A value with at least two significant digits; what was not measured is a dash."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.1:
        return f"{value:.2g}"
    # not -0.00
    return f"{value + 0.0:.{1 if abs(value) >= 10 else 2}f}"


def markdown(table: Table) -> str:
    """The table in Markdown, numbers to the right."""
    rows = [[cell(value) for value in row] for row in table.rows]
    right = [
        all(not isinstance(row[place], str) for row in table.rows) and place > 0 for place in range(len(table.headings))
    ]
    lines = [table.headings, ["--:" if numbers else "---" for numbers in right], *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table.about}\n\n{text}" if table.about else text


def block(command: str, machine: str, table: Table) -> str:
    """What stands between a table's marks in a document: the command that made it, where, and the table."""
    return f"`{command}` on {machine}:\n\n{markdown(table)}"


def put(document: Path, table: Table, text: str) -> None:
    """Put a text into a table's place in a document. Raises `ValueError` if it has none."""
    document.write_text(replaced(document.read_text(), table.name, text))


def replaced(document: str, name: str, text: str) -> str:
    """The document with another text in a table's place: from `<!-- bench: NAME -->` to `<!-- end of NAME -->`.

    Raises `ValueError` if it does not have exactly one such place.
    """
    place = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    document, times = place.subn(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", document)
    if times != 1:
        raise ValueError(f"the document has {times} places for the table {name!r}")
    return document
