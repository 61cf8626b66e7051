"""Users' ids: hidden in the state, too, wherever they are hidden at all, and whatever was there before."""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config
from exporter.database.session import Identity
from exporter.ledger.calendar import MINUTE
from exporter.ledger.exposed import user_spend_today
from exporter.ledger.model import UNATTRIBUTED, Bucket, SpanRead, TimeRange
from exporter.ledger.reclassify import Reads, next_stretch
from exporter.ledger.spenders import group_key
from exporter.pseudonyms import Pseudonyms
from exporter.scrape.ledger_service import LedgerService
from exporter.state import users as module
from exporter.state.disk_thread import DiskThread
from exporter.state.store import FILE_NAME, Store
from tests.support.kept import USERS, files_with, write_first_version

IDENTITY = Identity("7400000000000000001", "shop", "public.ai_operation_log")
DAY = 86400
KEY, OTHER_KEY = b"a key of sixteen bytes", b"and another one of them"


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Config]:
    """The settings of the kept state, with users in one of the modes; `hmac2` has another key."""

    def make(mode: str) -> Config:
        users: dict[str, Any] = {"mode": mode}
        if mode.startswith("hmac"):
            key = tmp_path / f"{mode}.key"
            key.write_bytes(OTHER_KEY if mode == "hmac2" else KEY)
            users = {"mode": "hmac", "hmac_key_file": str(key)}
        return Config.model_validate({"horizon": "3h", "max_series": 5, "users": users})

    return make


class Kept:
    """Books on a folder, closed at the end: what was read of it then, and by a second start."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.config = config
        self.ledger = LedgerService(Store(folder), config)

    def __enter__(self) -> LedgerService:
        return self.ledger

    def __exit__(self, *_: object) -> None:
        self.ledger.close()


def today(ledger: LedgerService) -> Mapping[str, int]:
    assert ledger.durable is not None
    return user_spend_today(ledger.durable, ledger.settings)


@pytest.mark.parametrize("mode", ["hmac", "off"])
def test_ids_that_were_kept_are_replaced_and_leave_no_trace(
    tmp_path: Path, config: Callable[[str], Config], mode: str
) -> None:
    folder = write_first_version(tmp_path / "state")
    with Kept(folder, config("id")) as ledger:
        before, shown = today(ledger), dict(ledger.present.shown_users) if ledger.present else {}
        state = ledger.durable
        assert state is not None
        counted = dict(state.totals)
    assert set(USERS) < before.keys()
    assert files_with(folder, *USERS) == {FILE_NAME}
    with Kept(folder, config(mode)) as ledger:
        hidden, name = today(ledger), ledger.pseudonyms.of
        assert hidden == {name(user): units for user, units in before.items()}
        assert not hidden.keys() & set(USERS)
        assert ledger.durable is not None
        assert ledger.durable.shown_users == {name(user): day for user, day in shown.items()}
        assert ledger.durable.totals == counted
        assert ledger.classification.users == ledger.wanted.users
        assert ledger.knows_old
    assert files_with(folder, *USERS) == set()
    # the names stay the same from one start to the next
    with Kept(folder, config(mode)) as ledger:
        assert today(ledger) == hidden
        assert ledger.classification.users == ledger.wanted.users
        assert ledger.knows_old


def test_names_made_with_the_key_are_those_that_were_shown_before(
    tmp_path: Path, config: Callable[[str], Config]
) -> None:
    folder = write_first_version(tmp_path / "state")
    with Kept(folder, config("hmac")) as ledger:
        assert {Pseudonyms(KEY).of(user) for user in USERS} | {UNATTRIBUTED} == today(ledger).keys()


def test_ids_that_were_deleted_before_leave_no_trace_either(tmp_path: Path, config: Callable[[str], Config]) -> None:
    folder = write_first_version(tmp_path / "state")
    gone = "deadbeef-0000-4000-8000-000000000000"
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute("PRAGMA secure_delete = OFF")
        db.executemany("REPLACE INTO slice_users VALUES (?, ?)", [(n, f'{{"{gone}":{n}}}') for n in range(500)])
        db.commit()
        db.execute("DELETE FROM slice_users WHERE start < 500")
    assert files_with(folder, gone) == {FILE_NAME}
    Kept(folder, config("off")).ledger.close()
    assert files_with(folder, gone) == set()


@pytest.mark.parametrize("mode", ["hmac", "off", "id"])
def test_what_is_read_is_recorded_under_the_names(tmp_path: Path, config: Callable[[str], Config], mode: str) -> None:
    folder, now = tmp_path / "state", 1_772_452_800
    with Kept(folder, config(mode)) as ledger:
        begun = ledger.open(IDENTITY, now).progress.position
        ledger.record(SpanRead(TimeRange(begun, now - 180), now, {now - 7200: Bucket(users={USERS[1]: 7})}, sequence=1))
        minutes = {now - MINUTE: Bucket(users={USERS[0]: 3, UNATTRIBUTED: 2})}
        ledger.record(SpanRead(TimeRange(now - 180, now + 1), now, minutes, sequence=2))
        name = ledger.pseudonyms.of
        assert today(ledger) == {name(USERS[0]): 3, name(USERS[1]): 7, UNATTRIBUTED: 2}
        # what is on the disk is joined with what is read again
        ledger.record(
            SpanRead(TimeRange(now - 7200, now - 6300), now, {now - 7200: Bucket(users={USERS[1]: 9})}, sequence=3)
        )
        assert today(ledger)[name(USERS[1])] == 9
        assert bool(files_with(folder, *USERS)) == (mode == "id")


@pytest.mark.parametrize("mode", ["hmac", "off", "id"])
def test_groups_keep_their_names_whatever_becomes_of_users(
    tmp_path: Path, config: Callable[[str], Config], mode: str
) -> None:
    folder, now = tmp_path / "state", 1_772_452_800
    with Kept(folder, config("id")) as ledger:
        begun = ledger.open(IDENTITY, now).progress.position
        old = {now - 7200: Bucket(users={USERS[1]: 7, group_key("red"): 4})}
        ledger.record(SpanRead(TimeRange(begun, now - 180), now, old, sequence=1))
        minutes = {now - MINUTE: Bucket(users={USERS[0]: 3, group_key("red"): 2, group_key(USERS[0]): 1})}
        ledger.record(SpanRead(TimeRange(now - 180, now + 1), now, minutes, sequence=2))
        ledger.show({USERS[0]: 5}, {"red": 5})
    with Kept(folder, config(mode)) as ledger:
        name = ledger.pseudonyms.of
        assert today(ledger) == {name(USERS[0]): 3, name(USERS[1]): 7}
        assert ledger.group_spend_today() == {"red": 6, USERS[0]: 1}
        # what is on the disk of an older quarter-hour still has its groups
        more = {now - 7200: Bucket(users={USERS[1]: 7, group_key("red"): 9})}
        ledger.record(SpanRead(TimeRange(now - 7200, now - 6300), now, more, sequence=3))
        assert ledger.group_spend_today() == {"red": 11, USERS[0]: 1}
        assert today(ledger)[name(USERS[1])] == 7
        assert ledger.durable is not None
        assert ledger.durable.shown_groups == {"red": 5}


@pytest.mark.parametrize(
    ("before", "after"),
    [("hmac", "hmac2"), ("hmac", "id"), ("off", "id"), ("hmac", "off"), ("off", "hmac")],
)
def test_names_that_cannot_be_turned_into_others_are_dropped_and_read_anew(
    tmp_path: Path, config: Callable[[str], Config], before: str, after: str
) -> None:
    folder = write_first_version(tmp_path / "state")
    Kept(folder, config(before)).ledger.close()
    for _ in range(2):
        with Kept(folder, config(after)) as ledger:
            assert ledger.must_reclassify
            state = ledger.durable
            assert state is not None
            assert (today(ledger), state.shown_users) == ({}, {})
            now = state.progress.now
    with Kept(folder, config(after)) as ledger:
        totals = dict(ledger.durable.totals) if ledger.durable else {}
        ledger.forget_old("not asked")
        found = {now - now % MINUTE - 600: Bucket(users={USERS[2]: 5})}
        while (going := ledger.resume_reclassification(moved=False)) is not None and ledger.present is not None:
            if (stretch := next_stretch(ledger.present, going, DAY)) is None:
                ledger.conclude(going, None)
                break
            minutes = {start: part for start, part in found.items() if stretch.span.lo <= start < stretch.span.hi}
            ledger.convert(going, stretch, Reads(None, SpanRead(stretch.span, now, minutes, sequence=1)))
        assert today(ledger) == {ledger.pseudonyms.of(USERS[2]): 5}
        assert not ledger.must_reclassify
        assert ledger.durable is not None
        assert ledger.durable.totals == totals
    with Kept(folder, config(after)) as ledger:
        assert not ledger.must_reclassify
        assert today(ledger) == {ledger.pseudonyms.of(USERS[2]): 5}


def test_a_disk_that_is_full_at_the_start_hides_users_all_the_same(
    tmp_path: Path, config: Callable[[str], Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_first_version(tmp_path / "state")

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        for method in ("rename_users", "commit", "purge"):
            patch.setattr(Store, method, full)
        with Kept(folder, config("off")) as ledger:
            assert ledger.present is not None
            assert not user_spend_today(ledger.present, ledger.settings)
            assert ledger.must_reclassify
    with Kept(folder, config("off")) as ledger:
        assert set(USERS).isdisjoint(today(ledger))
    assert files_with(folder, *USERS) == set()


@pytest.mark.parametrize(("before", "after"), [("id", "off"), ("hmac", "hmac2"), ("off", "id")])
@pytest.mark.parametrize("is_full", [False, True])
def test_the_store_is_not_read_beside_the_thread_of_the_disk(
    tmp_path: Path,
    config: Callable[[str], Config],
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    after: str,
    is_full: bool,
) -> None:
    folder, here = write_first_version(tmp_path / "state"), threading.current_thread()
    Kept(folder, config(before)).ledger.close()
    submit, meta, load = DiskThread.submit, Store.meta, Store.load
    events: list[str] = []

    def submitted(disk: DiskThread, work: Callable[[Store], Any]) -> Any:
        events.append("submit")
        return submit(disk, work)

    def read(store: Store, name: str) -> Any:
        if threading.current_thread() is here:
            events.append(f"read {name}")
        return meta(store, name)

    def loaded(store: Store) -> Any:
        events.append("load")
        return load(store)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(DiskThread, "submit", submitted)
        patch.setattr(Store, "meta", read)
        patch.setattr(Store, "load", loaded)
        if is_full:
            for method in ("rename_users", "commit", "purge"):
                patch.setattr(Store, method, full)
        with Kept(folder, config(after)):
            pass
    assert events.index("submit") > events.index("read classification")
    assert set(events[events.index("submit") :]) == {"submit"}


def test_a_purge_that_failed_is_tried_again(
    tmp_path: Path,
    config: Callable[[str], Config],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, purge = write_first_version(tmp_path / "state"), Store.purge
    monkeypatch.setattr(module, "PURGE_PAUSE", 0.0, raising=False)
    room = threading.Event()
    attempts = 0

    def full(store: Store) -> None:
        nonlocal attempts
        attempts += 1
        if not room.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        purge(store)

    monkeypatch.setattr(Store, "purge", full)

    def retry_until(ledger: LedgerService, done: Callable[[], bool]) -> None:
        for _ in range(3000):
            ledger.retry()
            if done():
                return
            threading.Event().wait(0.01)
        raise AssertionError("waited in vain")

    with Kept(folder, config("off")) as ledger, caplog.at_level("INFO"):
        retry_until(ledger, lambda: attempts >= 3)
        room.set()
        retry_until(ledger, lambda: "contains no trace of deleted user ids any more" in caplog.text)
    assert files_with(folder, *USERS) == set()
    assert caplog.text.count("may still contain traces") == 1
    made = attempts
    with Kept(folder, config("off")) as ledger:
        ledger.retry()
    assert attempts == made
