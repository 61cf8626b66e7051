"""`state show`: which table a state folder belongs to, how far the log was read, and what was counted."""

import json
from collections.abc import Mapping
from typing import Any, TextIO

from exporter.catalog import USD
from exporter.config import Config
from exporter.database.session import Identity
from exporter.figures import Figure
from exporter.humanize import money
from exporter.ledger.admission import count_admitted
from exporter.ledger.model import State
from exporter.moments import as_utc
from exporter.state.provenance import IDENTITY, named
from exporter.state.store import StateError, assert_exists, copied


def show(config: Config, out: TextIO, *, as_json: bool = False) -> int:
    """Print the state's identity, position and sums, as last committed. Raises `StateError` if there is none."""
    assert_exists(config.state_dir)
    with copied(config.state_dir) as store:
        state, known = store.load(), store.meta(IDENTITY)
        if state is None or known is None:
            raise StateError(f"state folder {config.state_dir} holds nothing yet")
        identity = Identity(**known)
        fields = _fields(state, identity, config.max_series)
        if as_json:
            print(json.dumps(fields, indent=2), file=out)
        else:
            for name, value in _rows(fields, identity):
                print(f"{name:<22}{value}", file=out)
    return 0


def _fields(state: State, identity: Identity, most: int) -> dict[str, Any]:
    """What `state show --json` prints: the table, the position in the log (ISO 8601), and the sums (USD)."""
    progress = state.progress
    return {
        "table": identity.table,
        "database": identity.database,
        "system": identity.system,
        "phase": str(progress.phase),
        "read_up_to": as_utc(progress.position),
        "reread_from": as_utc(progress.compacted),
        "series": count_admitted(state),
        "max_series": most,
        "calls_counted": sum(total[Figure.CALLS] for total in state.totals.values()),
        "cost_counted_usd": sum(total[Figure.COST] for total in state.totals.values()) / USD,
        "taken_back_usd": sum(state.corrections.values()) / USD,
        "rows_found_late": progress.late_rows,
    }


def _rows(fields: Mapping[str, Any], identity: Identity) -> list[tuple[str, str]]:
    return [
        ("kept for", named(identity)),
        ("phase", fields["phase"]),
        ("read up to", fields["read_up_to"]),
        ("re-read from", fields["reread_from"]),
        ("series", f"{fields['series']} of {fields['max_series']}"),
        ("calls counted", f"{fields['calls_counted']:,}"),
        ("cost counted", money(fields["cost_counted_usd"])),
        ("taken back", money(fields["taken_back_usd"])),
        ("rows found late", f"{fields['rows_found_late']:,}"),
    ]
