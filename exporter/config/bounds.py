"""The most that a value can plausibly be: what is beyond is an error in its row."""

from collections.abc import Mapping

from exporter.figures import DURATIONS, SUMMED

UPPER_BOUNDS: Mapping[str, int] = {
    **{measure: figure.upper_bound for measure, figure in SUMMED.items()},
    **dict.fromkeys(DURATIONS, 86_400_000),
}
"""By measure of one call, in USD, tokens and milliseconds; a value beyond is reported and not used."""

FIRST_UPPER_BOUNDS: Mapping[str, int] = {
    "cost": 1_000_000,
    "input_tokens": 1_000_000_000,
    "output_tokens": 1_000_000_000,
    "latency": 86_400_000,
}
"""Those of the versions that did not name them in their states; they never change."""

LARGEST_AMOUNT = 10**12
"""In USD: the largest limit, warning threshold and recorded spend of a day that is used."""
