"""SIGHUP: what has changed is taken up while the pages stay up, and what cannot be used is refused."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.programs import Program, fetch, running, total, wait_for

pytestmark = pytest.mark.slow

CONFIG = "zero_hold: 0s\n"
INSERT = (
    "INSERT INTO ai_operation_log (operation_type, model_used, cost_usd, success, created_at)"
    " VALUES ('chat', 'deepseek-v3.2', 0.25, true, now() AT TIME ZONE 'UTC')"
)
REFUSED = "configuration not applied, the old one stays"


@pytest.fixture
def program(log: psycopg.Connection[tuple[object, ...]], embedded_database: str, tmp_path: Path) -> Iterator[Program]:
    """The exporter, ready; its log goes to a file."""
    program = Program(embedded_database, tmp_path / "here" / "state", config=CONFIG)
    program.shell = f"exec 2>>{tmp_path / 'log'}"
    with running(program):
        log.execute(INSERT)
        wait_for(lambda: total(program.samples(), "ai_operations_total") == 1)
        yield program


@pytest.fixture
def logged(program: Program, tmp_path: Path) -> Callable[[], str]:
    return lambda: (tmp_path / "log").read_text()


def reload(program: Program, logged: Callable[[], str], text: str | None, answer: str) -> str:
    """Write another configuration, ask for it, and wait for an answer in the log; returns what was logged for it."""
    before = len(logged())
    if text is not None:
        program.config_file.write_text(text)
    program.process.send_signal(signal.SIGHUP)
    wait_for(lambda: answer in logged()[before:])
    return logged()[before:]


def test_a_changed_setting_is_taken_up_without_losing_anything(
    program: Program, logged: Callable[[], str], log: psycopg.Connection[tuple[object, ...]]
) -> None:
    pid = program.process.pid
    assert total(program.samples(), "ai_daily_limit_usd") == 0
    for number in (5, 7):
        log.execute(INSERT)
        reload(program, logged, f"{CONFIG}daily_limit_usd: {number}\n", "configuration applied")
        wait_for(lambda: fetch(f"{program.url}/-/ready")[0] == 200)
        assert total(program.samples(), "ai_daily_limit_usd") == number
    wait_for(lambda: total(program.samples(), "ai_operations_total") == 3)
    assert total(program.samples(), "ai_operation_cost_usd_total") == 0.75
    assert program.process.pid == pid
    assert program.process.poll() is None


def test_settings_that_classify_are_taken_up(program: Program, logged: Callable[[], str]) -> None:
    aliases = "models: {aliases: {deepseek-v3.2: deep}}\n"
    reload(program, logged, CONFIG + aliases, "configuration applied")
    wait_for(lambda: "the new settings are in force" in logged())
    wait_for(lambda: 'model="deep"' in program.text())


@pytest.mark.parametrize(
    "text",
    ["horizont: 24h\n", "zero_hold: [\n", "zero_hold: 60 parsecs\n", "users: {mode: hmac}\n", "\x00"],
    ids=["unknown", "yaml", "value", "key", "binary"],
)
def test_a_broken_configuration_is_refused_and_the_old_one_stays(
    program: Program, logged: Callable[[], str], text: str
) -> None:
    reload(program, logged, f"{CONFIG}daily_limit_usd: 5\n", "configuration applied")
    said = reload(program, logged, text, REFUSED)
    assert "config.yaml:" in said
    assert fetch(f"{program.url}/-/healthy")[0] == 200
    assert total(program.samples(), "ai_daily_limit_usd") == 5
    assert total(program.samples(), "ai_operations_total") == 1


def test_a_configuration_that_is_gone_is_refused(program: Program, logged: Callable[[], str]) -> None:
    program.config_file.unlink()
    reload(program, logged, None, REFUSED)
    assert total(program.samples(), "ai_operation_log_up") == 1


def test_nothing_is_done_where_nothing_has_changed(program: Program, logged: Callable[[], str]) -> None:
    reload(program, logged, f"# the same\n{CONFIG}", "nothing has changed")
    assert total(program.samples(), "ai_operation_log_up") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scrape", "scrape: {timeout: 20s}\n"),
        ("web", "web: {listen_address: '127.0.0.1:1', config_file: /nowhere.yml}\n"),
    ],
)
def test_what_takes_a_restart_is_named_and_the_rest_is_taken_up(
    program: Program, logged: Callable[[], str], name: str, text: str
) -> None:
    said = reload(program, logged, f"{CONFIG}daily_limit_usd: 5\n{text}", "configuration applied")
    assert f"{name} has changed: restart to apply it" in said
    assert total(program.samples(), "ai_daily_limit_usd") == 5


def test_no_scrape_fails_while_the_configuration_is_taken_up(program: Program, logged: Callable[[], str]) -> None:
    done = threading.Event()
    wrong: list[str] = []

    def scrape() -> None:
        while not done.is_set():
            try:
                samples = program.samples()
                if total(samples, "ai_operation_log_up") != 1 or total(samples, "ai_operations_total") != 1:
                    wrong.append(program.text())
            except (AssertionError, OSError) as error:
                wrong.append(repr(error))

    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    for scraper in scrapers:
        scraper.start()
    try:
        for number in range(1, 6):
            reload(program, logged, f"{CONFIG}daily_limit_usd: {number}\n", "configuration applied")
    finally:
        done.set()
        for scraper in scrapers:
            scraper.join()
    assert wrong == []


def test_a_burst_of_requests_and_a_stop_among_them_end_it_in_order(program: Program, logged: Callable[[], str]) -> None:
    for number in range(50):
        if number % 10 == 0:
            program.config_file.write_text(f"{CONFIG}daily_limit_usd: {number + 1}\n")
        program.process.send_signal(signal.SIGHUP)
    wait_for(lambda: total(program.samples(), "ai_daily_limit_usd") == 41)
    program.process.send_signal(signal.SIGHUP)
    program.process.send_signal(signal.SIGTERM)
    program.process.communicate(timeout=10)
    assert program.process.returncode == 0
    assert "level=error" not in logged()


def test_it_is_no_end_where_the_terminal_is_gone(program: Program, logged: Callable[[], str]) -> None:
    os.killpg(program.process.pid, signal.SIGHUP)
    wait_for(lambda: "nothing has changed" in logged())
    assert total(program.samples(), "ai_operation_log_up") == 1


def test_a_state_that_cannot_be_opened_again_is_waited_for(
    program: Program, logged: Callable[[], str], tmp_path: Path
) -> None:
    """The old configuration comes back as soon as it can."""
    state, aside = program.state_dir, tmp_path / "aside"
    state.rename(aside)
    state.write_text("no folder")
    program.config_file.write_text(f"{CONFIG}daily_limit_usd: 5\n")
    program.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "cannot start again" in logged())
    assert fetch(f"{program.url}/-/healthy")[0] == 503
    state.unlink()
    aside.rename(state)
    wait_for(lambda: "the old configuration is in force again" in logged())
    wait_for(lambda: fetch(f"{program.url}/-/ready")[0] == 200)
    assert total(program.samples(), "ai_operations_total") == 1
    reload(program, logged, None, "configuration applied")
    assert total(program.samples(), "ai_daily_limit_usd") == 5


TELLS_WHO_IS_ALIVE = """
import sys, weakref
from exporter.commands import serve
from exporter.process.service import Service
former, replace, spare = [], Service.replace, serve.spare_what_stays
def replaced(service, build):
    former.append(weakref.ref(service.exporter.ledger))
    replace(service, build)
def spared():
    spare()
    print("alive:", sum(ledger() is not None for ledger in former), "of", len(former), file=sys.stderr, flush=True)
Service.replace, serve.spare_what_stays = replaced, spared
"""


def test_what_was_replaced_does_not_stay_in_memory(
    log: psycopg.Connection[tuple[object, ...]], embedded_database: str, tmp_path: Path
) -> None:
    program = Program(embedded_database, tmp_path / "here" / "state", config=CONFIG)
    program.before, program.shell = TELLS_WHO_IS_ALIVE, f"exec 2>>{tmp_path / 'log'}"

    def logged() -> str:
        return (tmp_path / "log").read_text()

    with running(program):
        log.execute(INSERT)
        wait_for(lambda: total(program.samples(), "ai_operations_total") == 1)
        for number in (1, 2):
            reload(program, logged, f"{CONFIG}daily_limit_usd: {number}\n", f"of {number}")
        assert "alive: 0 of 2" in logged()
