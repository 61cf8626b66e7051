"""Pages are encoded byte for byte as the library encodes them, whatever was encoded before."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.web.encoding import RememberingEncoder
from exporter.web.negotiate import choose_format

FORMATS = (
    "text/plain",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.floats() | st.integers(-(10**18), 10**18).map(float)
LABELS = st.lists(st.tuples(TEXT, TEXT), max_size=4, unique=True)


@st.composite
def pages(draw: st.DrawFn) -> list[Metric]:
    """A few families with names in common from page to page, and everything else different."""
    families: list[Metric] = []
    for name in draw(st.lists(st.sampled_from(["ai_a", "ai_b", "ai_c", "ai_d"]), unique=True)):
        help_text, labels = draw(st.sampled_from(["Help.", "Help \\ of\n two lines."])), draw(LABELS)
        maker = draw(st.sampled_from([CounterMetricFamily, GaugeMetricFamily]))
        family = maker(name, help_text, labels=("operation", "model"))
        for pair in labels:
            family.add_metric(pair, draw(VALUES), timestamp=draw(st.none() | st.just(5.0)))
        families.append(family)
    histogram = HistogramMetricFamily("ai_latency_seconds", "Help.", labels=("model",), unit="seconds")
    for model in draw(st.lists(TEXT, max_size=2, unique=True)):
        histogram.add_metric([model], [("0.5", draw(VALUES)), ("+Inf", draw(VALUES))], draw(VALUES))
    plain = GaugeMetricFamily("ai_up", "Help.", draw(VALUES))
    return [*families, histogram, plain]


@pytest.mark.parametrize("accept", FORMATS)
@given(st.lists(pages(), min_size=1, max_size=4))
def test_a_page_is_the_librarys_whatever_was_before(accept: str, given_pages: list[list[Metric]]) -> None:
    library, _ = choose_format(accept)
    encode = RememberingEncoder(library)
    for page in given_pages:
        assert encode(page) == library(SimpleNamespace(collect=lambda page=page: page))


def test_what_is_gone_from_the_page_is_forgotten() -> None:
    encode = RememberingEncoder(choose_format(None)[0])
    for number in range(100):
        family = GaugeMetricFamily("ai_up", "Help.", labels=("model",))
        family.add_metric([f"m{number}"], 1.0)
        encode([family])
    assert len(encode._known) == 2
