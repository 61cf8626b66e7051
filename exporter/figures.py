"""The figures that are held for each slice of time and series: one line each, from which all else about them follows.

The query of the log sums their columns, the ledger adds them up, state files hold them, and `/metrics` shows them.
To add one, append a line, with its metric in `exporter.catalog` and its column in `exporter.database.layout`. An older
state is carried over: the figure starts at 0 and counts from then on.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Self

from exporter import catalog
from exporter.catalog import USD, Metric


class Figure(IntEnum):
    """A figure, which is its position in an aggregate; its name in lower case is the one that state files have.

    `metric` is the counter that shows it, `scale` how many ledger units make one unit of that metric. `column` is the
    role of the column that it is the sum of: values from 0 to `upper_bound` (in the column's unit) are used, rounded to
    `decimals` where the scale is not 1. Costs below 0 are `REFUNDS`.
    """

    metric: Metric | None
    column: str | None
    scale: int
    upper_bound: int
    decimals: int

    def __new__(cls, metric: Metric | None, column: str | None = None, scale: int = 1, upper_bound: int = 0) -> Self:
        """The next position."""
        figure = int.__new__(cls, len(cls.__members__))
        figure._value_ = int(figure)
        figure.metric, figure.column, figure.scale, figure.upper_bound = metric, column, scale, upper_bound
        figure.decimals = len(str(scale)) - 1
        return figure

    ROWS = (None,)
    CALLS = (catalog.OPERATIONS,)
    COST = (catalog.COST, "cost", USD, 1_000_000)
    INPUT_TOKENS = (catalog.INPUT_TOKENS, "input_tokens", 1, 1_000_000_000)
    OUTPUT_TOKENS = (catalog.OUTPUT_TOKENS, "output_tokens", 1, 1_000_000_000)
    OVER_TIMEOUT = (catalog.OVER_TIMEOUT,)
    FALLBACKS = (catalog.FALLBACKS,)
    UNPRICED = (catalog.UNPRICED,)
    CACHED_TOKENS = (catalog.CACHED_TOKENS, "cached_tokens", 1, 1_000_000_000)
    EXPECTED_COST = (catalog.EXPECTED_COST, None, USD)
    CHECKED_COST = (catalog.CHECKED_COST, None, USD)
    CHECKED = (catalog.CHECKED,)
    PRICE_UNKNOWN = (catalog.PRICE_UNKNOWN,)
    REFUNDS = (catalog.REFUNDS, None, USD)


SUMMED = {figure.column: figure for figure in Figure if figure.column is not None}
"""The figures that are sums of a column, by its role."""

DURATIONS: Mapping[str, Metric] = {"latency": catalog.LATENCY, "time_to_first_token": catalog.TIME_TO_FIRST_TOKEN}
"""The histograms that are held beside the figures, by the role of the column, which is in milliseconds."""

AT_MERGE = (
    Figure.UNPRICED,
    Figure.EXPECTED_COST,
    Figure.CHECKED_COST,
    Figure.CHECKED,
    Figure.PRICE_UNKNOWN,
)
"""The figures that are counted at the merge into a quarter-hour, when costs have had time to arrive."""
