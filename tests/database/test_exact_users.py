"""Users that are hidden: budgets are judged all the same, and no id is in the state, whatever the mode was before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.profiles import USERS
from exporter.pseudonyms import Pseudonyms
from tests.support.harness import Log, Running, assert_shows_what_sql_says, running
from tests.support.kept import files_with

KEY = b"a key of sixteen bytes"
IDS = [str(user) for user in USERS]


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        for user in USERS[:3]:
            log.execute(
                "INSERT INTO cost_budgets (user_id, daily_limit_usd, warning_threshold_usd) VALUES (%s, 10, 4)", user
            )
        yield log


def settings(mode: str, folder: Path) -> dict[str, Any]:
    key = folder / "users.key"
    key.write_bytes(KEY)
    return {"mode": mode, "hmac_key_file": str(key)} if mode == "hmac" else {"mode": mode}


def assert_users(exporter: Running, log: Log, mode: str) -> None:
    scraped = exporter.wait_up()
    assert_shows_what_sql_says(scraped, log)
    states = {
        state: scraped.one("ai_budget_users", state=state) for state in ("ok", "warning", "exceeded", "unlimited")
    }
    assert states == {"ok": 1, "warning": 1, "exceeded": 1, "unlimited": 1}
    label = Pseudonyms(KEY if mode == "hmac" else None).of
    spend = {} if mode == "off" else {label(IDS[0]): 3.5, label(IDS[1]): 4.5, label(IDS[2]): 10.5, label(IDS[3]): 1}
    found = {
        dict(labels)["user"]: value
        for (_, labels), value in scraped.having("ai_user_spend_today_usd").items()
        if dict(labels)["user"] != "other"
    }
    assert found == spend
    limits = {dict(labels)["user"] for _, labels in scraped.having("ai_user_daily_limit_usd")}
    assert limits == set(list(spend)[:3])


@pytest.mark.parametrize(
    "modes",
    [("hmac",), ("off",), ("id", "hmac", "hmac"), ("id", "off", "off"), ("hmac", "id", "off", "hmac"), ("off", "id")],
    ids=" ".join,
)
def test_budgets_and_spend_are_right_whatever_the_mode_was(log: Log, tmp_path: Path, modes: tuple[str, ...]) -> None:
    state, before = tmp_path / "state", None
    for number, mode in enumerate(modes):
        with running(log.url, state, after=before, users=settings(mode, tmp_path)) as exporter:
            exporter.wait_ready()
            if number == 0:
                for user, cost in zip(USERS[:4], ("3.5", "4.5", "10.5", "1"), strict=True):
                    log.insert(1, user=user, cost=cost)
            assert_users(exporter, log, mode)
        if mode != "id":
            assert files_with(state, *IDS) == set()
        before = exporter
