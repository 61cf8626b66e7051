"""Users: states of budgets, and who is shown."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.ledger.model import UNATTRIBUTED
from exporter.ledger.users import (
    OTHER_USERS,
    STATES,
    Budget,
    budget_state,
    choose_users,
    count_idle_states,
    count_states,
    shown_spend,
    stricter,
)

NAMES = ["ann", "bob", "cat", "dan", "eve", "other", UNATTRIBUTED]
spends = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 30), max_size=7)
limits = st.none() | st.integers(0, 20)
budgets = st.dictionaries(st.sampled_from([*NAMES[:5], UNATTRIBUTED]), st.builds(Budget, limits, limits), max_size=5)


def test_a_limit_is_exceeded_above_it_and_a_warning_begins_at_its_threshold() -> None:
    budget = Budget(10, 8)
    assert [budget_state(spend, budget) for spend in (7, 8, 10, 11)] == ["ok", "warning", "warning", "exceeded"]
    assert [budget_state(spend, Budget(10)) for spend in (0, 10, 11)] == ["ok", "ok", "exceeded"]
    assert budget_state(99, None) == budget_state(99, Budget(None, 5)) == "unlimited"


def test_states_count_all_users_who_spent_or_have_a_budget() -> None:
    spend = {"ann": 11, "bob": 9, "cat": 1, UNATTRIBUTED: 99}
    counts = count_states(spend, {"ann": Budget(10, 8), "bob": Budget(10, 8), "dan": Budget(10)})
    assert counts == {"ok": 1, "warning": 1, "exceeded": 1, "unlimited": 1}


def test_those_past_their_limit_come_first_then_warnings_then_spenders() -> None:
    spend = {"big": 900, "over": 11, "near": 9, "small": 1, "none": 0}
    limits = {"over": Budget(10), "near": Budget(10, 8)}
    assert list(choose_users(spend, limits, {}, 5, top=4, most=2)) == ["over", "near"]
    assert list(choose_users(spend, limits, {}, 5, top=1, most=9)) == ["over", "near", "big"]
    assert list(choose_users(spend, limits, {}, 5, top=9, most=9)) == ["over", "near", "big", "small"]


def test_equal_spenders_are_taken_by_name() -> None:
    assert choose_users({"b": 1, "a": 1}, {}, {}, 5, top=1, most=9) == {"a": 5}


def test_the_rows_without_a_user_and_the_rest_are_shown_by_labels_of_their_own() -> None:
    spend = {"ann": 3, "bob": 4, "cat": 5, UNATTRIBUTED: 6}
    assert shown_spend(spend, ["bob", "dan"]) == {"bob": 4, "dan": 0, UNATTRIBUTED: 6, OTHER_USERS: 8}
    assert shown_spend({"other": 2, "ann": 1}, ["other"]) == {"other": 3}


def test_who_was_shown_stays_through_the_next_day_and_no_longer() -> None:
    shown = choose_users({"ann": 1}, {}, {}, 5, top=1, most=1)
    for day, spend in ((5, {"bob": 9}), (6, {"bob": 9}), (6, {})):
        shown = choose_users(spend, {}, shown, day, top=1, most=1)
        assert shown == {"ann": 5}
    assert choose_users({"bob": 9}, {}, shown, 7, top=1, most=1) == {"bob": 7}
    assert choose_users({"ann": 9}, {}, shown, 6, top=1, most=1) == {"ann": 6}


known = st.dictionaries(st.sampled_from(NAMES[:5]), st.integers(1, 5))


@given(spends, budgets, known, st.integers(0, 4), st.integers(0, 4))
@example({UNATTRIBUTED: 1}, {UNATTRIBUTED: Budget(0)}, {}, 0, 1)
@example({UNATTRIBUTED: 9, "ann": 1}, {UNATTRIBUTED: Budget(20, 5), "ann": Budget(0)}, {}, 1, 2)
def test_the_cap_holds_and_nobody_shown_goes_too_soon(
    spend: dict[str, int], limits: dict[str, Budget], shown: dict[str, int], top: int, most: int
) -> None:
    kept = {user for user, last in shown.items() if last >= 4}
    chosen = choose_users(spend, limits, shown, 5, top=top, most=most)
    assert kept <= set(chosen)
    assert len(chosen) <= max(most, len(kept))
    assert UNATTRIBUTED not in chosen
    assert all(last == 5 or (user in kept and last == shown[user]) for user, last in chosen.items())
    if len(chosen) < most:
        # a budget without a user is nobody's: rows that name no user are no user, and are never over it
        users = (spend.keys() & limits.keys()) - {UNATTRIBUTED}
        over = {user for user in users if budget_state(spend[user], limits[user]) in ("exceeded", "warning")}
        assert over <= set(chosen)


@given(spends, st.dictionaries(st.sampled_from(NAMES[:6]), st.integers(1, 5)))
def test_what_is_shown_adds_up_to_what_was_spent(spend: dict[str, int], shown: dict[str, int]) -> None:
    result = shown_spend(spend, shown)
    assert sum(result.values()) == sum(spend.values())
    assert {*shown, "other"} <= set(result) <= {*shown, "other", UNATTRIBUTED}
    assert all(result[user] == spend.get(user, 0) for user in shown if user != "other")


@given(spends, budgets)
def test_every_user_is_in_one_state(spend: dict[str, int], limits: dict[str, Budget]) -> None:
    counts = count_states(spend, limits)
    assert tuple(counts) == STATES
    assert sum(counts.values()) == len({*spend, *limits} - {UNATTRIBUTED})


@given(spends, budgets)
def test_states_are_counted_as_if_each_user_were_looked_at(spend: dict[str, int], limits: dict[str, Budget]) -> None:
    users = {*spend, *limits} - {UNATTRIBUTED}
    expected = Counter(budget_state(spend.get(user, 0), limits.get(user)) for user in users)
    assert count_states(spend, limits) == {state: expected[state] for state in STATES}
    assert count_states(spend, limits, count_idle_states(limits)) == count_states(spend, limits)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Budget(5, 3), Budget(4, 4), Budget(4, 4)),
        (Budget(5, 3), Budget(5, 2), Budget(5, 2)),
        (Budget(5, 3), Budget(5, None), Budget(5, 3)),
        (Budget(None, 1), Budget(9, None), Budget(9, None)),
        (Budget(None, 1), Budget(None, None), Budget(None, 1)),
        (Budget(0, 0), Budget(1, 0), Budget(0, 0)),
    ],
)
def test_of_two_budgets_of_a_user_the_stricter_one_holds(one: Budget, other: Budget, expected: Budget) -> None:
    assert stricter(one, other) == stricter(other, one) == expected


@given(
    spends,
    budgets,
    st.dictionaries(st.sampled_from([*NAMES, "gone"]), st.integers(0, 3)),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_users_are_chosen_as_if_all_were_ranked(
    spend: dict[str, int], limits: dict[str, Budget], shown_before: dict[str, int], top: int, most: int
) -> None:
    """Whoever was shown on earlier days alone has no advantage, though those are looked at first."""
    ranked = sorted(spend.keys() - {UNATTRIBUTED}, key=lambda user: (-spend[user], user))
    states = {user: budget_state(spend[user], limits.get(user)) for user in ranked}
    qualified = [user for user in ranked if states[user] == "exceeded"]
    qualified += [user for user in ranked if states[user] == "warning"]
    qualified += [user for user in ranked[:top] if states[user] in ("ok", "unlimited") and spend[user] > 0]
    assert list(choose_users(spend, limits, shown_before, 5, top=top, most=most)) == qualified[:most]


def test_who_is_past_a_limit_of_another_period_is_shown_though_nothing_was_spent_today() -> None:
    spend, budgets = {"ann": 5, "bob": 90, "cid": 50}, {"bob": Budget(100, 80)}
    others = {"dan": "exceeded", "bob": "exceeded", "eve": "warning"}
    shown = choose_users(spend, budgets, {}, 7, top=1, most=10, others=others, also=["fay"])
    assert list(shown) == ["bob", "dan", "eve", "fay"]
    assert list(choose_users(spend, budgets, {}, 7, top=1, most=2, others=others)) == ["bob", "dan"]
    # a warning of another period does not hide that the day's limit is exceeded
    warned = {"bob": "warning", "ann": "warning"}
    over = choose_users({"ann": 200}, {"ann": Budget(100)}, {}, 7, top=0, most=1, others=warned)
    assert list(over) == ["ann"]
