"""Tables for a terminal."""

from collections.abc import Collection, Mapping, Sequence

from exporter.humanize import printable


def render_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
    continued: Mapping[str, int] | None = None,
) -> str:
    """Columns as wide as their widest cell, those in `right` flush right; control characters are replaced.

    With `continued`, the least width of each column by its header, the headers are left out.
    """
    least = continued or {}
    cells = [[printable(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(least.get(header, 0), *(len(row[number]) for row in cells)) for number, header in enumerate(headers)]
    lines = []
    for row in cells if continued is None else cells[1:]:
        padded = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for header, cell, width in zip(headers, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
