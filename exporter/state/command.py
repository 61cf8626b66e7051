"""`state show`, `adopt` and `forget`: what a state folder holds, and what can be changed while nothing runs on it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TextIO

from exporter.books import IDENTITY
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.session import Database, Identity
from exporter.ledger.admission import taken_places
from exporter.ledger.aggregate import USD, ZERO, Field
from exporter.ledger.forget import forget
from exporter.ledger.model import OTHER, Changes, State
from exporter.state.migrations import NEXT_NAME
from exporter.state.shadow import ShadowWork
from exporter.state.store import StateError, Store


def show(config: Config, out: TextIO) -> int:
    """Print the state's identity, position and sums. Raises `StateError` where there is none, or it is in use."""
    with _existing(config) as store:
        state, known = store.load(), store.meta(IDENTITY)
        if state is None or known is None:
            raise StateError(f"state folder {config.state_dir} holds nothing yet")
        for name, value in _rows(state, Identity(**known), config.max_series):
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
        _commit_anew(store, store.load(), Changes(), {IDENTITY: asdict(found)})
        print(f"was kept for  {_named(Identity(**known))}\nis kept for   {_named(found)}", file=out)
    return 0


def forget_series(config: Config, operation: str, model: str | None, out: TextIO) -> int:
    """End the series of an operation, or those with one model, and free their places.

    Raises `StateError` where there is none such, or an exporter runs on the folder.
    """
    with _existing(config) as store:
        state = store.load()
        admitted = [] if state is None else sorted(state.admitted.keys() - {OTHER})
        chosen = [s for s in admitted if s.operation == operation and model in (None, s.model)]
        if state is None or not chosen:
            of_model = "" if model is None else f" and model {model!r}"
            raise StateError(f"state folder {config.state_dir} has no series of operation {operation!r}{of_model}")
        changes = forget(state, chosen)
        _commit_anew(store, state, changes, {})
        for series in chosen:
            total = state.totals.get(series, ZERO)
            counted = f"{total[Field.CALLS]} calls, ${total[Field.COST] / USD:.6f}"
            print(f"ended  {series.operation}  {series.model}  ({counted})", file=out)
        print(f"series {taken_places(state) - len(chosen)} of {config.max_series}", file=out)
    return 0


def _commit_anew(store: Store, state: State | None, changes: Changes, meta: Mapping[str, object]) -> None:
    """Commit changes that changed settings, which are being taken up, know nothing of: that begins again."""
    if state is not None:
        changes.progress = replace(state.progress, converted=0)
    store.commit(changes, {**meta, NEXT_NAME: None}, ShadowWork(reset=True))


def _existing(config: Config) -> Store:
    if not config.state_dir.is_dir():
        raise StateError(f"no state folder {config.state_dir}: name it with --state-dir")
    return Store(config.state_dir)


def _named(identity: Identity) -> str:
    return f"{identity.table} in {identity.database}, system {identity.system or 'unknown'}"


def _rows(state: State, identity: Identity, most: int) -> list[tuple[str, str]]:
    progress = state.progress
    cost = sum(total[Field.COST] for total in state.totals.values())
    calls = sum(total[Field.CALLS] for total in state.totals.values())
    return [
        ("kept for", _named(identity)),
        ("phase", progress.phase),
        ("read up to", _time(progress.position)),
        ("re-read from", _time(progress.folded)),
        ("series", f"{taken_places(state)} of {most}"),
        ("calls counted", str(calls)),
        ("cost counted", f"${cost / USD:.6f}"),
        ("taken back", f"${sum(state.corrections.values()) / USD:.6f}"),
        ("rows found late", str(progress.late_rows)),
    ]


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
