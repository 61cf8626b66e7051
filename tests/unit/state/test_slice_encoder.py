"""Texts of slices that are written again and again: what is known of the last ones never shows in them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.aggregate import WIDTH
from exporter.ledger.model import Cell, Series, Slice
from exporter.state.codec import SliceEncoder, decode_slice, encode_slice

MINUTES = [60_000_000 + 60 * number for number in range(7)]
CELLS = [
    Cell(tuple([calls] * WIDTH), tuple([calls + more] * WIDTH)) for calls, more in ((0, 0), (1, 0), (1, 1), (7, 2))
]
PAIRS = [Series("chat", "small"), Series("chat", "large"), Series('a "name"', "é")]

minutes = st.builds(
    Slice,
    st.sampled_from(MINUTES),
    st.sampled_from([60, 60, 60, 900]),
    # the very same cells come again, as well as equal ones and others
    st.dictionaries(st.sampled_from(PAIRS), st.sampled_from([*CELLS, *(replace(cell) for cell in CELLS)])),
    held=st.booleans(),
    stage=st.integers(0, 2),
)
commits = st.dictionaries(st.sampled_from(MINUTES), st.none() | minutes, max_size=6)


@given(st.lists(commits, max_size=6))
def test_a_slice_has_the_same_text_whatever_was_written_before(history: list[dict[int, Slice | None]]) -> None:
    encoder = SliceEncoder()
    for commit in history:
        slices = {start: item and replace(item, start=start) for start, item in commit.items()}
        texts = encoder.encode(slices)
        assert texts == {start: None if item is None else encode_slice(item) for start, item in slices.items()}
        for start, item in slices.items():
            text = texts[start]
            assert (None if text is None else decode_slice(start, text, {})) == item
