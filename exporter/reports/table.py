"""Tables for a terminal."""

from collections.abc import Collection, Sequence


def render_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """Columns as wide as their widest cell, those in `right` flush right; control characters are replaced."""
    cells = [[_printable(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(headers))]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for header, cell, width in zip(headers, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def dollars(usd: object) -> str:
    """Money to the micro-dollar, as both layouts hold it; a dash for None."""
    return "-" if usd is None else f"{usd:,.6f}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
