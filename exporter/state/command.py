"""`state show` and `state adopt`: what a state folder was kept for, and taking it on for another database."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TextIO

from exporter.books import IDENTITY
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.session import Database, Identity
from exporter.ledger.aggregate import USD, Field
from exporter.ledger.model import Changes, State
from exporter.state.store import StateError, Store


def show(config: Config, out: TextIO) -> int:
    """Print the state's identity, position and sums. Raises `StateError` where there is none, or it is in use."""
    with _existing(config) as store:
        state, known = store.load(), store.meta(IDENTITY)
        if state is None or known is None:
            raise StateError(f"state folder {config.state_dir} holds nothing yet")
        for name, value in _rows(state, Identity(**known)):
            print(f"{name:<22}{value}", file=out)
    return 0


def adopt(config: Config, environ: Mapping[str, str], out: TextIO) -> int:
    """Let the state go on with the configured database: what is missing there becomes corrections, and is not lost."""
    info = resolve_conninfo(config, environ)
    with _existing(config) as store:
        known = store.meta(IDENTITY)
        if known is None:
            raise StateError(f"state folder {config.state_dir} holds nothing yet: there is nothing to adopt")
        database = Database(info, config.database.connect_timeout, "ai-operation-exporter-adopt")
        with database.session(config.scrape.timeout) as session:
            found = session.identity(session.log(config.classification()))
        database.close()
        store.commit(Changes(), {IDENTITY: asdict(found)})
        print(f"was kept for  {_named(Identity(**known))}\nis kept for   {_named(found)}", file=out)
    return 0


def _existing(config: Config) -> Store:
    if not config.state_dir.is_dir():
        raise StateError(f"no state folder {config.state_dir}: name it with --state-dir")
    return Store(config.state_dir)


def _named(identity: Identity) -> str:
    return f"{identity.table} in {identity.database}, system {identity.system or 'unknown'}"


def _rows(state: State, identity: Identity) -> list[tuple[str, str]]:
    progress = state.progress
    cost = sum(total[Field.COST] for total in state.totals.values())
    calls = sum(total[Field.CALLS] for total in state.totals.values())
    return [
        ("kept for", _named(identity)),
        ("phase", progress.phase),
        ("read up to", _time(progress.position)),
        ("re-read from", _time(progress.folded)),
        ("series", str(len(state.admitted))),
        ("calls counted", str(calls)),
        ("cost counted", f"${cost / USD:.6f}"),
        ("taken back", f"${sum(state.corrections.values()) / USD:.6f}"),
        ("rows found late", str(progress.late_rows)),
    ]


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
