"""What the expressions of panels answer for given series, as promtool evaluates them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.promtool import promtool

Series = Sequence[tuple[str, str]]
"""Series with their values in promtool's notation, a sample a minute."""


def evaluated(series: Series, at: str, expected: Sequence[tuple[str, Mapping[str, float]]]) -> None:
    """Assert what expressions answer at a time: the values by labels, `{}` for none."""
    given: dict[str, Any] = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series],
                "promql_expr_test": [
                    {
                        # what is extrapolated differs in the last digits
                        "expr": f"round({expr}, 0.000001)",
                        "eval_time": at,
                        "exp_samples": [{"labels": labels, "value": value} for labels, value in answer.items()],
                    }
                    for expr, answer in expected
                ],
            }
        ],
    }
    code, said = promtool().run("test", "rules", "/dev/stdin", given=json.dumps(given))
    assert code == 0, said
