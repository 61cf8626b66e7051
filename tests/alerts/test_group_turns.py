"""The model of a group's turns that `bench.messages` counts by."""

import pytest

from bench.messages import messages

F, T = False, True


@pytest.mark.parametrize(
    ("alerts", "interval", "sent"),
    [
        ([[F, F, F]], 60, 0),
        # its beginning and its end
        ([[F, T, T, F, F, F]], 60, 2),
        ([[T] * 600], 60, 1),
        # two that begin together, and one that follows
        ([[T] * 20, [T] * 20], 60, 1),
        ([[T] * 20, [F, F, F] + [T] * 17], 60, 2),
        # flapping within a turn is seen at its end alone
        ([[T] * 20, [F, T, F, T, F] + [T] * 15], 300, 2),
        ([[T] * 20, [F, T, F, T, F] + [T] * 15], 60, 6),
        ([[T, F, F, F]], 60, 2),
    ],
)
def test_a_turn_tells_what_has_changed(alerts: list[list[bool]], interval: int, sent: int) -> None:
    assert messages(alerts, interval) == sent
