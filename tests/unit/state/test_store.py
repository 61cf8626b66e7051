"""The state on disk: what was committed is what is loaded, whatever happens to the process or the file."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalog import LATENCY_EDGES
from exporter.ledger.aggregate import WIDTH
from exporter.ledger.model import (
    Admission,
    Cell,
    Changes,
    Phase,
    Progress,
    Series,
    SkippedValue,
    Slice,
    State,
    Tally,
    Waiting,
)
from exporter.state.store import FILE_NAME, StateError, Store

QUARTER = 1_700_000_100
MINUTE = 1_700_001_000
PROGRESS = Progress(Phase.RUNNING, MINUTE + 200, QUARTER, MINUTE, MINUTE + 60, MINUTE + 201, 0, QUARTER)

labels = st.text(min_size=1, max_size=20)
# far beyond 64 bits: money is held in units of 1e-12 USD
figures = st.integers(min_value=0, max_value=10**30)
aggregates = st.lists(figures, min_size=WIDTH, max_size=WIDTH).map(tuple)
series = st.builds(Series, labels, labels)
skips = st.builds(SkippedValue, labels, labels)
moments = st.floats(min_value=0, max_value=4e9)
users = st.dictionaries(labels, figures, min_size=1)


def slices(start: int, width: int) -> st.SearchStrategy[Slice]:
    return st.builds(
        Slice,
        st.just(start),
        st.just(width),
        st.dictionaries(series, st.builds(Cell, aggregates, aggregates), max_size=3),
        st.dictionaries(skips, st.builds(Tally, figures, figures), max_size=2),
        st.dictionaries(labels, st.builds(Waiting, figures, moments), max_size=2),
        users if width == 60 else st.just({}),
        st.booleans(),
        st.integers(0, 5),
    )


changes = st.builds(
    Changes,
    progress=st.just(PROGRESS),
    slices=st.fixed_dictionaries({QUARTER: slices(QUARTER, 900), MINUTE: slices(MINUTE, 60)}),
    totals=st.dictionaries(series, aggregates, max_size=3),
    corrections=st.dictionaries(series, figures, max_size=3),
    skipped=st.dictionaries(skips, figures, max_size=3),
    days=st.dictionaries(st.tuples(st.integers(1, 10**6), series), figures, max_size=3),
    user_days=st.dictionaries(st.tuples(st.integers(1, 10**6), labels), figures, max_size=3),
    group_days=st.dictionaries(st.tuples(st.integers(1, 10**6), labels), figures, max_size=3),
    admitted=st.dictionaries(
        series, st.builds(Admission, st.integers(0, 9), st.none() | st.integers(0, 10**10)), max_size=3
    ),
    seen_operations=st.dictionaries(labels, moments, max_size=2),
    seen_models=st.dictionaries(labels, moments, max_size=2),
    succeeded_models=st.dictionaries(labels, moments, max_size=2),
    shown_users=st.dictionaries(labels, st.integers(1, 10**6), max_size=2),
    shown_groups=st.dictionaries(labels, st.integers(1, 10**6), max_size=2),
)


def committed(changes: Changes) -> Changes:
    """The changes with what goes with them: the users of a minute are stored beside its slice."""
    for start, item in changes.slices.items():
        if item is not None:
            changes.slice_users[start] = item.users or None
    return changes


@given(first=changes, second=changes)
@settings(max_examples=30, deadline=None)
def test_a_state_that_is_loaded_is_the_state_that_was_committed(
    tmp_path_factory: pytest.TempPathFactory, first: Changes, second: Changes
) -> None:
    folder = tmp_path_factory.mktemp("state")
    state = State(PROGRESS)
    with Store(folder) as store:
        for part in (first, second):
            store.commit(committed(part))
            state.apply(part)
    with Store(folder) as store:
        assert store.load() == state


def test_what_is_set_to_none_is_gone(tmp_path: Path) -> None:
    known = Series("email-compose", "deepseek-v3.2")
    with Store(tmp_path) as store:
        store.commit(
            Changes(PROGRESS, slices={MINUTE: Slice(MINUTE, 60)}, days={(1, known): 5}, slice_users={MINUTE: {"a": 1}})
        )
        store.commit(Changes(slices={MINUTE: None}, days={(1, known): None}, slice_users={MINUTE: None}))
        state = store.load()
        assert state is not None
        assert (state.slices, dict(state.days)) == ({}, {})
        assert store.slice_users([MINUTE]) == {}


def test_a_commit_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit(Changes(PROGRESS, shown_users={"anna": 1}))
        with pytest.raises(TypeError):
            store.commit(Changes(shown_users={"anna": 2, "bert": object()}))  # type: ignore[dict-item]
        state = store.load()
        assert state is not None
        assert state.shown_users == {"anna": 1}
        store.commit(Changes(shown_users={"anna": 3}))


def test_an_empty_folder_holds_no_state_and_was_never_used(tmp_path: Path) -> None:
    with Store(tmp_path / "new" / "state") as store:
        assert store.load() is None
        assert not store.used_before
    # that it was looked at, or started in vain, is no use
    with Store(tmp_path / "new" / "state") as store:
        assert not store.used_before


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\nfrom pathlib import Path\nfrom exporter.state.store import Store\n"
            "Store(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(StateError, match=r"in use by another process.*--state-dir"):
        Store(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    Store(tmp_path).close()


@pytest.mark.parametrize("damage", [b"this is no database at all" * 200, b"\x00" * 8192])
def test_a_damaged_file_is_set_aside_and_said_loudly(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(tmp_path) as store:
        store.commit(Changes(PROGRESS))
    for leftover in tmp_path.glob(f"{FILE_NAME}-*"):
        leftover.unlink()
    (tmp_path / FILE_NAME).write_bytes(damage)
    with caplog.at_level(logging.ERROR), Store(tmp_path) as store:
        assert store.load() is None
        assert store.used_before
    (aside,) = tmp_path.glob(f"{FILE_NAME}.damaged-*")
    assert aside.read_bytes() == damage
    assert "damaged" in caplog.text
    assert str(aside) in caplog.text


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="format 99"):
        Store(tmp_path)
    # the refusal has not kept the folder locked
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 1")
    Store(tmp_path).close()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("latency_edges", lambda edges: [3.0 if edge == 2.0 else edge for edge in edges], "latency edges 0.05, .* 3.0"),
        ("error_classes", lambda classes: classes[1:], "error classes rate_limit, auth"),
        ("figures", lambda figures: [*figures, "imagined_tokens"], "figures rows, .*, imagined_tokens"),
    ],
)
def test_figures_of_other_classes_or_buckets_are_refused_and_kept(
    tmp_path: Path, name: str, change: Callable[[list[Any]], list[Any]], words: str
) -> None:
    with Store(tmp_path) as store:
        store.commit(Changes(PROGRESS))
        layout = store.meta("layout")
        store.commit(Changes(), {"layout": {**layout, name: change(layout[name])}})
    with pytest.raises(StateError, match=rf"{words}.*, and this version has .*: use the version .*--state-dir"):
        Store(tmp_path)
    assert not list(tmp_path.glob(f"{FILE_NAME}.damaged-*"))


def test_a_file_that_does_not_say_its_classes_and_buckets_is_taken(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit(Changes(PROGRESS))
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("DELETE FROM meta WHERE name = 'layout'")
    with Store(tmp_path) as store:
        assert store.load() == State(PROGRESS)
        assert store.meta("layout")["latency_edges"] == list(LATENCY_EDGES)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"file/state.*--state-dir"):
        Store(tmp_path / "file" / "state")


def test_a_state_file_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StateError, match=FILE_NAME):
        Store(tmp_path)
