"""Check that there is room for new series."""

import contextlib
import sqlite3
from pathlib import Path

from exporter.findings import Finding, ok, warn
from exporter.ledger.model import OTHER
from exporter.scrape.committed_state import FEW_LEFT
from exporter.state.codec import dumps
from exporter.state.store import FILE_NAME, read_only

SERIES = "series"


def check_series(folder: Path, most: int) -> Finding:
    """Check how many series the state has. Other checks report a state that cannot be read."""
    try:
        with contextlib.closing(read_only(folder / FILE_NAME)) as db:
            count = "SELECT count(*) FROM parts WHERE part = 'admitted' AND key <> ?"
            taken: int = db.execute(count, (dumps(OTHER),)).fetchone()[0]
    except (OSError, sqlite3.Error):
        taken = 0
    detail = f"{taken} of {most} series are in use (max_series)"
    if taken < FEW_LEFT * most:
        return ok(SERIES, detail)
    return warn(
        SERIES,
        f"{detail}; beyond that, calls are counted as other",
        "raise max_series, or end series you no longer need: ai-operation-exporter state forget --operation NAME",
    )
