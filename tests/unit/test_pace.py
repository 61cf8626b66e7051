"""How the background reader finds its stride."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.calendar import MINUTE, QUARTER
from exporter.scrape.pace import LONGEST_BACKOFF, LONGEST_CHUNK, ROW_BUDGET, Pace


def test_it_begins_with_a_quarter_of_an_hour() -> None:
    assert Pace(2.0).length == QUARTER


def test_fast_chunks_grow_and_slow_ones_shrink() -> None:
    pace = Pace(2.0)
    for _ in range(20):
        pace.took(0.01, 10, pace.length)
    assert pace.length == LONGEST_CHUNK
    pace.took(3.0, 10, pace.length)
    assert pace.length == LONGEST_CHUNK // 2


def test_chunks_of_few_rows_grow_and_those_of_many_shrink() -> None:
    pace = Pace(2.0)
    pace.took(0.01, ROW_BUDGET // 3, pace.length)
    assert pace.length == 2 * QUARTER
    pace.took(0.01, ROW_BUDGET, pace.length)
    assert pace.length == 2 * QUARTER
    pace.took(0.01, ROW_BUDGET + 1, pace.length)
    assert pace.length == QUARTER


def test_a_chunk_that_was_short_by_itself_says_nothing_of_longer_ones() -> None:
    pace = Pace(2.0, length=4 * QUARTER)
    pace.took(0.01, 10, QUARTER)
    assert pace.length == 4 * QUARTER


def test_a_chunk_with_too_many_rows_is_begun_anew_as_short_as_can_be() -> None:
    pace = Pace(2.0, length=LONGEST_CHUNK)
    assert pace.most_rows is not None
    pace.too_many()
    assert pace.length == QUARTER
    assert pace.most_rows is None


def test_a_quarter_that_is_too_slow_is_split_into_statements_of_one_snapshot() -> None:
    pace = Pace(2.0, length=QUARTER)
    splits = []
    for _ in range(3):
        splits.append(pace.split)
        pace.timed_out()
    assert splits == [None, 300, 60]
    assert pace.split == 60
    pace.took(0.1, 10, QUARTER)
    assert pace.split is None


def test_a_transaction_is_longer_than_asked_only_where_nothing_else_helps() -> None:
    pace = Pace(2.0)
    for _ in range(3):
        assert pace.transaction_seconds(10.0) == 10.0
        pace.timed_out()
    assert pace.split == MINUTE
    assert pace.transaction_seconds(10.0) == 15 * pace.statement_seconds
    pace.took(30.0, 10, QUARTER)
    assert pace.transaction_seconds(10.0) == 10.0


results = st.one_of(st.none(), st.just(False), st.tuples(st.floats(0, 100), st.integers(0, 10 * ROW_BUDGET)))


@given(st.lists(results, max_size=50))
def test_a_chunk_is_always_whole_quarters_and_the_wait_is_bounded(
    results: list[tuple[float, int] | bool | None],
) -> None:
    pace = Pace(2.0)
    for result in results:
        if isinstance(result, tuple):
            pace.took(*result, pace.length)
        elif result is None:
            pace.timed_out()
        else:
            pace.too_many()
        assert pace.length % QUARTER == 0
        assert QUARTER <= pace.length <= LONGEST_CHUNK
        assert pace.split in (None, 300, MINUTE)
        assert 0 < pace.backoff <= LONGEST_BACKOFF
        assert 0 < pace.transaction_seconds(10.0) <= 15 * pace.statement_seconds
