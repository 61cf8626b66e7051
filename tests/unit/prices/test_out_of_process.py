"""Prices looked up in another process: the same as in this one, and none of the data's memory here."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.prices.out_of_process import LookupAbortedError, PriceLookup, published_out_of_process
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


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


# the first letters of these mean something to `pickle`
@pytest.mark.parametrize("said", ["Welcome", "I am here", "Loading", "F", "VV", "N.", "X9999999", "(dp0", "cos", "."])
def test_what_the_start_of_another_process_prints_is_no_answer(tmp_path: Path, said: str) -> None:
    lookup = PriceLookup(script(tmp_path / "talkative", f"echo '{said}'\nexec {sys.executable} \"$@\""))
    for model in ("gpt-4o", "unknown", "o3"):
        assert lookup.listing(model) == published(model)
    assert lookup.pid is not None
    lookup.close()


@pytest.mark.parametrize("said", ["I am here", "\\200", "X9999999", "\\200\\004\\225\\377"])
def test_what_is_no_whole_answer_is_not_waited_for_for_ever(tmp_path: Path, said: str) -> None:
    program = script(tmp_path / "babbling", f"printf '{said}' | tee /dev/stderr\nprintf '{said}' >&0\nexec sleep 600")
    lookup = PriceLookup(program, patience=0.2)
    for model in ("gpt-4o", "unknown"):
        assert lookup.listing(model) == published(model)
    assert lookup.pid is None


def test_it_answers_where_many_files_are_open(lookup: PriceLookup) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with contextlib.ExitStack() as opened:
            for _ in range(1100):
                opened.enter_context(open(os.devnull))  # noqa: PTH123
            assert lookup.listing("gpt-4o") == published("gpt-4o")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_no_thread_can_be_started_this_process_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    lookup = PriceLookup()
    assert lookup.listing("gpt-4o") == published("gpt-4o")
    assert lookup.pid is None


@pytest.mark.parametrize("end", [PriceLookup.close, PriceLookup.abort])
def test_who_waits_for_an_answer_is_not_waited_for(tmp_path: Path, end: Callable[[PriceLookup], None]) -> None:
    asked = tmp_path / "asked"
    lookup = PriceLookup(script(tmp_path / "silent", f"echo >> {asked}\nexec sleep 600"), patience=600)
    raised: list[type[Exception]] = []

    def ask() -> None:
        try:
            lookup.listing("gpt-4o")
        except LookupAbortedError as error:
            raised.append(type(error))

    waiting = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    wait_for(asked.exists)
    end(lookup)
    for thread in waiting:
        thread.join(60)
        assert not thread.is_alive()
    assert raised
    lookup.close()
    assert lookup.pid is None


def test_after_an_end_the_next_question_is_answered(lookup: PriceLookup) -> None:
    lookup.abort()
    assert lookup.listing("gpt-4o") == published("gpt-4o")
    lookup.abort()
    assert lookup.listing("o3") == published("o3")
