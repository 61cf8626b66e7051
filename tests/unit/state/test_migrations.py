"""A state of an earlier version goes on where it was; one that cannot is refused by name, and left as it is."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.catalog import USD
from exporter.config import Config
from exporter.config.bounds import FIRST_UPPER_BOUNDS
from exporter.config.columns import Columns, LogColumns
from exporter.database.session import Identity
from exporter.figures import Figure
from exporter.findings import Level
from exporter.ledger import schedule
from exporter.ledger.aggregate import HISTOGRAMS, LATENCY_COUNTS, ZERO, with_figure
from exporter.ledger.calendar import MINUTE
from exporter.ledger.exposed import counters
from exporter.ledger.model import OTHER, Bucket, Changes, Series, SpanRead, State, TimeRange
from exporter.preflight.state import check_state
from exporter.scrape.ledger_service import LedgerService
from exporter.state import migrations
from exporter.state.codec import LAYOUT
from exporter.state.migrations import FORMAT
from exporter.state.store import FILE_NAME, StateError, Store
from tests.support.kept import write_first_version

IDENTITY = Identity("7400000000000000001", "shop", "public.ai_operation_log")
CONFIG = Config.model_validate({"horizon": "3h", "max_series": 5})
MAIL = Series("mail", "m2")


def loaded(folder: Path) -> State:
    with Store(folder) as store:
        state = store.load()
    assert state is not None
    return state


def format_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
    return found


def content(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        return list(db.iterdump())


def test_a_state_of_the_first_version_goes_on_with_its_counters(tmp_path: Path) -> None:
    folder = write_first_version(tmp_path / "state")
    assert check_state(folder, IDENTITY).level is Level.OK
    ledger = LedgerService(Store(folder), CONFIG)
    state = ledger.durable
    assert state is not None
    before = counters(state)
    # as it was counted by that version
    assert {series: (total[Figure.CALLS], total[Figure.COST]) for series, total in before.items()} == {
        Series("chat", "m1"): (9, 5_250_000_000_000),
        Series("chat", "m2"): (4, 1_000_000_000_000),
        Series("plan", "m1"): (4, 960_000_000_000),
        Series("mail", "m2"): (4, 920_000_000_000),
        Series("plan", "m2"): (5, 1_200_000_000_000),
        OTHER: (6, 6_150_000_000_000),
    }
    assert state.corrections == {OTHER: USD}
    # that version cleaned names later, and knew neither prices nor refunds nor bounds for columns that came after it
    assert ledger.must_reclassify
    assert ledger.classification.bounds == FIRST_UPPER_BOUNDS
    taken_up = {name: getattr(ledger.wanted, name) for name in ("names", "bounds", "prices", "refunds")}
    assert ledger.classification.model_copy(update=taken_up) == ledger.wanted
    ledger.open(IDENTITY, state.progress.now)
    now = state.progress.now + 60
    span = schedule.front(state, now, ledger.settings)
    assert span is not None
    row = with_figure(with_figure(with_figure(ZERO, Figure.ROWS, 1), Figure.CALLS, 1), Figure.COST, 7)
    known = {
        start: Bucket(cells={s: c.current for s, c in item.cells.items()}, users=item.users)
        for start, item in state.slices.items()
        if span.lo <= start < span.hi
    }
    ledger.record(SpanRead(span, now, {**known, now - now % MINUTE: Bucket(cells={MAIL: row})}, sequence=1))
    assert ledger.durable is not None
    after = counters(ledger.durable)
    assert after[MAIL][Figure.COST] == before[MAIL][Figure.COST] + 7
    assert {s: t for s, t in after.items() if s != MAIL} == {s: t for s, t in before.items() if s != MAIL}
    ledger.close()
    assert format_of(folder) == FORMAT
    assert counters(loaded(folder)) == after


def named(sparse: list[int], figures: list[str]) -> list[tuple[str | int, int]]:
    """The values of an aggregate: a figure by its name, and what comes after the figures by its place there."""
    several = len(figures)
    return [(figures[at] if at < several else at - several, value) for at, value in pairs(sparse)]


def test_the_names_in_the_file_are_those_of_the_first_version(tmp_path: Path) -> None:
    """A name that changes in the code does not change in the file: the version before this one must read it too."""
    write_first_version(tmp_path / "first")
    folder = write_first_version(tmp_path / "state")
    state = loaded(folder)
    with Store(folder) as store:
        changes = Changes(progress=state.progress)
        changes.slices.update(state.slices)
        changes.admitted.update(state.admitted)
        store.commit(changes)

    def stored(name: str) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        with closing(sqlite3.connect(tmp_path / name / FILE_NAME)) as db:
            progress = json.loads(db.execute("SELECT value FROM meta WHERE name = 'progress'").fetchone()[0])
            body = json.loads(db.execute("SELECT body FROM slices ORDER BY start").fetchone()[0])
            layout = json.loads(db.execute("SELECT value FROM meta WHERE name = 'layout'").fetchone()[0])
            body["cells"] = [
                [*series, named(current, layout["figures"]), named(high_water, layout["figures"])]
                for *series, current, high_water in body["cells"]
            ]
            admitted = db.execute("SELECT key, value FROM parts WHERE part = 'admitted' ORDER BY key").fetchall()
        return progress, body, [(key, json.loads(value)) for key, value in admitted]

    before, after = stored("first"), stored("state")
    # what later versions have added has a name of its own
    assert {name: after[0][name] for name in before[0]} == before[0]
    assert after[1] == before[1]
    assert [(key, value[: len(old)]) for (key, value), (_, old) in zip(after[2], before[2], strict=True)] == before[2]
    assert loaded(folder) == state


def older(folder: Path, change: Callable[[list[int]], list[int]], figures: list[str]) -> None:
    """Make the file one of a version that had other figures: `change` is what it would have written of ours."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        for start, text in db.execute("SELECT start, body FROM slices").fetchall():
            body = json.loads(text)
            body["cells"] = [[o, m, change(current), change(high_water)] for o, m, current, high_water in body["cells"]]
            db.execute("UPDATE slices SET body = ? WHERE start = ?", (json.dumps(body), start))
        for key, text in db.execute("SELECT key, value FROM parts WHERE part = 'totals'").fetchall():
            db.execute(
                "UPDATE parts SET value = ? WHERE part = 'totals' AND key = ?",
                (json.dumps(change(json.loads(text))), key),
            )
        db.execute("REPLACE INTO meta VALUES ('layout', ?)", (json.dumps({**LAYOUT, "figures": figures}),))


def pairs(sparse: list[int]) -> list[tuple[int, int]]:
    return list(zip(sparse[::2], sparse[1::2], strict=True))


@pytest.mark.parametrize("field", Figure)
def test_a_figure_that_is_new_begins_at_zero_and_all_others_go_on(tmp_path: Path, field: Figure) -> None:
    folder = write_first_version(tmp_path / "state")
    before = loaded(folder)

    def without(sparse: list[int]) -> list[int]:
        kept = [(place - (place > field), value) for place, value in pairs(sparse) if place != field]
        return [number for pair in kept for number in pair]

    older(folder, without, [name for name in LAYOUT["figures"] if name != field.name.lower()])
    assert check_state(folder, IDENTITY).level is Level.OK
    after = loaded(folder)
    assert after.totals == {series: with_figure(total, field, 0) for series, total in before.totals.items()}
    for start, item in after.slices.items():
        assert {s: cell.high_water for s, cell in item.cells.items()} == {
            s: with_figure(cell.high_water, field, 0) for s, cell in before.slices[start].cells.items()
        }
    # once, and not at every start
    assert loaded(folder) == after


def test_a_histogram_that_is_new_begins_at_zero_and_the_others_go_on(tmp_path: Path) -> None:
    folder = write_first_version(tmp_path / "state")
    before = loaded(folder)
    first_token = HISTOGRAMS["time_to_first_token"]
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        kept = {name: value for name, value in LAYOUT.items() if name != "time_to_first_token_edges"}
        db.execute("REPLACE INTO meta VALUES ('layout', ?)", (json.dumps(kept),))
    assert check_state(folder, IDENTITY).level is Level.OK
    assert loaded(folder) == before
    assert any(any(total[LATENCY_COUNTS]) for total in before.totals.values())
    assert not any(any(total[first_token.counts]) for total in before.totals.values())
    with Store(folder) as store:
        assert store.meta("layout") == LAYOUT


def test_a_histogram_with_other_buckets_is_refused(tmp_path: Path) -> None:
    folder = write_first_version(tmp_path / "state")
    assert loaded(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        other = {**LAYOUT, "time_to_first_token_edges": [1.0]}
        db.execute("REPLACE INTO meta VALUES ('layout', ?)", (json.dumps(other),))
    with pytest.raises(StateError, match=r"time to first token edges 1\.0"):
        Store(folder)


def test_figures_in_another_order_are_told_by_their_names(tmp_path: Path) -> None:
    folder = write_first_version(tmp_path / "state")
    before = loaded(folder)

    def swapped(sparse: list[int]) -> list[int]:
        return [number for place, value in pairs(sparse) for number in ({0: 1, 1: 0}.get(place, place), value)]

    names = LAYOUT["figures"]
    older(folder, swapped, [names[1], names[0], *names[2:]])
    assert loaded(folder) == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_first_version(tmp_path / "state")
    before = content(folder)

    def half(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM slices")
        db.execute("CREATE TABLE new (x)")
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (*migrations.STEPS, half))
        with pytest.raises(StateError, match="is full"):
            Store(folder)
    assert (content(folder), format_of(folder)) == (before, 1)
    assert len(loaded(folder).slices) == 27


@pytest.mark.parametrize("version", [FORMAT + 1, 99, -1])
def test_a_format_that_is_not_known_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    folder = write_first_version(tmp_path / "state")
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = content(folder)
    with pytest.raises(StateError, match=f"format {version}, this version reads {FORMAT}"):
        Store(folder)
    assert check_state(folder, IDENTITY).level is Level.FAIL
    assert (content(folder), format_of(folder)) == (before, version)


@pytest.mark.parametrize("body", ['{"cells": 1}', "[]", "{", '{"cells": [["a", "b", [0], []]]}'])
def test_an_older_file_that_makes_no_sense_is_set_aside(tmp_path: Path, body: Any) -> None:
    folder = write_first_version(tmp_path / "state")
    older(folder, lambda sparse: sparse, LAYOUT["figures"][:-1])
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute("UPDATE slices SET body = ?", (body,))
    with Store(folder) as store:
        assert store.load() is None
        assert store.used_before


def test_a_state_of_a_version_without_groups_goes_on_as_it_is(tmp_path: Path) -> None:
    folder, now = tmp_path / "state", 1_772_452_800
    ledger = LedgerService(Store(folder), CONFIG)
    begun = ledger.open(IDENTITY, now).progress.position
    ledger.record(SpanRead(TimeRange(begun, now + 1), now, {now - 7200: Bucket(users={"ann": 7})}, sequence=1))
    ledger.close()
    before = loaded(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        (text,) = db.execute("SELECT value FROM meta WHERE name = 'classification'").fetchone()
        classification = json.loads(text)
        del classification["log_columns"]["group"]
        db.execute("UPDATE meta SET value = ? WHERE name = 'classification'", (json.dumps(classification),))
        db.execute("PRAGMA user_version = 4")
    assert check_state(folder, IDENTITY).level is Level.OK
    again = LedgerService(Store(folder), CONFIG)
    assert not again.must_reclassify
    assert again.durable == before
    again.close()
    assert format_of(folder) == FORMAT
    grouped = CONFIG.model_copy(update={"columns": Columns(log=LogColumns(group="team"))})
    wanting = LedgerService(Store(folder), grouped)
    assert wanting.must_reclassify
    wanting.close()
