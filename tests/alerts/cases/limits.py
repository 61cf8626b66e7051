"""Limits and timeouts of the configuration: known while an exporter is reached, and kept while nobody reads the log."""

from collections.abc import Iterator

from exporter import catalog
from exporter.catalog import Metric
from tests.alerts.cases.common import watched
from tests.support.scenario import MINUTE, Replica, Scenario, Value, steps


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _kept("job:ai_daily_limit_usd:min_carried", catalog.DAILY_LIMIT)
    yield _kept("job_group:ai_group_daily_limit_usd:min_carried", catalog.GROUP_DAILY_LIMIT, group="g1")
    yield _kept("job_model:ai_model_timeout_seconds:min_carried", catalog.MODEL_TIMEOUT, model="m1")


def _kept(record: str, metric: Metric, **labels: str) -> Scenario:
    scenario = Scenario(f"{record} keeps what was known while nobody reads the log, and no longer", 60 * MINUTE)
    spans = [(20 * MINUTE, 40 * MINUTE)]
    # gone while it is read, while it is not, before it was not, and never, with an exporter that is down
    jobs: tuple[tuple[Replica, Value], ...] = (
        (Replica(job="read"), steps((0, 45), (10 * MINUTE, None))),
        (Replica(job="unread", unread=spans), steps((0, 50), (30 * MINUTE, None))),
        (Replica(job="before", unread=spans), steps((0, 55), (10 * MINUTE, None))),
        (Replica(job="down", down=spans), 60),
        # two of them differ
        (Replica("a:9867", job="differ"), 80),
        (Replica("b:9867", job="differ"), 70),
    )
    for replica, value in jobs:
        scenario.show(watched(scenario, replica), metric, value, **labels)

    def known(**values: float) -> dict[str, float]:
        more = "".join(f', {name}="{value}"' for name, value in labels.items())
        return {f'{record}{{job="{job}"{more}}}': value for job, value in values.items()}

    scenario.figure(5 * MINUTE, record, known(read=45, before=55, unread=50, down=60, differ=70))
    for minute in (15, 25, 35):
        scenario.figure(minute * MINUTE, record, known(unread=50, down=60, differ=70))
    scenario.figure(45 * MINUTE, record, known(down=60, differ=70))
    return scenario
