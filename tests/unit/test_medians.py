"""The weighted median."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.medians import weighted_median


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.001, 1e6)), min_size=1, max_size=30))
def test_half_of_the_weight_lies_on_each_side_of_the_median(values: list[tuple[float, float]]) -> None:
    middle = weighted_median(values)
    whole = sum(weight for _, weight in values)
    assert middle is not None
    assert sum(weight for value, weight in values if value < middle) <= whole / 2 * (1 + 1e-9)
    assert sum(weight for value, weight in values if value > middle) <= whole / 2 * (1 + 1e-9)


def test_nothing_has_no_median() -> None:
    assert weighted_median([]) is None
    assert weighted_median([(5.0, 0.0)]) is None
