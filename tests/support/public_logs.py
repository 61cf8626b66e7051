"""The tables of public systems as their own schemas have them, filled with rows, and what plain SQL says of them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from exporter.config.sources import SOURCES
from tests.support import ROOT
from tests.support.scraped import Figures, Scraped

PUBLIC = tuple(name for name in SOURCES if name != "helix")
_NANO = 10**9
_FOLDER = ROOT / "tests" / "support" / "sources"


@dataclass(frozen=True)
class PublicLog:
    """A system's table: how it is made, filled, and summed."""

    name: str
    tables: str
    rows: str
    truth: str
    also: str

    @classmethod
    def of(cls, name: str) -> Self:
        """What the file of a source says; the table of one that the demo knows is the demo's."""
        text = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
        tables, _, rest = text.partition("-- rows\n")
        shipped = ROOT / "exporter" / "demo" / f"schema_{name}.sql"
        if shipped.exists():
            tables = shipped.read_text(encoding="utf-8")
        rows, _, rest = rest.partition("-- truth\n")
        truth, _, also = rest.partition("-- also\n")
        return cls(name, tables, rows, truth, also)

    def create(self, admin: psycopg.Connection[Any]) -> None:
        """Make the table and its indexes."""
        admin.execute(self.tables.encode())

    def fill(self, admin: psycopg.Connection[Any], rows: int, step: int = 1) -> None:
        """Insert rows, the newest a step old, and each a step of so many seconds older than the one before."""
        admin.execute(self.rows.replace("{rows}", str(rows)).replace("{step}", str(step)).encode())

    def figures(self, admin: psycopg.Connection[Any]) -> Figures:
        """What plain SQL sums; cost in billionths of a dollar."""
        found = admin.execute(self.truth.encode()).fetchone()
        assert found is not None
        calls, failures, cost, *tokens = found
        return Figures(calls, failures, round(Decimal(cost) * _NANO), *map(int, tokens))

    def more_figures(self, admin: psycopg.Connection[Any]) -> dict[str, Any]:
        """What plain SQL says of the figures that only some systems have, by name."""
        if not self.also:
            return {}
        with admin.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(self.also.encode()).fetchone()
        assert found is not None
        return found


def shown(scraped: Scraped) -> Figures:
    """The counters, summed; cost less refunds in billionths of a dollar. A counter that is absent is 0."""
    cost, refunds = (
        sum(Decimal(value) for value in scraped.having(f"ai_operation_{name}_usd_total").values())
        for name in ("cost", "refunds")
    )
    return Figures(
        int(scraped.total("ai_operations_total")),
        int(scraped.total("ai_operation_failures_total")),
        round((cost - refunds) * _NANO),
        int(scraped.total("ai_operation_input_tokens_total")),
        int(scraped.total("ai_operation_output_tokens_total")),
    )
