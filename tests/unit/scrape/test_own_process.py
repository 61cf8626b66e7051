"""What the exporter says of its own process is what prometheus_client says."""

import resource
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR

from exporter.catalog import STANDARD
from exporter.scrape import own_process

CHANGES = {"process_cpu_seconds_total", "process_virtual_memory_bytes", "process_resident_memory_bytes"}


def by_library() -> dict[str, Mapping[tuple[str, ...], float]]:
    labels = {metric.name: metric.labels for metric in STANDARD}
    families = [family for each in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR) for family in each.collect()]
    return {
        (name := family.samples[0].name): {
            tuple(each.labels[label] for label in labels[name]): each.value for each in family.samples
        }
        for family in families
    }


def ours() -> dict[str, Mapping[tuple[str, ...], float]]:
    return {metric.name: values for metric, values in own_process.own_process()}


def test_it_says_what_the_library_says() -> None:
    before, found, after = by_library(), ours(), by_library()
    assert before.keys() == found.keys() == {metric.name for metric in STANDARD}
    for name, values in found.items():
        if name in CHANGES or name.startswith("python_gc"):
            assert values.keys() == before[name].keys()
        else:
            assert values == before[name]
    # the library counts in hundredths of a second
    cpu = "process_cpu_seconds_total"
    assert before[cpu][()] - 0.02 <= found[cpu][()] <= after[cpu][()] + 0.02
    size = "process_virtual_memory_bytes"
    assert min(before[size][()], after[size][()]) / 2 <= found[size][()] <= 2 * max(before[size][()], after[size][()])
    for name in ("python_gc_collections_total", "python_gc_objects_collected_total"):
        for key, value in found[name].items():
            assert before[name][key] <= value <= after[name][key]


def test_the_limit_of_open_files_is_the_one_in_force() -> None:
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least - 1, most))
        assert ours()["process_max_fds"] == {(): least - 1}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))


def test_a_limit_of_infinity_has_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: infinite)
    assert ours()["process_max_fds"] == {(): float("inf")}


def test_what_a_system_does_not_tell_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_process, "_MEMORY", tmp_path / "none")
    monkeypatch.setattr(own_process, "_FILES", tmp_path / "none")
    absent = {"process_virtual_memory_bytes", "process_resident_memory_bytes", "process_open_fds"}
    assert ours().keys() == {metric.name for metric in STANDARD} - absent
