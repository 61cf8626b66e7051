"""The most that one call can plausibly have: what is beyond is a mistake in its row."""

from collections.abc import Mapping

MOST: Mapping[str, int] = {
    "cost": 1_000_000,
    "input_tokens": 1_000_000_000,
    "output_tokens": 1_000_000_000,
    "latency": 86_400_000,
}
"""By measure, in USD, tokens and milliseconds; a value beyond is reported and not used."""
