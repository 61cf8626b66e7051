"""Conditions in the ways that people write them: refused, with the right form as the hint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.compiler.compiling import compile_alerts
from alert_rules.compiler.proposing import propose
from alert_rules.language.conditions import parse_condition
from alert_rules.language.loading import parse_alerts
from alert_rules.model.errors import RulesError

DOLLARS = ", since amounts are in US dollars"
MEANT = {
    "daily_spend > 200 USD": "daily_spend > $200",
    "daily_spend > USD 200": "daily_spend > $200",
    "daily_spend > US$200": "daily_spend > $200",
    "daily_spend > 200 dollars": "daily_spend > $200",
    "daily_spend > 200$": "daily_spend > $200",
    "daily_spend > $ 200": "daily_spend > $200",
    "daily_spend > 200": "daily_spend > $200",
    "daily_spend > $1 000": "daily_spend > $1,000",
    "daily_spend > $1\u00a0000": "daily_spend > $1,000",
    "daily_spend > $1\u202f000.50": "daily_spend > $1,000.50",
    "daily_spend > $1'000'000": "daily_spend > $1,000,000",
    "daily_spend > $2k": "daily_spend > $2000",
    "daily_spend > $1.5k": "daily_spend > $1500",
    "daily_spend > 0.25 k": "daily_spend > $250",
    "daily_spend > 1.5k USD": "daily_spend > $1500",
    "daily_spend > 2k€": f"daily_spend > $2000{DOLLARS}",
    "daily_spend > $200 USD": "daily_spend > $200",
    "daily_spend > $200USD": "daily_spend > $200",
    "daily_spend > €200": f"daily_spend > $200{DOLLARS}",
    "daily_spend > 200 EUR": f"daily_spend > $200{DOLLARS}",
    "daily_spend > £50": f"daily_spend > $50{DOLLARS}",
    "daily_spend ≥ $200": "daily_spend >= $200",
    "daily_spend => $200": "daily_spend >= $200",
    "daily_spend ＞ $200": "daily_spend > $200",
    "daily_spend ≤ $200": "daily_spend <= $200",
    "daily_spend exceeds $200": "daily_spend > $200",
    "daily_spend is greater than $200": "daily_spend > $200",
    "DAILY_SPEND > $200": "daily_spend > $200",
    "Daily-Spend > daily_limit": "daily_spend > daily_limit",
    "daily_spend > DAILY_LIMIT": "daily_spend > daily_limit",
    "Daily Spend > $200": "daily_spend > $200",
    "dailySpend > daily limit": "daily_spend > daily_limit",
    "projected  daily spend > $200": "projected_daily_spend > $200",
    "P95 Latency > 2 s and error rate > 5%": "p95_latency > 2s and error_rate > 5%",
    "cost per operation > $1": "cost_per_operation > $1",
    "error_rate > 5 percent": "error_rate > 5%",
    "error_rate > 5 %": "error_rate > 5%",
    "error_rate > 5％": "error_rate > 5%",
    "error_rate > 5pct": "error_rate > 5%",
    "error_rate > 0.05": "error_rate > 5%",
    "error_rate > 5": "error_rate > 5%",
    "avg_latency > 2 seconds": "avg_latency > 2s",
    "avg_latency > 2000 ms": "avg_latency > 2000ms",
    "avg_latency > 2 s && operations_per_hour > 10": "avg_latency > 2s and operations_per_hour > 10",
    "error_rate > 5% AND avg_latency over 2 sec": "error_rate > 5% and avg_latency > 2s",
}


def refusal(condition: str) -> str:
    text = f'alerts:\n- name: trial\n  condition: "{condition}"\n  channel: discord\n'
    with pytest.raises(RulesError) as raised:
        compile_alerts(parse_alerts(text.encode(), "alerts.yaml"), ("discord",))
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize(("written", "meant"), MEANT.items(), ids=MEANT)
def test_the_hint_is_the_condition_that_was_meant(written: str, meant: str) -> None:
    assert refusal(written).endswith(f" — write {meant}")


@pytest.mark.parametrize(
    "condition",
    [
        "daily_spend > lots",
        "daily_spend > 5%",
        "spending > 200 USD",
        "avg_latency > 2000",
        "error_rate == 5 percent",
        "daily_spend > 1.000 €",
        "daily_spend > €1.500",
        "daily_spend > 1.000,50 EUR",
        "daily spend not over $200",
    ],
)
def test_nothing_is_proposed_where_the_meaning_cannot_be_told(condition: str) -> None:
    assert propose(condition) is None
    assert " — " in refusal(condition)


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from([*"$€5 1,.%k", "daily_spend", " > ", "≥", "USD", "and"])).map("".join)
    )
)
def test_what_is_proposed_of_any_text_is_a_condition_and_stays_as_it_is(text: str) -> None:
    proposal = propose(text)
    if proposal is not None:
        condition = proposal.removeprefix("write ").removesuffix(DOLLARS)
        assert parse_condition(condition)
        assert propose(condition) is None
