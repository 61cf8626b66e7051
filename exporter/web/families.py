"""What a page shows: a metric, and a value for each combination of its labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client.metrics_core import Metric as LibraryFamily
from prometheus_client.samples import Sample

from exporter.catalog import Metric

Labels = tuple[str, ...]


class Part(NamedTuple):
    """One of the samples that a value is shown as: what its name ends in, and labels beside those of the value."""

    suffix: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Shape:
    """How a value becomes samples: `numbers` makes one for each of the `parts`."""

    parts: Sequence[Part]
    numbers: Callable[[Any], Sequence[float]]


SINGLE = Shape([Part()], lambda value: (value,))
"""A value that is the number itself."""


@dataclass(frozen=True)
class Family:
    """A metric with a value for each combination of its labels' values, in their order.

    Where values are equal, so are their samples. Nothing of a family changes, so what was made of it can be used again.
    """

    metric: Metric
    values: Mapping[Any, Any]
    shape: Shape = SINGLE

    @property
    def samples(self) -> list[Sample]:
        """All samples, as the library has them."""
        return [sample for labels, value in self.values.items() for sample in self.samples_of(labels, value)]

    def samples_of(self, labels: Labels, value: Any) -> list[Sample]:
        """The samples of one of the values."""
        named = dict(zip(self._label_names, labels, strict=True))
        numbers = zip(self.shape.parts, self.shape.numbers(value), strict=True)
        return [
            # there is no -0.0: values that are equal look alike
            Sample(self.metric.name + part.suffix, named | dict(part.labels), float(number) + 0.0)
            for part, number in numbers
        ]

    def as_library(self, samples: Iterable[Sample]) -> LibraryFamily:
        """A family of the library for this metric, with other samples. It names counters without their `_total`."""
        metric = self.metric
        name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        family = LibraryFamily(name, metric.help, metric.kind, metric.unit)
        family.samples = list(samples)
        return family

    @property
    def _label_names(self) -> tuple[str, ...]:
        """Those of the value's labels; those that a part adds come after them."""
        own = {name for part in self.shape.parts for name, _ in part.labels}
        return tuple(name for name in self.metric.labels if name not in own)
