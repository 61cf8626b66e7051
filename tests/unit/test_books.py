"""The ledger's owner: what was read last is what is known, also while the state cannot be written."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from exporter.books import Books, rules_for
from exporter.config import Config
from exporter.database.session import Identity
from exporter.ledger.aggregate import ZERO, Aggregate, Field, with_figure
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Minute, Read, Series, Span
from exporter.state.store import Store

SERIES = Series("email-compose", "deepseek-v3.2")
NOW = 1_700_000_040 // MINUTE * MINUTE


def row(cost: int) -> Aggregate:
    return with_figure(with_figure(with_figure(ZERO, Field.ROWS, 1), Field.CALLS, 1), Field.COST, cost)


def found(sequence: int, cost: int | None = None) -> Read:
    """A read of the present minute, which holds one row or none."""
    minutes = {} if cost is None else {NOW: Minute(cells={SERIES: row(cost)})}
    return Read(Span(NOW - 3 * MINUTE, NOW + 31), NOW + 30, minutes, sequence=sequence)


def present_cost(books: Books) -> int:
    assert books.present is not None
    cell = books.present.slices[NOW].cells.get(SERIES)
    return 0 if cell is None else cell.current[Field.COST]


@pytest.mark.parametrize("disk", ["works", "is full", "was full"])
def test_a_read_that_was_overtaken_changes_nothing_that_a_newer_one_has_found_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    commit = Store.commit

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Store(tmp_path) as store:
        books = Books(store, Config())
        begun = books.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30).progress.position
        books.record(Read(Span(begun, NOW - 3 * MINUTE), NOW + 30, {}, sequence=1))
        if disk != "works":
            monkeypatch.setattr(Store, "commit", full)
        books.record(found(2, 5))
        # begun later and done sooner than the one before it, which saw the row deleted for a moment
        books.record(found(4, 5))
        if disk == "was full":
            monkeypatch.setattr(Store, "commit", commit)
            books.retry()
            assert not books.commits_fail
        books.record(found(3))
        assert present_cost(books) == 5
        books.record(found(5))
        assert present_cost(books) == 0


@pytest.mark.parametrize(("most", "at_once"), [(200, 100), (201, 101), (20, 10), (19, None), (1, None)])
def test_half_of_many_places_must_be_earned(most: int, at_once: int | None) -> None:
    config = Config(max_series=most)
    assert rules_for(config, config.classification()).ample == at_once
