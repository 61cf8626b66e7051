"""The catalog keeps the field's naming rules."""

import pytest
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR

from exporter.catalog import ALL, STANDARD, Metric


@pytest.mark.parametrize("metric", ALL.values(), ids=ALL)
def test_names_and_labels_follow_the_conventions(metric: Metric) -> None:
    assert metric.name.startswith("ai_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    base = metric.name.removesuffix("_total")
    if metric.unit:
        assert base.endswith(f"_{metric.unit}")
    assert not {"le", "job", "instance", "quantile"} & set(metric.labels)
    assert metric.help.endswith(".")
    assert metric.help[0].isupper()


def test_every_metric_is_listed_once() -> None:
    assert len(ALL) > 40
    assert all(name == metric.name for name, metric in ALL.items())


def test_the_metrics_of_the_process_are_those_that_the_library_makes() -> None:
    made = [family for each in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR) for family in each.collect()]
    found = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type, family.documentation): {
            name for sample in family.samples for name in sample.labels
        }
        for family in made
    }
    assert found == {(each.name, each.kind, each.help): set(each.labels) for each in STANDARD}
    assert not {each.name for each in STANDARD} & set(ALL)
