"""Refused logins: each one counted, few of them logged."""

import logging
import re
from pathlib import Path

import pytest

from exporter.web.refusals import Reason, Refusals
from exporter.web.server import WebServer
from tests.support.web import QUICK, TIMEOUTS, App, basic, fetch, hashed


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "exporter.web.refusals")
    return caplog


def test_the_first_is_logged_at_once_and_the_rest_in_one_line(log: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for number in range(1000):
        refusals.note(Reason.WRONG, f"10.0.0.{number % 3}")
    for _ in range(501):
        refusals.note(Reason.BUSY, "10.0.0.1")
    assert log.messages == [
        "refused a login from 10.0.0.0: wrong name or password; more are summed up every minute",
        "refused a login from 10.0.0.1: not checked, too many at once; more are summed up every minute",
    ]
    refusals.summary()
    assert log.messages[2:] == [
        "refused 1499 more logins: 999 wrong name or password, 500 not checked, too many at once; 833 of them from"
        " 10.0.0.1"
    ]
    assert refusals.totals() == {"missing": 0, "wrong": 1000, "busy": 501}
    assert {record.levelno for record in log.records} == {logging.WARNING}


def test_after_a_quiet_minute_the_next_one_is_the_first_again(log: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    lines = []
    for count in (1, 0, 3, 2, 0, 0, 1):
        for _ in range(count):
            refusals.note(Reason.WRONG, "10.0.0.1")
        refusals.summary()
        lines.append([message.partition(" login")[0] for message in log.messages])
        log.clear()
    one, rest = "refused a", "refused {} more".format
    assert lines == [[one], [], [one, rest(2)], [rest(2)], [], [], [one]]
    assert refusals.totals()["wrong"] == 7


def test_a_browser_that_asks_without_a_password_is_no_warning(log: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for _ in range(3):
        refusals.note(Reason.MISSING, "10.0.0.1")
    refusals.summary()
    assert [record.levelno for record in log.records] == [logging.INFO] * 2


def test_many_addresses_take_little_memory_and_one_line(log: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for number in range(5000):
        refusals.note(Reason.WRONG, f"10.0.{number // 256}.{number % 256}")
    refusals.summary()
    assert len(log.messages) == 2
    assert max(map(len, log.messages)) < 200


def test_the_server_counts_and_logs_without_what_was_typed(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{al: {hashed('right')}}}\n")
    refusals = Refusals()
    server = WebServer(App(), "127.0.0.1:0", config, TIMEOUTS, QUICK, refusals)
    server.start()
    try:
        for header in (basic("hunter2", "hunter3"), basic("al", "hunter4"), "Basic hunter5", "Bearer hunter6"):
            assert fetch(server.port, "/", Authorization=header).status == 401
        assert fetch(server.port, Authorization=basic("al", "right")).status == 200
        assert fetch(server.port, "/-/ready").status == 200
        assert fetch(server.port).status == 401
    finally:
        server.stop()
    assert refusals.totals() == {"missing": 3, "wrong": 2, "busy": 0}
    # what is left is summed up at the end
    assert sum(int(number) for number in re.findall(r"refused (\d+) more", log.text)) + 2 == 5
    assert "hunter" not in log.text
    assert "127.0.0.1" in log.text
