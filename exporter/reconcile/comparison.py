"""Compare sums of money by key: pure. Money is in ledger units, 1e-12 USD."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from exporter.catalog import USD

LEAST = USD // 10**6
"""A difference up to a micro-dollar is none: neither layout of the log has finer costs."""


@dataclass(frozen=True)
class Source:
    """What one source says: amounts by key, of which those of keys it does not know are absent.

    With `amounts` None it cannot tell them apart, or does not know the period: then there may be a `total` all the
    same. `note` says why, or what to know about it.
    """

    name: str
    amounts: Mapping[str, int] | None = None
    total: int | None = None
    note: str = ""

    @property
    def sum(self) -> int | None:
        """All amounts together; None where they are not known."""
        return self.total if self.amounts is None else sum(self.amounts.values())


@dataclass(frozen=True)
class Deviation:
    """What a source says of a key, less what the log says; `off` where that is past the tolerance."""

    amount: int
    difference: int
    share: Decimal | None
    off: bool


@dataclass(frozen=True)
class Line:
    """One key: the log's amount, and each source's, None where it does not know."""

    key: str
    logged: int
    cells: tuple[Deviation | None, ...]

    @property
    def off(self) -> bool:
        """Whether any source differs past the tolerance."""
        return any(cell is not None and cell.off for cell in self.cells)


@dataclass(frozen=True)
class Comparison:
    """All keys, the largest amount first, and the total."""

    lines: tuple[Line, ...]
    total: Line
    sources: tuple[Source, ...]

    @property
    def off(self) -> bool:
        """Whether anything differs past the tolerance."""
        return self.total.off or any(line.off for line in self.lines)


def compare(logged: Mapping[str, int], sources: Sequence[Source], tolerance: Decimal) -> Comparison:
    """The log's amounts beside those of the sources; `tolerance` is a share of the log's amount."""
    known = [source.amounts for source in sources if source.amounts is not None]
    keys = {*logged, *(key for amounts in known for key in amounts)}

    def line(key: str) -> Line:
        amount = logged.get(key, 0)
        cells = (None if s.amounts is None else _cell(amount, s.amounts.get(key, 0), tolerance) for s in sources)
        return Line(key, amount, tuple(cells))

    def largest(each: Line) -> int:
        return max(0, each.logged, *(cell.amount for cell in each.cells if cell is not None))

    lines = sorted(map(line, keys), key=lambda each: (-largest(each), each.key))
    whole = sum(logged.values())
    totals = (None if source.sum is None else _cell(whole, source.sum, tolerance) for source in sources)
    return Comparison(tuple(lines), Line("total", whole, tuple(totals)), tuple(sources))


def _cell(logged: int, amount: int, tolerance: Decimal) -> Deviation:
    difference = amount - logged
    share = Decimal(difference) / logged if logged else None
    off = abs(difference) > max(tolerance * abs(logged), Decimal(LEAST))
    return Deviation(amount, difference, share, off)


def with_overflow(logged: Mapping[str, int], known: Iterable[str], other: str) -> dict[str, int]:
    """The log's amounts with those of keys that are not `known` under `other`, where that is known."""
    names = set(known)
    if other not in names:
        return dict(logged)
    result: dict[str, int] = {}
    for key, amount in logged.items():
        label = key if key in names else other
        result[label] = result.get(label, 0) + amount
    return result
