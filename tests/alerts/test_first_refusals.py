"""The first messages that an Alertmanager's channel ever refuses, scraped at other seconds than rules are evaluated."""

from pathlib import Path

import pytest
import yaml

from tests.support.generate import GENERATED
from tests.support.promtool import VERSIONS

STEP = 16
"""Seconds between scrapes: no window begins at a sample, so Prometheus has to estimate what lies beyond."""


def _counter(name: str, before: int, made_good: int = 0) -> dict[str, str]:
    """Nothing for ten minutes, then one a minute, and at the end so many at once."""
    values = [before + max(0, second // 60 - 9) for second in range(0, 1800, STEP)]
    values += [values[-1] + made_good] * 40
    of = 'job="alertmanager",instance="a:9093",integration="discord",receiver_name="ops"'
    reason = ',reason="other"' if "failed" in name else ""
    return {"series": f"{name}{{{of}{reason}}}", "values": " ".join(str(value) for value in values)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("before", [0, 1, 7, 500])
def test_they_are_told_after_six_minutes_however_many_were_accepted_before(
    tmp_path: Path, version: str, before: int
) -> None:
    series = [
        _counter("alertmanager_notifications_failed_total", 0),
        _counter("alertmanager_notifications_total", before, made_good=1),
    ]
    firing = 'count(ALERTS{alertname="notifications_failing",alertstate="firing",receiver_name="ops"}) or vector(0)'
    looks = [(15, 0), (18, 1), (29, 1), (32, 0)]
    written = {
        "rule_files": [str(GENERATED)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": series,
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
                    for minute, value in looks
                ],
            }
        ],
    }
    file = tmp_path / "first.yml"
    file.write_text(yaml.safe_dump(written))
    code, said = VERSIONS[version]().run("test", "rules", str(file))
    assert code == 0, said
