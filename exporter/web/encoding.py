"""Encode metrics as prometheus_client does, and remember what does not change: names, labels and help.

Almost all of the library's time goes into escaping the same labels for each scrape. So the text of a sample up to its
value is taken from the library once, and kept while the sample is there.
"""

import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

Encoder = Callable[[Any], bytes]
"""One of the library's: from a registry to a page."""

_Key = tuple[Any, ...]
_number: Callable[[float], str] = floatToGoString
_APART = ("_created", "_gsum", "_gcount")
"""Ends of the names of samples that the text format puts at the end of their family."""


class RememberingEncoder:
    """Encodes families as one of the library's encoders does, byte for byte. For any thread."""

    def __init__(self, encode: Encoder) -> None:
        self._encode = encode
        self._end = encode(SimpleNamespace(collect=list)).decode()  # of a page without families
        self._lock = threading.Lock()
        self._known: dict[_Key, str] = {}

    def __call__(self, families: Iterable[Metric]) -> bytes:
        """The page of these families."""
        with self._lock:
            known = self._known
        # only what is on this page is remembered for the next one
        used: dict[_Key, str] = {}
        page: list[str] = []
        for family in families:
            if any(map(_is_special, family.samples)):
                page.append(self._text(family, family.samples))
                continue
            head = family.name, family.type, family.documentation, family.unit
            text = used[head] = known.get(head) or self._text(family, [])
            page.append(text)
            for sample in family.samples:
                key = sample.name, *sample.labels, *sample.labels.values()
                text = used[key] = known.get(key) or self._before_the_value(family, sample)
                page.append(f"{text}{_number(sample.value)}\n")
        with self._lock:
            self._known = used
        return "".join([*page, self._end]).encode()

    def _before_the_value(self, family: Metric, sample: Sample) -> str:
        line = self._text(family, [sample._replace(value=0.0)]).split("\n")[-2]
        return line.removesuffix("0.0")

    def _text(self, family: Metric, samples: list[Sample]) -> str:
        """What the library makes of a family with these samples, without the end of a page."""
        part = Metric(family.name, family.documentation, family.type, family.unit)
        part.samples = samples
        return self._encode(SimpleNamespace(collect=lambda: [part])).decode().removesuffix(self._end)


def _is_special(sample: Sample) -> bool:
    return (
        sample.timestamp is not None
        or sample.exemplar is not None
        or sample.native_histogram is not None
        or sample.name.endswith(_APART)
    )
