"""What is told of an alert that has ended: recovered, or not known to have."""

from pathlib import Path

import pytest

from tests.alerts.test_discord_template import FIRING, MIDNIGHT, MIDNIGHT_UNIX, RESOLVED, data, one
from tests.support.alertmanager import render

pytestmark = pytest.mark.slow

UNKNOWN = "; no calls any more: not known to have recovered"


@pytest.mark.parametrize(
    ("ends", "unknown_from", "unknown"),
    [
        (MIDNIGHT, MIDNIGHT_UNIX, True),
        ("2026-11-25T00:00:59.5Z", MIDNIGHT_UNIX, True),
        ("2026-11-24T23:59:59.9Z", MIDNIGHT_UNIX, False),
        (MIDNIGHT, "", False),
        (MIDNIGHT, "0", False),
        (MIDNIGHT, "soon", False),
    ],
)
def test_an_end_without_calls_is_no_recovery(tmp_path: Path, ends: str, unknown_from: str, unknown: bool) -> None:
    ended = one(RESOLVED, ends, value="6 calls without a success", unknown_from=unknown_from)
    ((title, message),) = render(tmp_path, [data(ended, severity="critical", alertname="model_unavailable")])
    assert ("• was 6 calls without a success" + UNKNOWN in message) == unknown
    assert title == f"{'⚪ Ended' if unknown else '✅ Resolved'} (critical): model_unavailable"
    assert ("**Ended**" in message, "**Resolved**" in message) == (unknown, not unknown)


def test_one_that_is_not_known_to_have_recovered_keeps_the_title_from_saying_so(tmp_path: Path) -> None:
    unknown = one(RESOLVED, value="a", unknown_from=MIDNIGHT_UNIX)
    (ended, firing) = render(tmp_path, [data(one(RESOLVED, value="b"), unknown), data(unknown, one(FIRING))])
    assert ended[0] == "⚪ Ended: several alerts (2)"
    assert [line for line in ended[1].splitlines() if "•" in line] == ["• was b", f"• was a{UNKNOWN}"]
    assert "**Ended: 2**" in ended[1]
    assert firing[0] == "⚪ Alert: several alerts"
    assert "**Ended**" in firing[1]
    assert "Resolved" not in ended[1] + firing[1]


def test_the_end_of_a_budget_day_is_told_before_all_else(tmp_path: Path) -> None:
    both = one(RESOLVED, value="$3", budget_day_ends=MIDNIGHT_UNIX, unknown_from=MIDNIGHT_UNIX)
    ((_, message),) = render(tmp_path, [data(both)])
    assert "• was $3; the budget day ended" in message
    assert UNKNOWN not in message


def test_the_end_of_a_budget_day_is_no_recovery(tmp_path: Path) -> None:
    ended = one(RESOLVED, value="$3", budget_day_ends=MIDNIGHT_UNIX)
    before = one(RESOLVED, "2026-11-24T23:59:59.9Z", value="$3", budget_day_ends=MIDNIGHT_UNIX)
    messages = render(tmp_path, [data(alert, severity="warning", alertname="spend") for alert in (ended, before)])
    assert [title for title, _ in messages] == ["⚪ Ended (warning): spend", "✅ Resolved (warning): spend"]
    assert "**Ended**" in messages[0][1]
    assert "**Resolved**" in messages[1][1]


def test_a_rate_says_why_nothing_is_known(tmp_path: Path) -> None:
    ended = one(RESOLVED, value="7.1%", unknown_from=MIDNIGHT_UNIX, unknown_because="too few calls any more")
    ((title, message),) = render(tmp_path, [data(ended, severity="critical", alertname="high_error_rate")])
    assert title == "⚪ Ended (critical): high_error_rate"
    assert "• was 7.1%; too few calls any more: not known to have recovered" in message
