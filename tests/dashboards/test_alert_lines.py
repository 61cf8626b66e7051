"""The lines of alerts on panels, for any threshold and any ladder that people may write."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.thresholds import thresholds
from dashboards.alerts import AlertLines, alert_lines

PERCENTAGES = st.decimals(min_value=Decimal("0.1"), max_value=Decimal("99.9"), places=1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alerts") / "alerts.yaml"


def lines(file: Path, *alerts: str) -> AlertLines:
    file.write_text("alerts:\n" + "".join(f"  - {{channel: discord, {alert}}}\n" for alert in alerts))
    return alert_lines(thresholds(file))


@given(percentage=PERCENTAGES)
def test_a_share_is_drawn_and_named_as_it_was_written(file: Path, percentage: Decimal) -> None:
    error_rate = lines(file, f"name: high_error_rate, condition: error_rate > {percentage}%").error_rate
    (_, failing), (succeeding, _) = error_rate.above(), reversed(error_rate.complement.below())
    assert failing.value == float(percentage / 100)
    assert succeeding.value == float(1 - percentage / 100)
    assert error_rate.note("Red from {value} on.") == f" Red from {percentage.normalize():f}% on."
    rest = (100 - percentage).normalize()
    assert error_rate.complement.note("Red below {value}: {alert}.") == f" Red below {rest:f}%: `high_error_rate`."


@given(ladder=st.lists(PERCENTAGES, min_size=1, max_size=6, unique=True))
def test_a_ladder_of_any_length_ends_at_the_limit(file: Path, ladder: list[Decimal]) -> None:
    rungs = ", ".join(f"{rung}%: warning" for rung in ladder)
    steps = lines(file, f"name: budget_used, condition: budget_utilization >= rung, rungs: {{{rungs}}}").budget_steps()
    assert [step.value for step in steps] == [None, *sorted(float(rung / 100) for rung in ladder), 1.0]
    assert [step.color for step in steps[-2:]] == ["orange", "red"]


@pytest.mark.parametrize(
    ("condition", "written"),
    [("$200", "$200"), ("$1500", "$1,500"), ("$0.50", "$0.50"), ("$12.345", "$12.35"), ("$1234567.8", "$1,234,567.80")],
)
def test_money_is_named_as_people_write_it(file: Path, condition: str, written: str) -> None:
    daily_spend = lines(file, f"name: high_daily_spend, condition: daily_spend > {condition}").daily_spend
    assert daily_spend.note("{value}") == f" {written}"
