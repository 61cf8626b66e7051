"""The language of conditions: what it takes, and where it points when it takes no more."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alert_rules.language.conditions import ConditionError, parse_condition
from alert_rules.model.alerts import OPERATORS
from alert_rules.model.dimensions import Dimension, parse_amount
from alert_rules.quantities.definitions import QUANTITIES

names = st.sampled_from(sorted(QUANTITIES))
numbers = st.decimals(0, 10**6, places=3, allow_nan=False, allow_infinity=False).map("{:f}".format)
amounts = st.builds(
    lambda number, form: form.format(number),
    numbers,
    st.sampled_from(["${}", "{}%", "{}ms", "{}s", "{}m", "{}h", "{}"]),
)
comparisons = st.tuples(names, st.sampled_from(sorted(OPERATORS)), st.one_of(names, amounts))


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("$200", "200", Dimension.MONEY),
        ("$1,200", "1200", Dimension.MONEY),
        ("$0.05", "0.05", Dimension.MONEY),
        ("5%", "0.05", Dimension.RATIO),
        ("2000ms", "2", Dimension.DURATION),
        ("2s", "2", Dimension.DURATION),
        ("1.5m", "90", Dimension.DURATION),
        ("1h", "3600", Dimension.DURATION),
        ("20", "20", Dimension.COUNT),
    ],
)
def test_amounts_in_every_unit(text: str, value: str, dimension: Dimension) -> None:
    amount = parse_amount(text)
    assert amount is not None
    assert (amount.value, amount.dimension, amount.text) == (Decimal(value), dimension, text)


@pytest.mark.parametrize("text", ["", "$", "%", "-5", "$-5", "1,20", "5 %", "2d", "1e3", "$5%", "٣", "0x10", ".5"])
def test_what_is_no_amount(text: str) -> None:
    assert parse_amount(text) is None


@pytest.mark.parametrize(("written", "meant"), [("<", ">"), ("<=", ">="), (">", "<"), (">=", "<=")])
def test_an_amount_on_the_left_turns_the_comparison(written: str, meant: str) -> None:
    (comparison,) = parse_condition(f"$200 {written} daily_spend")
    assert (comparison.left.text, comparison.operator, comparison.right.text) == ("daily_spend", meant, "$200")


def test_comparisons_are_joined_by_and_and_spaces_do_not_matter() -> None:
    both = parse_condition("error_rate>5%  and\toperations_per_hour >= 100")
    assert [(c.left.text, c.operator, c.right.text) for c in both] == [
        ("error_rate", ">", "5%"),
        ("operations_per_hour", ">=", "100"),
    ]


@given(st.one_of(st.text(), st.lists(st.sampled_from(["a", "$1", ">", "and", "or", " ", "==", "€"])).map(" ".join)))
@example("")
@example("daily_spend > $200 ")
@example("daily_spend > $200 and ")
def test_any_text_is_taken_or_refused_at_a_place_inside_it(text: str) -> None:
    refused: ConditionError | None = None
    try:
        assert parse_condition(text)
    except ConditionError as error:
        refused = error
    if refused is not None:
        assert 0 <= refused.offset <= len(text)
        assert refused.found
        assert refused.hint


@given(st.lists(comparisons, min_size=1, max_size=4))
def test_a_condition_that_is_written_out_reads_back_the_same(written: list[tuple[str, str, str]]) -> None:
    text = " and ".join(" ".join(comparison) for comparison in written)
    read = parse_condition(text)
    assert [(c.left.text, c.operator, c.right.text) for c in read] == written
    for comparison in read:
        for token in (comparison.left, comparison.right):
            assert text[token.offset : token.offset + len(token.text)] == token.text
