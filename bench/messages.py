"""`python -m bench.messages`: how many messages an hour a group of flapping alerts makes, before and now.

Nine operations have calls that fail at random, each at its own steady rate near the threshold of `error_rate > 5%`. The
alerts are those of `bench.certainty`; all of them are one group, as Alertmanager makes it. It has a turn every
`interval`, and a turn is a message where somebody has begun to fire since the last one, or has ended. Every run is the
same.
"""

from collections.abc import Sequence
from random import Random

from bench.certainty import AFTER, BEFORE, HOUR, MINUTE, Rule, simulated, table

HOURS = 50
OPERATIONS = 9
WAIT = 30
"""Seconds before a group's first message."""

CASES = (("2%", (0.02,)), ("3 to 5%", (0.03, 0.04, 0.05)), ("4 to 7%", (0.04, 0.055, 0.07)))
CALLS = (20, 50, 200)


def messages(alerts: Sequence[Sequence[bool]], interval: int) -> int:
    """The messages of one group; each alert is whether it fires, by the minute."""
    told: set[int] = set()
    sent, turn = 0, None
    for minute, states in enumerate(zip(*alerts, strict=True)):
        firing = {number for number, fires in enumerate(states) if fires}
        if turn is None and firing:
            turn = minute * MINUTE + WAIT
        while turn is not None and turn < (minute + 1) * MINUTE:
            if firing - told or told - firing:
                sent += 1
            told = firing
            # a group without alerts is forgotten, and the next one waits anew
            turn = turn + interval if firing else None
    return sent


def alerts(rule: Rule, rates: Sequence[float], calls: float) -> list[list[bool]]:
    """Each operation's alert, by the minute; the first hour only fills the windows."""
    found = []
    for number in range(OPERATIONS):
        rate = rates[number % len(rates)]
        random = Random(f"messages {rate} {calls} {number}")  # noqa: S311 - the same at every run, and no secret
        found.append(rule.firing(simulated(random, calls, [((HOURS + 1) * HOUR, rate)]))[HOUR // MINUTE :])
    return found


def main() -> None:
    """Print the table."""
    rows: list[tuple[str, ...]] = [
        ("True rates", "Calls per window", "Before", "Certain, turns of 5 min", "Now: certain, turns of 1 min")
    ]
    for name, rates in CASES:
        for calls in CALLS:
            plain, certain = alerts(BEFORE, rates, calls), alerts(AFTER, rates, calls)
            counts = messages(plain, 300), messages(certain, 300), messages(certain, 60)
            rows.append((name, f"{calls}", *(f"{count / HOURS:.2f}" for count in counts)))
    print(table(iter(rows)))


if __name__ == "__main__":
    main()
