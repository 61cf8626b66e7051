"""Prices looked up in another process: the same as in this one, and none of the data's memory here."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.prices.out_of_process import PriceLookup, published_out_of_process
from exporter.prices.published import published
from tests.support.programs import wait_for

NAMES = [
    "gpt-4o",
    "openai/gpt-4o",
    "claude-opus-4.5",
    "deepseek-chat",
    "gemini-2.5-pro",
    "unknown",
    "",
    "a\nb",
    "\ud800",
]


@pytest.fixture
def lookup() -> Iterator[PriceLookup]:
    lookup = PriceLookup(idle=600)
    yield lookup
    lookup.close()


def is_running(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("model", NAMES, ids=range(len(NAMES)))
def test_the_prices_are_those_of_the_data(model: str) -> None:
    assert published_out_of_process(model) == published(model)


@settings(max_examples=200, deadline=None)
@given(model=st.text() | st.sampled_from(NAMES).flatmap(lambda name: st.text(max_size=3).map(lambda end: name + end)))
def test_any_name_has_the_same_answer(model: str) -> None:
    assert published_out_of_process(model) == published(model)


def test_the_data_never_gets_into_the_process_that_asks() -> None:
    script = (
        "import sys; from exporter.prices.out_of_process import published_out_of_process as known;"
        "assert known('gpt-4o') is not None and known('nobody-knows') is None;"
        "assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_one_process_answers_all_questions(lookup: PriceLookup) -> None:
    lookup.listing("gpt-4o")
    first = lookup.pid
    lookup.listing("o3")
    assert lookup.pid == first
    assert is_running(first)


def test_a_process_that_was_killed_is_replaced(lookup: PriceLookup) -> None:
    assert lookup.listing("gpt-4o") == published("gpt-4o")
    first = lookup.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not is_running(first))
    assert lookup.listing("o3") == published("o3")
    assert lookup.pid != first


def test_a_process_that_nobody_asks_ends_and_leaves_no_zombie() -> None:
    lookup = PriceLookup(idle=0.05)
    assert lookup.listing("gpt-4o") == published("gpt-4o")
    first = lookup.pid
    wait_for(lambda: not is_running(first))
    assert lookup.listing("o3") == published("o3")
    lookup.close()


def test_closing_ends_the_process(lookup: PriceLookup) -> None:
    lookup.listing("gpt-4o")
    first = lookup.pid
    lookup.close()
    assert not is_running(first)
    assert lookup.pid is None
    assert lookup.listing("gpt-4o") == published("gpt-4o")


def test_the_process_ends_with_the_one_that_asks() -> None:
    script = (
        "import sys; from exporter.prices.out_of_process import PriceLookup; lookup = PriceLookup(idle=600);"
        "lookup.listing('gpt-4o'); print(lookup.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        other = int(asking.stdout.readline())
        assert is_running(other)
        asking.kill()
    wait_for(lambda: not is_running(other))


@pytest.mark.parametrize("python", ["", "/nowhere/python", "/bin/true", "/bin/cat"])
def test_where_no_other_process_can_answer_this_one_does(python: str) -> None:
    lookup = PriceLookup(python)
    assert lookup.listing("gpt-4o") == published("gpt-4o")
    assert lookup.listing("unknown") is None
    assert lookup.pid is None


def test_a_process_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o700)
    lookup = PriceLookup(str(silent), patience=0.05)
    assert lookup.listing("gpt-4o") == published("gpt-4o")
    assert lookup.pid is None
