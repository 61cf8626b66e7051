"""A version of the exporter with one figure more, and what it makes of a state that an older one has left.

Run it in a process of its own, with the state's folder: it prints what it found as JSON.
"""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

METRIC = 'Metric("ai_operation_imagined_tokens_total", "counter", catalog.SERIES, "Tokens of a test.", "tokens")'
LINE = f'    IMAGINED_TOKENS = ({METRIC}, "imagined_tokens", 1, 1_000_000_000)'
"""All that is written to add it, but for its metric's place in the catalog and its column's role.

No version will ever have a figure of this name.
"""


def add_figure() -> None:
    """Import `exporter.figures` as if it had the line; nothing that depends on it may have been imported before."""
    spec = find_spec("exporter.figures")
    assert spec is not None
    assert spec.origin is not None
    source, found = re.subn(r"\n+(?=SUMMED = )", rf"\n{LINE}\n\n", Path(spec.origin).read_text())
    assert found == 1
    module = sys.modules["exporter.figures"] = ModuleType("exporter.figures")
    exec(compile(source, spec.origin, "exec"), module.__dict__)


def main(folder: Path) -> dict[str, Any]:
    """Carry the state over, take up what has changed, and count one more call."""
    from exporter.config import Config, QualifiedName
    from exporter.database.columns import Column
    from exporter.database.layout import LOG_ROLES, Relation
    from exporter.database.log_query import span_query
    from exporter.database.log_table import LogTable
    from exporter.database.session import Identity
    from exporter.figures import SUMMED, Figure
    from exporter.ledger.aggregate import ZERO, add, with_figure
    from exporter.ledger.exposed import counters
    from exporter.ledger.model import Bucket, Series, Slice, SpanRead, TimeRange
    from exporter.ledger.reclassify import Reads, last_span, next_stretch
    from exporter.scrape.ledger_service import LedgerService
    from exporter.state.store import Store

    added, seen = SUMMED["imagined_tokens"], iter(range(1, 10**6))
    ledger = LedgerService(Store(folder), Config.model_validate({"horizon": "3h", "max_series": 5}))
    assert ledger.durable is not None
    now = ledger.durable.progress.now

    def totals() -> dict[str, list[int]]:
        assert ledger.durable is not None
        return {"/".join(series): list(total) for series, total in sorted(counters(ledger.durable).items())}

    def with_added(item: Slice) -> Bucket:
        """The slice as it is read with the new column, which the older version did not look at."""
        cells = {s: with_figure(c.current, added, 9) if any(c.current) else c.current for s, c in item.cells.items()}
        return Bucket(cells=cells, users=item.users)

    def read(span: TimeRange, buckets: dict[int, Bucket]) -> SpanRead:
        return SpanRead(span, now, {at: b for at, b in buckets.items() if span.lo <= at < span.hi}, sequence=next(seen))

    def both(span: TimeRange) -> Reads:
        assert ledger.present is not None
        slices = ledger.present.slices
        old = {
            start: Bucket(cells={s: c.current for s, c in i.cells.items()}, users=i.users)
            for start, i in slices.items()
        }
        return Reads(read(span, old), read(span, {start: with_added(item) for start, item in slices.items()}))

    table = LogTable(
        Relation(QualifiedName(None, "log"), 1, {}),
        {
            role: Column(role, "numeric" if role in SUMMED else "text", "S")
            for role in {*LOG_ROLES, "imagined_tokens"} - {"status"}
        },
    )
    queries = {
        name: span_query(table, classification, TimeRange(0, 60), 60)[0].as_string(None)
        for name, classification in (("old", ledger.classification), ("new", ledger.wanted))
    }
    found: dict[str, Any] = {"figures": [figure.name for figure in Figure], "added": int(added), "kept": totals()}
    found["queries"] = {name: 'sum("usable_imagined_tokens")' in text for name, text in queries.items()}
    found["reads"] = {name: '"imagined_tokens"::numeric AS' in text for name, text in queries.items()}
    found["must"] = ledger.must_reclassify
    ledger.open(Identity("7400000000000000001", "shop", "public.ai_operation_log"), now)
    while (going := ledger.resume_reclassification(moved=False)) is not None and ledger.must_reclassify:
        assert ledger.present is not None
        stretch = next_stretch(ledger.present, going, 86_400)
        if stretch is None:
            ledger.conclude(going, both(last_span(ledger.present, going, now)))
        else:
            reads = both(stretch.span)
            ledger.convert(going, stretch, Reads(None, reads.new) if stretch.history else reads)
    found["taken_up"] = totals()
    assert ledger.present is not None
    start = now - now % 60
    call = with_figure(with_figure(with_figure(ZERO, Figure.ROWS, 1), Figure.CALLS, 1), added, 7)
    known = {
        at: Bucket(cells={s: c.current for s, c in i.cells.items()}, users=i.users)
        for at, i in ledger.present.slices.items()
    }
    cells = dict(known[start].cells if start in known else {})
    cells[Series("chat", "m1")] = add(cells.get(Series("chat", "m1"), ZERO), call)
    front = TimeRange(ledger.present.progress.closed, now + 1)
    ledger.record(read(front, {**known, start: Bucket(cells=cells)}))
    found["counted"] = totals()
    ledger.close()
    return found


if __name__ == "__main__":
    add_figure()
    print(json.dumps(main(Path(sys.argv[1]))))
