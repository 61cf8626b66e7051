"""Fixtures: real PostgreSQL servers, and fresh databases on them."""

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import pytest
from hypothesis import settings

from exporter.demo.schema import LAYOUTS, Layout
from tests.support.memory import MemoryFolder, use_memory
from tests.support.servers import (
    DockerServer,
    EmbeddedServer,
    PostgresServer,
    run_docker_postgres,
    run_embedded_postgres,
)
from tests.support.thinning import Case, on_the_diagonal
from tests.support.tracing import untraced

# argparse asks for a translation of each of its words: in this language it looks for no files
os.environ["LANGUAGE"] = "C"

# a busy machine may take any time
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

EVERY_LAYOUT = bool(os.environ.get("EVERY_LAYOUT"))
"""Whether each case of a test runs on each layout of the log, which takes a fifth longer."""

_TRACERS = pytest.StashKey[tuple[Any, Any]]()
"""Coverage's tracer, and its like for threads that start."""
_MEMORY = pytest.StashKey[MemoryFolder | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Put temporary files into memory; the processes of xdist inherit where."""
    if not hasattr(config, "workerinput"):
        config.stash[_MEMORY] = use_memory()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the files of a run that failed."""
    if folder := session.config.stash.get(_MEMORY, None):
        folder.kept = exitstatus != 0


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back."""
    if folder := config.stash.get(_MEMORY, None):
        folder.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage among tests while they are made, nor ever after: there are ten thousand, and they all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Trace what is imported, for coverage, and not how pytest makes the tests of a module."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    # what is raised is raised again when pytest asks for it
    with contextlib.suppress(Exception, pytest.skip.Exception):
        assert collector.obj
    with untraced():
        return (yield)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let one process run all tests that share what their module makes once: each of several would make it anew."""
    if _shares_with_its_module(item) and item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _shares_with_its_module(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    return any(definitions[-1].scope == "module" for definitions in fixtures)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is tested by others, and measure coverage where it adds something."""
    left_out = {item for item in items if _is_crossed(item)}
    if not EVERY_LAYOUT:
        left_out |= _thinned([item for item in items if item not in left_out])
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
    _measure_once(items)


def _is_crossed(item: pytest.Item) -> bool:
    """Whether a test of both servers and both layouts runs with these two elsewhere.

    It runs on each server, and on each layout, but not on each server with each layout: what depends on the version of
    the server does not depend on the columns of a table. Some tests take one layout to the server in the container, and
    some the other.
    """
    server, layout = _parameter(item, "postgres"), _parameter(item, "layout")
    if server is None or layout is None:
        return False
    straight = crc32(item.nodeid.partition("[")[0].encode()) % 2 == 0
    return straight != ((server == "docker") == (layout == "status"))


def _thinned(items: list[pytest.Item]) -> set[pytest.Item]:
    """The cases that run on the other layout here."""
    cases = {
        item: Case(_test(item), _case(item), layout)
        for item in items
        if (layout := _parameter(item, "layout")) in LAYOUTS
    }
    run = on_the_diagonal(list(cases.values()))
    return {item for item, case in cases.items() if case not in run}


def _test(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _case(item: pytest.Item) -> str:
    """What tells the cases of a test apart but for the layout: a test of both servers has a case for each."""
    words = item.name.partition("[")[2].partition("]")[0].split("-")
    return "-".join(word for word in words if word not in LAYOUTS)


def _measure_once(items: list[pytest.Item]) -> None:
    """Measure no coverage where it adds nothing: the tracer makes a test take two or three times as long.

    Tests of random inputs do not count, since what is covered must not rest on chance. What runs against the server in
    a container runs against the embedded one too. Of a slow test, or one with a database, the first case counts; of
    another, each case that has a value which no case before it has.
    """
    seen: set[tuple[str, int, str]] = set()
    for item in items:
        if item.get_closest_marker("no_cover"):
            raise pytest.UsageError(f"{item.nodeid}: no_cover starts another tracer; write unmeasured")
        values = _values(item)
        is_repeated = values <= seen or (_takes_long(item) and (_test(item), 0, "") in seen)
        if item.get_closest_marker("hypothesis") or _parameter(item, "postgres") == "docker" or is_repeated:
            item.add_marker(pytest.mark.unmeasured)
        seen |= values


def _values(item: pytest.Item) -> set[tuple[str, int, str]]:
    """The test that an item is a case of, and which value it takes from each list of its values."""
    ids = item.callspec._idlist if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    return {(_test(item), place, str(name)) for place, name in enumerate(("", *ids))}


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Trace what tests and fixtures run, and not pytest itself.

    The tracer has to be set in the hooks themselves, as here: it keeps a stack of the frames that it has seen.
    """
    session.config.stash[_TRACERS] = tracers = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        threading.settrace(tracers[1])
        sys.settrace(tracers[0])


def _traced(item: pytest.Item) -> Iterator[None]:
    function, in_threads = item.config.stash[_TRACERS]
    threading.settrace(in_threads)
    sys.settrace(function)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        threading.settrace(None)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Trace fixtures as they begin."""
    return (yield from _traced(item))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Trace the test, unless it measures no coverage."""
    return (yield) if item.get_closest_marker("unmeasured") else (yield from _traced(item))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Trace fixtures as they end."""
    return (yield from _traced(item))


def _takes_long(item: pytest.Item) -> bool:
    needs_database = isinstance(item, pytest.Function) and "embedded_postgres" in item.fixturenames
    return needs_database or item.get_closest_marker("slow") is not None


def _parameter(item: pytest.Item, name: str) -> object:
    return item.callspec.params.get(name) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None


@pytest.fixture
def report_figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a line at the end of the run, whichever process the test ran in."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have reported."""
    figures = [
        text
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, text in report.user_properties
        if name == "figure" and report.when == "call"
    ]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(str(text))


@pytest.fixture
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the settings of a database out of the environment."""
    for name in [name for name in os.environ if name.startswith(("PG", "DATABASE_URL", "RECOMMENDATIONS_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[EmbeddedServer]:
    """The embedded server: for tests that need any one PostgreSQL."""
    with run_embedded_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def docker_postgres() -> Iterator[DockerServer]:
    """PostgreSQL 17 in a container."""
    with run_docker_postgres() as server:
        yield server


@pytest.fixture(scope="session", params=["embedded", "docker"])
def postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """Each of the two servers in turn."""
    server: PostgresServer = request.getfixturevalue(f"{request.param}_postgres")
    return server


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    """Each of the two layouts of the log's table in turn."""
    chosen: Layout = request.param
    return chosen


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """Superuser's URL of a fresh empty database, on each of the two servers."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def embedded_database(embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """Superuser's URL of a fresh empty database on the embedded server."""
    url = embedded_postgres.create_database()
    yield url
    embedded_postgres.drop_database(url)
