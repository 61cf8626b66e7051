"""How many random inputs a costly test draws: in each run a few, and in `make soak` many."""

import os

_TIMES = int(os.environ.get("THOROUGH", "1"))

IS_THOROUGH = _TIMES > 1
"""Whether this is `make soak`."""


def examples(number: int) -> int:
    """So many in each run, and `THOROUGH` times as many where that is set."""
    return number * _TIMES
