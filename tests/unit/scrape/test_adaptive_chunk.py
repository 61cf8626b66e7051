"""How the background reader finds its stride."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.calendar import MINUTE, QUARTER_HOUR
from exporter.scrape.adaptive_chunk import LONGEST_BACKOFF, LONGEST_CHUNK, ROW_BUDGET, AdaptiveChunk


def test_it_begins_with_a_quarter_of_an_hour() -> None:
    assert AdaptiveChunk(2.0).length == QUARTER_HOUR


def test_fast_chunks_grow_and_slow_ones_shrink() -> None:
    chunk = AdaptiveChunk(2.0)
    for _ in range(20):
        chunk.took(0.01, 10, chunk.length)
    assert chunk.length == LONGEST_CHUNK
    chunk.took(3.0, 10, chunk.length)
    assert chunk.length == LONGEST_CHUNK // 2


def test_chunks_of_few_rows_grow_and_those_of_many_shrink() -> None:
    chunk = AdaptiveChunk(2.0)
    chunk.took(0.01, ROW_BUDGET // 3, chunk.length)
    assert chunk.length == 2 * QUARTER_HOUR
    chunk.took(0.01, ROW_BUDGET, chunk.length)
    assert chunk.length == 2 * QUARTER_HOUR
    chunk.took(0.01, ROW_BUDGET + 1, chunk.length)
    assert chunk.length == QUARTER_HOUR


def test_a_chunk_that_was_short_by_itself_says_nothing_of_longer_ones() -> None:
    chunk = AdaptiveChunk(2.0, length=4 * QUARTER_HOUR)
    chunk.took(0.01, 10, QUARTER_HOUR)
    assert chunk.length == 4 * QUARTER_HOUR


def test_a_chunk_with_too_many_rows_is_begun_anew_as_short_as_can_be() -> None:
    chunk = AdaptiveChunk(2.0, length=LONGEST_CHUNK)
    assert chunk.most_rows is not None
    chunk.too_many()
    assert chunk.length == QUARTER_HOUR
    assert chunk.most_rows is None


def test_a_quarter_that_is_too_slow_is_split_into_statements_of_one_snapshot() -> None:
    chunk = AdaptiveChunk(2.0, length=QUARTER_HOUR)
    splits = []
    for _ in range(3):
        splits.append(chunk.split)
        chunk.timed_out()
    assert splits == [None, 300, 60]
    assert chunk.split == 60
    chunk.took(0.1, 10, QUARTER_HOUR)
    assert chunk.split is None


def test_a_transaction_is_longer_than_asked_only_where_nothing_else_helps() -> None:
    chunk = AdaptiveChunk(2.0)
    for _ in range(3):
        assert chunk.transaction_seconds(10.0) == 10.0
        chunk.timed_out()
    assert chunk.split == MINUTE
    assert chunk.transaction_seconds(10.0) == 15 * chunk.statement_seconds
    chunk.took(30.0, 10, QUARTER_HOUR)
    assert chunk.transaction_seconds(10.0) == 10.0


results = st.one_of(st.none(), st.just(False), st.tuples(st.floats(0, 100), st.integers(0, 10 * ROW_BUDGET)))


@given(st.lists(results, max_size=50))
def test_a_chunk_is_always_whole_quarters_and_the_wait_is_bounded(
    results: list[tuple[float, int] | bool | None],
) -> None:
    chunk = AdaptiveChunk(2.0)
    for result in results:
        if isinstance(result, tuple):
            chunk.took(*result, chunk.length)
        elif result is None:
            chunk.timed_out()
        else:
            chunk.too_many()
        assert chunk.length % QUARTER_HOUR == 0
        assert QUARTER_HOUR <= chunk.length <= LONGEST_CHUNK
        assert chunk.split in (None, 300, MINUTE)
        assert 0 < chunk.backoff <= LONGEST_BACKOFF
        assert 0 < chunk.transaction_seconds(10.0) <= 15 * chunk.statement_seconds
