"""How the background reader finds its stride."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.calendar import MINUTE, QUARTER
from exporter.pace import LONGEST_BACKOFF, LONGEST_CHUNK, Pace


def test_fast_chunks_grow_and_slow_ones_shrink() -> None:
    pace = Pace(2.0)
    for _ in range(20):
        pace.took(0.01)
    assert pace.length == LONGEST_CHUNK
    pace.took(3.0)
    assert pace.length == LONGEST_CHUNK // 2


def test_a_quarter_that_is_too_slow_is_split_into_statements_of_one_snapshot() -> None:
    pace = Pace(2.0, length=QUARTER)
    splits = []
    for _ in range(3):
        splits.append(pace.split)
        pace.timed_out()
    assert splits == [None, 300, 60]
    assert pace.split == 60
    pace.took(0.1)
    assert pace.split is None


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=50))
def test_a_chunk_is_always_whole_quarters_and_the_wait_is_bounded(results: list[float | None]) -> None:
    pace = Pace(2.0)
    for seconds in results:
        if seconds is None:
            pace.timed_out()
        else:
            pace.took(seconds)
        assert pace.length % QUARTER == 0
        assert QUARTER <= pace.length <= LONGEST_CHUNK
        assert pace.split in (None, 300, MINUTE)
        assert 0 < pace.backoff <= LONGEST_BACKOFF
