"""Names with blanks and control characters around or in them: cleaned once, and before anything is looked up."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.config import Config
from exporter.reports.recent import Wanted, run_operations
from tests.support.harness import Log, fixed_layout, running, wait_for

SPELLINGS = {
    "plain": "{}",
    "blank after": "{} ",
    "newline after": "{}\n",
    "no-break space before": "\u00a0{}",
    "em space after": "{}\u2003",
    "tab and return around": "\t{}\r\n",
    "line separator after": "{}\u2028",
    "control character before": "\x01{}",
    "byte order mark before": "\ufeff{}",
    "zero-width blank after": "{}\u200b",
    "marks of direction and blanks around": " \u200e{} \u200f ",
}
spelled = pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)

MODELS = {
    "aliases": {"gpt-4": "gpt-four", "loose-free": "gift"},
    "timeouts": {"gpt-four": "30s", "slow": "1h"},
    "free": ["gift", "present"],
}
layout = fixed_layout("success")


@spelled
def test_a_model_has_its_timeout_alias_and_price_however_it_is_spelled(log: Log, tmp_path: Path, spelling: str) -> None:
    hours_ago = 7200
    log.insert(hours_ago, model=spelling.format("gpt-4"), latency_ms=29_999)
    log.insert(hours_ago, model=spelling.format("gpt-4"), latency_ms=30_000)
    log.insert(hours_ago, model=spelling.format("gpt-four"), latency_ms=50_000)
    log.insert(hours_ago, model=spelling.format("slow"), latency_ms=130_000)
    log.insert(hours_ago, model=spelling.format("unlisted"), latency_ms=130_000)
    for model in ("present", "gift", "loose-free", "gpt-4"):
        log.insert(hours_ago, model=spelling.format(model), cost=None, latency_ms=10)
    with running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=1), models=MODELS) as exporter:
        seen = exporter.wait_ready().wait_up()
        over = {
            model: seen.total("ai_operations_over_timeout_total", model=model)
            for model in seen.labels("ai_operations_total", "model")
        }
        assert over == {"gpt-four": 2, "slow": 0, "unlisted": 1, "gift": 0, "present": 0}
        assert seen.total("ai_operations_unpriced_total") == 1
        assert seen.total("ai_operations_unpriced_total", model="gpt-four") == 1
        assert seen.total("ai_operations_total", model="gpt-four") == 4


@spelled
def test_a_route_is_that_of_its_operation_and_its_models_however_they_are_spelled(
    log: Log, tmp_path: Path, spelling: str
) -> None:
    log.execute(
        "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model, fallback_model, enabled)"
        " VALUES (%s, 'x', %s, %s, true)",
        spelling.format("email-compose"),
        spelling.format("gpt-4"),
        spelling.format("gift"),
    )
    with running(log.url, tmp_path, models=MODELS) as exporter:
        exporter.wait_ready().wait_up()
        log.insert(operation="email-compose", model="gpt-four")
        log.insert(operation="email-compose", model="gift", cost="0.5")
        seen = exporter.scrape()
        assert seen.total("ai_operation_fallbacks_total") == 1
        assert seen.total("ai_operation_fallbacks_total", operation="email-compose", model="gift") == 1
        route = {"operation": "email-compose", "primary_model": "gpt-four", "fallback_model": "gift"}
        assert seen.one("ai_model_route_info", **route) == 1


INVISIBLE = {
    "empty": "",
    "blanks": "   ",
    "newline": "\n",
    "no-break space": "\u00a0",
    "em space": "\u2003",
    "\\x01": "\x01",
    "zero-width blank": "\u200b",
    "byte order mark and blank": "\ufeff ",
}


@pytest.mark.parametrize("operation_id", [*INVISIBLE.values(), None], ids=[*INVISIBLE, "NULL"])
def test_an_operation_whose_id_cannot_be_seen_goes_by_its_type(
    log: Log, tmp_path: Path, operation_id: str | None
) -> None:
    log.insert(30, operation="email-compose", cost="0.25")
    log.execute("UPDATE ai_operation_log SET operation_id = %s", operation_id)
    log.insert(30, operation="分類", cost="0.5")
    with running(log.url, tmp_path) as exporter:
        seen = exporter.wait_ready().wait_up()
        assert seen.micro("ai_spend_today_usd", operation="email-compose") == 250_000
        assert seen.micro("ai_spend_today_usd", operation="分類") == 500_000
        assert seen.micro("ai_spend_today_usd") == 750_000


@spelled
def test_recent_calls_are_found_by_the_name_that_is_shown(log: Log, spelling: str) -> None:
    for number in range(30):
        log.insert(100 + number, operation="email-compose-more", model="gpt-4o", cost="9")
    log.insert(500, operation=spelling.format("email-compose"), model=spelling.format("gpt-4"), cost="0.5")
    for wanted in (
        Wanted(operation="email-compose", limit=3),
        Wanted(model="gpt-four", limit=3),
        Wanted(model="gpt-four", operation="email-compose"),
    ):
        out = io.StringIO()
        config = Config.model_validate({"database": {"url": log.url}, "models": MODELS})
        assert run_operations(config, {}, wanted, out, as_json=True) == 0
        (call,) = json.loads(out.getvalue())
        assert (call["operation_id"], call["model_used"], call["cost_usd"]) == ("email-compose", "gpt-four", 0.5)


def insert_loosely(log: Log, seconds_ago: int, user: str | None = None) -> None:
    """A call of 40 s and a dollar whose operation is blank, and whose model has a blank behind it."""
    log.execute(
        "INSERT INTO ai_operation_log"
        " (created_at, operation_type, operation_id, model_used, cost_usd, latency_ms, success, user_id)"
        " VALUES ((now() - %s * interval '1 second') AT TIME ZONE 'UTC', 'chat', '  ', 'gpt-4 ', 1, 40000, true, %s)",
        seconds_ago,
        user,
    )


def test_a_state_of_labels_that_were_cleaned_late_counts_no_call_twice(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"aliases": {"gpt-4": "gpt-four"}, "timeouts": {"gpt-four": "30s"}}
    for seconds_ago in (5, 600, 7200):
        insert_loosely(log, seconds_ago)
    monkeypatch.setattr("exporter.config.models.NAMES", 1)
    with running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=1), models=models) as earlier:
        seen = earlier.wait_ready().wait_up()
        assert seen.labels("ai_operations_total", "operation") == ["unknown"]
        assert seen.labels("ai_operations_total", "model") == ["gpt-4"]
        assert seen.total("ai_operations_total") == 3
        assert seen.total("ai_operations_over_timeout_total") == 0
    monkeypatch.undo()
    with running(log.url, tmp_path, models=models, after=earlier) as exporter:
        exporter.wait_in_force()
        insert_loosely(log, 0)
        exporter.wait_up()
        wait_for(
            lambda: exporter.scrape().total("ai_operations_total", operation="chat", model="gpt-four") > 0,
            lambda: str(exporter.last),
        )
        seen = exporter.scrape()
        assert seen.total("ai_operations_total") == 4
        assert seen.total("ai_operations_over_timeout_total") == 1
        assert seen.total("ai_operations_total", operation="unknown") == 3


@pytest.mark.parametrize("user", ["other", "unattributed", " other "])
def test_a_user_named_like_the_rest_is_renamed_without_being_counted_again(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE text")
    insert_loosely(log, 5, user)
    monkeypatch.setattr("exporter.config.models.NAMES", 1)
    with running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=1)) as earlier:
        seen = earlier.wait_ready().wait_up()
        assert seen.total("ai_operation_cost_usd_total") == 1
    monkeypatch.undo()
    with running(log.url, tmp_path, after=earlier) as exporter:
        seen = exporter.wait_in_force()
        assert seen.total("ai_operation_cost_usd_total") == 1
        assert seen.total("ai_user_spend_today_usd", user=f'"{user.strip()}"') == 1
