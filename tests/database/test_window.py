"""The open window is read again and again: only those minutes are made again of which a row has changed."""

from collections.abc import Iterable, Iterator

import pytest

from exporter.config import Classification, Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.reader import read_span
from exporter.database.rows import BucketReader, SpanRow
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.database.window import WindowReader
from exporter.ledger.calendar import floor_to
from exporter.ledger.model import Bucket, TimeRange
from tests.support.harness import Log

CHANGES = {
    "another_row": "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, created_at)"
    " SELECT operation_type, operation_id, model_used, success, created_at FROM ai_operation_log WHERE {last}",
    "operation": "UPDATE ai_operation_log SET operation_id = 'other' WHERE {last}",
    "model": "UPDATE ai_operation_log SET model_used = 'm9' WHERE {last}",
    "user": "UPDATE ai_operation_log SET user_id = gen_random_uuid() WHERE {last}",
    "no_user": "UPDATE ai_operation_log SET user_id = NULL WHERE {last}",
    "cost": "UPDATE ai_operation_log SET cost_usd = cost_usd + 0.000001 WHERE {last}",
    "tokens": "UPDATE ai_operation_log SET input_tokens = input_tokens + 1 WHERE {last}",
    "latency": "UPDATE ai_operation_log SET latency_ms = 119999 WHERE {last}",
    "failed": "UPDATE ai_operation_log SET success = false, error_message = '429' WHERE {last}",
    "deleted": "DELETE FROM ai_operation_log WHERE {last}",
    "moved": "UPDATE ai_operation_log SET created_at = created_at - interval '1 minute' WHERE {last}",
    "longer_message": "UPDATE ai_operation_log SET success = false, error_message = 'connection reset' WHERE {last}",
}
LAST = "id = (SELECT id FROM ai_operation_log ORDER BY created_at DESC, id LIMIT 1)"


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        yield log


class Reads:
    """Reads of the last minutes of a log, each in a transaction of its own."""

    def __init__(self, log: Log) -> None:
        config = Config.model_validate({"database": {"url": log.url}})
        self.rules = config.classification()
        self.window = WindowReader()
        self.database = Database(resolve_conninfo(config, {}), 5, "tests")
        self._span: TimeRange | None = None

    def __call__(self, rules: Classification | None = None) -> dict[int, Bucket]:
        with self.database.session(60) as session:
            table, span = session.log(self.rules), self.whole(session)
            read = self.window.read(session, table, rules or self.rules, span)
            assert read == read_span(session, table, rules or self.rules, span)
            return read

    def close(self) -> None:
        self.database.close()

    def whole(self, session: Session) -> TimeRange:
        """The same span in each read."""
        now = int(session.clock)
        self._span = self._span or TimeRange(floor_to(now - 600, 60), now + 600)
        return self._span


@pytest.fixture
def reads(log: Log) -> Iterator[Reads]:
    log.execute(
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, cost_usd,"
        " latency_ms, success, created_at) SELECT 'chat', 'chat', 'm' || n % 3, gen_random_uuid(), n, 0.01, 100, true,"
        " now() AT TIME ZONE 'UTC' - n * interval '20 seconds' FROM generate_series(1, 20) AS n"
    )
    reads = Reads(log)
    yield reads
    reads.close()


def same(before: dict[int, Bucket], after: dict[int, Bucket]) -> set[int]:
    """The minutes that are the same bucket in both."""
    return {start for start in before.keys() & after.keys() if before[start] is after[start]}


def test_what_has_not_changed_is_not_made_again(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reads()
    monkeypatch.delattr(BucketReader, "add")
    with reads.database.session(60) as session:
        table = session.log(reads.rules)
        assert same(before, reads.window.read(session, table, reads.rules, reads.whole(session))) == before.keys()


@pytest.mark.parametrize("change", CHANGES)
def test_a_minute_with_a_row_that_has_changed_is_made_again(log: Log, reads: Reads, change: str) -> None:
    before = reads()
    last = max(before)
    log.execute(CHANGES[change].format(last=LAST))
    after = reads()
    changed = (before.keys() | after.keys()) - same(before, after)
    assert last in changed
    assert changed <= {last, last - 60}
    assert same(after, reads()) == after.keys()


# a heap has the newest rows last, the index that goes down has them first
@pytest.mark.parametrize("newest", ["last", "first"])
@pytest.mark.parametrize("rows", [1, 3])
def test_rows_beside_those_that_are_known_are_all_that_is_added(
    log: Log, reads: Reads, monkeypatch: pytest.MonkeyPatch, newest: str, rows: int
) -> None:
    added, add = 0, BucketReader.add

    def counted(reader: BucketReader, found: Iterable[SpanRow], **named: bool) -> None:
        nonlocal added
        listed = list(found)
        added += len(listed)
        add(reader, listed, **named)

    def read(window: WindowReader) -> dict[int, Bucket]:
        with reads.database.session(60) as session:
            for scan in ("seqscan", "bitmapscan") if newest == "first" else ("indexscan", "bitmapscan"):
                session.run(f"SELECT pg_catalog.set_config('enable_{scan}', 'off', true)")
            return window.read(session, session.log(reads.rules), reads.rules, reads.whole(session))

    log.execute("DELETE FROM ai_operation_log")
    minute = "date_trunc('minute', now() AT TIME ZONE 'UTC') - interval '2 minutes' + interval '1 ms' * {}"
    insert = "INSERT INTO ai_operation_log (operation_type, model_used, cost_usd, success, created_at) VALUES "
    log.execute(insert + ", ".join(f"('chat', 'm', 1, true, {minute.format(n)})" for n in range(5)))
    read(reads.window)
    log.execute(insert + ", ".join(f"('chat', 'm', 1, true, {minute.format(100 + n)})" for n in range(rows)))
    whole = read(WindowReader())
    monkeypatch.setattr(BucketReader, "add", counted)
    assert read(reads.window) == whole
    assert added == rows


def test_other_settings_make_every_minute_again(reads: Reads) -> None:
    before = reads()
    assert same(before, reads(reads.rules.model_copy())) == before.keys()
    assert same(before, reads(reads.rules.model_copy(update={"default_timeout": 0.05}))) == set()
