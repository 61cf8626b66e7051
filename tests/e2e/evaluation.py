"""`python -m tests.e2e.evaluation`: what ranks and contributors cost Prometheus.

A real Prometheus evaluates the generated rules while many users are over their limit, and the same rules without what
only ranks and contributors need. Each figure is the least of several evaluations; only ratios mean something on another
machine.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from alert_rules.model.conventions import JOB
from tests.e2e.storm import Exporter, exposition
from tests.support.generate import generated_groups
from tests.support.hunting import Rules, name_of
from tests.support.programs import Prometheus, fetch, prometheus_with, wait_for

SIZES = (60, 1000)
EVALUATIONS = 8
LEFT_OUT = ("rank", "contributors")

Rule = dict[str, Any]


def rules(*, whole: bool) -> list[Rule]:
    """The generated rules, firing at once, with or without ranks, contributors and the records that only these need."""
    every: list[Rule] = [rule for group in generated_groups() for rule in group["rules"]]
    for rule in every:
        if "alert" in rule:
            rule["for"] = "0s"
            kept = {name: text for name, text in rule["annotations"].items() if whole or name not in LEFT_OUT}
            rule["annotations"] = kept
    if whole:
        return every
    needed = Rules([{"rules": every}]).of(name_of(rule) for rule in every if "alert" in rule)
    return [dict(rule) for rule in needed]


def measure(users: int, chosen: Sequence[Rule]) -> float:
    """The least seconds of an evaluation while so many users are over their limit."""
    exporter = Exporter()
    exporter.text = exposition(storm=False, joined=False, users=users)
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder) / "prometheus"
            files.mkdir()
            (files / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": list(chosen)}]}))
            config = {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "5s"},
                "rule_files": ["rules.yml"],
                "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}],
            }
            (files / "prometheus.yml").write_text(yaml.safe_dump(config))
            with prometheus_with(files) as server:
                wait_for(lambda: server.query("count(ai_operation_log_up == 1)"), 60)
                exporter.text = exposition(storm=True, joined=False, users=users)
                # each user fires budget_exceeded and two steps of budget_used
                firing = f'count(ALERTS{{alertstate="firing"}}) >= {3 * users}'
                wait_for(lambda: server.query(firing), 60)
                return min(_evaluations(server))
    finally:
        exporter.stop()


def _evaluations(server: Prometheus) -> Iterator[float]:
    """The seconds of each evaluation, as each is new; the first may have begun before all was there."""
    seen: set[str] = set()
    while len(seen) <= EVALUATIONS:
        group = json.loads(fetch(f"{server.url}/api/v1/rules?type=record")[1])["data"]["groups"][0]
        if group["lastEvaluation"] not in seen:
            if seen:
                yield group["evaluationTime"]
            seen.add(group["lastEvaluation"])
        time.sleep(0.5)


def main() -> None:
    """Print the figures and their ratios."""
    for users in SIZES:
        plain, whole = (measure(users, rules(whole=whole)) for whole in (False, True))
        print(
            f"{users:>5,} users: {1000 * plain:7.1f} ms, {1000 * whole:7.1f} ms, {whole / plain:.2f} to 1", flush=True
        )


if __name__ == "__main__":
    main()
