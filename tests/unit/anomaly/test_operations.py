"""What is odd of each operation, since when, and by which factor of which model."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.cause import Usual, cause, factors
from exporter.anomaly.operations import Judged, Prepared, Preparing, hours_to_judge
from exporter.catalog import USD
from exporter.ledger.calendar import HOUR
from exporter.ledger.hourly import hours_between
from exporter.ledger.model import Hour, HourFigures, Series

ZONE = ZoneInfo("Europe/Berlin")
CHAT, CHEAP, EMAIL = Series("chat", "m1"), Series("chat", "m2"), Series("email", "m1")
PRESENT = int(datetime(2026, 4, 14, 3, tzinfo=ZONE).timestamp())
BEGAN = PRESENT - 8 * 7 * 24 * HOUR

Cells = Mapping[Series, HourFigures]


def figures(calls: int, each: float = 0.02, tokens: int = 1000) -> HourFigures:
    """So many calls, with the cost in dollars and the tokens of each."""
    return HourFigures(calls=calls, cost=round(calls * each * USD), input_tokens=calls * tokens)


USUAL = {CHAT: figures(50), CHEAP: figures(10, 0.001), EMAIL: figures(20, 0.01)}


def history(until: int = PRESENT, usual: Cells | None = None) -> list[Hour]:
    """The same in each hour."""
    return [Hour(start, USUAL if usual is None else usual) for start in hours_between(BEGAN, until, ZONE)]


def prepared(hours: Iterable[Hour], operations: Iterable[str] = ("chat", "email"), began: int = BEGAN) -> Prepared:
    """By hours, as the exporter takes them: some at a time."""
    judged = hours_to_judge(PRESENT, ZONE)
    preparing = Preparing(list(operations), judged, ZONE)
    some = list(hours)
    for first in range(0, len(some), 24):
        preparing.take(some[first : first + 24])
    new = Preparing([""], judged, ZONE).baselines(began, PRESENT)[""]
    return Prepared(ZONE, new, preparing.baselines(began, PRESENT), preparing.usual(began, PRESENT))


def judged(newest: Mapping[int, Cells], of: Prepared | None = None) -> dict[str, Judged]:
    """With the usual in the hours that are not given."""
    return (of or prepared(history())).judge(PRESENT, lambda hour: newest.get(hour, USUAL))


def test_the_usual_is_not_odd() -> None:
    found = judged({})
    assert set(found) == {"chat", "email"}
    assert all(each.odd_spend is None for each in found.values())
    assert found["chat"].verdicts["spend"].usual == pytest.approx(1.01)


def test_a_loop_is_told_with_its_model_and_factors() -> None:
    loop = {**USUAL, CHAT: figures(1000)}
    found = judged({PRESENT - HOUR: loop, PRESENT: loop})
    assert found["email"].odd_spend is None
    odd = found["chat"].odd_spend
    assert odd is not None
    assert odd.since == PRESENT - HOUR
    assert odd.cause is not None
    assert odd.cause.model == "m1"
    assert odd.cause.factors == pytest.approx({"calls": 20, "tokens_per_call": 1, "price_per_token": 1})


@pytest.mark.parametrize("hours", [1, 2, 5, 23])
def test_it_tells_since_when(hours: int) -> None:
    loop = {**USUAL, CHAT: figures(1000)}
    odd = judged({PRESENT - ago * HOUR: loop for ago in range(hours)})["chat"].odd_spend
    assert odd is not None
    assert odd.since == PRESENT - (hours - 1) * HOUR


def test_longer_prompts_and_a_dearer_model_are_told_apart() -> None:
    longer = judged({PRESENT: {**USUAL, CHAT: figures(50, 0.2, 10_000)}})["chat"].odd_spend
    dearer = judged({PRESENT: {**USUAL, CHEAP: figures(10, 0.5)}})["chat"].odd_spend
    for odd, model, told in (
        (longer, "m1", {"calls": 1, "tokens_per_call": 10, "price_per_token": 1}),
        (dearer, "m2", {"calls": 1, "tokens_per_call": 1, "price_per_token": 500}),
    ):
        assert odd is not None
        assert odd.cause is not None
        assert odd.cause.model == model
        assert odd.cause.factors == pytest.approx(told)


def test_a_new_model_has_only_its_calls_to_be_told() -> None:
    odd = judged({PRESENT: {**USUAL, Series("chat", "m9"): figures(80, 0.5)}})["chat"].odd_spend
    assert odd is not None
    assert odd.cause is not None
    assert odd.cause.model == "m9"
    assert odd.cause.factors == {"calls": 80}


def test_a_new_operation_is_odd_by_all_that_it_costs() -> None:
    found = judged({PRESENT: {**USUAL, Series("agent", "m1"): figures(100, 0.3)}})["agent"]
    assert found.verdicts["spend"].excess == pytest.approx(30)
    assert found.verdicts["spend"].usual == 0
    # of what its calls are like there is nothing to compare with
    assert set(found.verdicts) == {"spend", "calls"}


def test_an_operation_that_is_not_watched_is_not_judged() -> None:
    of = prepared(history())
    without = Prepared(of.zone, of.new, {"chat": of.by_operation["chat"]}, of.usual, frozenset({"email"}))
    assert set(judged({PRESENT: {EMAIL: figures(9000)}}, without)) == {"chat"}


def test_a_short_history_judges_nothing() -> None:
    began = PRESENT - 13 * 24 * HOUR
    of = prepared([hour for hour in history() if hour.start >= began], began=began)
    found = judged({PRESENT: {CHAT: figures(9000, 9.0)}}, of)
    assert all(not each.verdicts and each.odd_spend is None for each in found.values())


def test_the_next_hour_is_judged_before_there_is_a_newer_history() -> None:
    of = prepared(history())
    found = of.judge(PRESENT + HOUR, lambda hour: {CHAT: figures(1000)} if hour == PRESENT + HOUR else USUAL)
    odd = found["chat"].odd_spend
    assert odd is not None
    assert odd.since == PRESENT + HOUR


def test_without_a_rise_there_is_no_cause() -> None:
    assert cause({}, {}) is None
    assert cause({"m1": figures(5)}, {"m1": Usual(cost=1.0, calls=5)}) is None


positive = st.integers(1, 10_000)


@given(positive, st.floats(0.0001, 10), positive, positive, st.floats(0.0001, 10), positive)
def test_the_factors_multiply_to_the_rise_of_the_spend(
    calls: int, each: float, tokens: int, usual_calls: int, usual_each: float, usual_tokens: int
) -> None:
    now, usual = figures(calls, each, tokens), figures(usual_calls, usual_each, usual_tokens)
    found = factors(now, Usual(usual.cost / USD, usual_calls, usual))
    product = 1.0
    for times in found.values():
        product *= times
    assert product == pytest.approx(now.cost / usual.cost, rel=1e-6)


def test_calls_without_tokens_have_a_cost_per_call() -> None:
    now, usual = figures(10, 0.4, 0), figures(20, 0.1, 0)
    assert factors(now, Usual(2.0, 20, usual)) == pytest.approx({"calls": 0.5, "cost_per_call": 4})
    assert factors(HourFigures(), Usual(2.0, 20, usual)) == {}
