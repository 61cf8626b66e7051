"""The exporter as it is put together, without a database behind it: what its pages tell to whom."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.config import Config
from exporter.process.serving import Running, serving
from tests.support.web import basic, fetch, hashed

URL = "postgresql://owner@127.0.0.77:1/secret_database"
NAMES = ("owner", "127.0.0.77", "secret_database", "state-of-ours", "calls_table")
RIGHT = basic("al", "right")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{al: {hashed('right')}}}\n")
    settings = {
        "database": {"url": URL},
        "tables": {"log": "calls_table"},
        "state_dir": str(tmp_path / "state-of-ours"),
        "web": {"listen_address": "127.0.0.1:0", "config_file": str(web)},
        "scrape": {"timeout": "1s"},
    }
    with serving(Config.model_validate(settings), {}) as running:
        yield running


def test_the_landing_page_names_the_database_to_those_who_may_scrape(running: Running) -> None:
    page = fetch(running.server.port, "/", Authorization=RIGHT).text
    assert all(name in page for name in NAMES)


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/absent"])
def test_nobody_else_learns_what_is_behind_it(running: Running, path: str) -> None:
    for header in ("", basic("al", "wrong"), "Basic !"):
        answer = fetch(running.server.port, path, Authorization=header)
        assert answer.status == {"/-/healthy": 200, "/-/ready": 503}.get(path, 401)
        told = answer.text + str(answer.headers)
        assert not [name for name in NAMES if name in told]


def test_refused_logins_are_counted_in_the_metrics(running: Running) -> None:
    def counts() -> dict[str, float]:
        page = fetch(running.server.port, Authorization=RIGHT).text
        found = re.findall(r'^ai_exporter_web_logins_refused_total\{reason="(\w+)"\} (\S+)$', page, re.MULTILINE)
        return {reason: float(value) for reason, value in found}

    assert counts() == {"missing": 0, "wrong": 0, "busy": 0}
    for header in ("", basic("al", "wrong"), basic("bo", "wrong")):
        assert fetch(running.server.port, "/", Authorization=header).status == 401
    assert counts() == {"missing": 1, "wrong": 2, "busy": 0}
