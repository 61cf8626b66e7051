"""The catalog keeps the field's naming rules."""

import pytest

from exporter.catalog import ALL, Metric


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
