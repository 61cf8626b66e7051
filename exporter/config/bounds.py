"""The most that a value can plausibly be: what is beyond is an error in its row."""

from collections.abc import Mapping

UPPER_BOUNDS: Mapping[str, int] = {
    "cost": 1_000_000,
    "input_tokens": 1_000_000_000,
    "output_tokens": 1_000_000_000,
    "latency": 86_400_000,
}
"""By measure of one call, in USD, tokens and milliseconds; a value beyond is reported and not used."""

LARGEST_AMOUNT = 10**12
"""In USD: the largest limit, warning threshold and recorded spend of a day that is used."""
