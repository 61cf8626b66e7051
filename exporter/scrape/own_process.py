"""The exporter's own process: what prometheus_client says of one, in fewer looks at /proc."""

import contextlib
import gc
import math
import os
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import PLATFORM_COLLECTOR, PROCESS_COLLECTOR

from exporter.catalog import STANDARD, Metric
from exporter.unchanged import kept_while_the_same

Values = Mapping[tuple[str, ...], float]
"""The values of a metric by its labels."""

_BY_NAME = {metric.name: metric for metric in STANDARD}
_MEMORY, _FILES = Path("/proc/self/statm"), Path("/proc/self/fd")
_GARBAGE = {
    "python_gc_objects_collected_total": "collected",
    "python_gc_objects_uncollectable_total": "uncollectable",
    "python_gc_collections_total": "collections",
}
"""The keys of `gc.get_stats`, by metric."""


def own_process() -> Iterator[tuple[Metric, Values]]:
    """`catalog.STANDARD`, each with its values by label, from the system and from the interpreter.

    What the system does not tell is absent.
    """
    yield from _constant()
    for name, value in _changing():
        yield _BY_NAME[name], {(): value}
    generations = gc.get_stats()
    for name, key in _GARBAGE.items():
        yield _BY_NAME[name], {(str(number),): found[key] for number, found in enumerate(generations)}


@kept_while_the_same
def _constant() -> list[tuple[Metric, Values]]:
    """Those that stay the same as long as the process lives."""
    families = [family for each in (PLATFORM_COLLECTOR, PROCESS_COLLECTOR) for family in each.collect()]
    return [
        (metric, {tuple(each.labels[name] for name in metric.labels): each.value for each in family.samples})
        for family in families
        if (metric := _BY_NAME[family.samples[0].name]).name in ("python_info", "process_start_time_seconds")
    ]


def _changing() -> Iterator[tuple[str, float]]:
    with contextlib.suppress(OSError):
        size, resident, *_ = _MEMORY.read_text().split()
        yield "process_virtual_memory_bytes", int(size) * resource.getpagesize()
        yield "process_resident_memory_bytes", int(resident) * resource.getpagesize()
    yield "process_cpu_seconds_total", time.process_time()
    with contextlib.suppress(OSError):
        yield "process_open_fds", len(os.listdir(_FILES))  # noqa: PTH208 - a path for each would take longer
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield "process_max_fds", math.inf if most == resource.RLIM_INFINITY else most
