"""The exporter's own process, as prometheus_client sees it."""

from collections.abc import Iterator, Mapping

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR

from exporter.catalog import STANDARD, Metric

_BY_NAME = {metric.name: metric for metric in STANDARD}


def own_process() -> Iterator[tuple[Metric, Mapping[tuple[str, ...], float]]]:
    """`catalog.STANDARD`, each with its values by label, from /proc and from the interpreter.

    What the system does not tell is absent.
    """
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        for family in collector.collect():
            metric = _BY_NAME[family.samples[0].name]
            yield metric, {tuple(each.labels[name] for name in metric.labels): each.value for each in family.samples}
