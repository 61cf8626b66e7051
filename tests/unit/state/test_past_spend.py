"""Past spend on disk: what was written is loaded again, by the first versions of the table too."""

import sqlite3
from contextlib import closing

from exporter.ledger.model import TimeRange, UserSpend
from exporter.ledger.spenders import group_key
from exporter.state import past_spend

STRETCHES = {
    TimeRange(0, 900): UserSpend({"ann": 2**70, group_key("ann"): -1, "": 5}, complete=True, groups='=meta ->> "team"'),
    TimeRange(900, 1800): UserSpend({"ann": 0}),
}


def test_what_is_written_is_loaded_again() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        past_spend.make_table(db)
        past_spend.write(db, STRETCHES)
        assert past_spend.load(db) == STRETCHES
        past_spend.write(db, {TimeRange(0, 900): None, TimeRange(900, 1800): UserSpend({"bob": 1}, complete=True)})
        assert past_spend.load(db) == {TimeRange(900, 1800): UserSpend({"bob": 1}, complete=True)}


def test_a_body_without_groups_says_nothing_of_them() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        past_spend.make_table(db)
        db.execute("INSERT INTO past_spend VALUES (0, 900, '[true, {\"ann\": 3}]')")
        (spent,) = past_spend.load(db).values()
    assert spent == UserSpend({"ann": 3}, complete=True)
    assert (spent.of("bob"), spent.of(group_key("red"))) == (0, None)
