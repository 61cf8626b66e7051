"""Who is shown: chosen again once anything has changed that it depends on, whichever thread has brought it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.config import Config
from exporter.database.budgets import Budgets
from exporter.database.conninfo import ConnInfo
from exporter.database.login import Login
from exporter.database.session import Identity
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Bucket, SkippedValue, SpanRead, TimeRange
from exporter.ledger.users import Budget
from exporter.scrape.collector import Collector
from exporter.scrape.ledger_service import LedgerService
from exporter.state.store import Store
from exporter.state_change_log import StateChangeLog

NOW = 1_700_000_040 // MINUTE * MINUTE
NONE, LIMITED = Budgets({}, None, {}), Budgets({"ann": Budget(daily_limit=1)}, None, {})


def test_budgets_that_come_while_users_are_chosen_are_chosen_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config.model_validate({"users": {"top": 0}})
    with Store(tmp_path) as store:
        ledger = LedgerService(store, config)
        begun = ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30).progress.position
        ledger.record(SpanRead(TimeRange(begun, NOW - 3 * MINUTE), NOW + 30, {}, sequence=1))
        spent = {NOW: Bucket(users={"ann": 5})}
        ledger.record(SpanRead(TimeRange(NOW - 3 * MINUTE, NOW + 31), NOW + 30, spent, sequence=2))
        collector = Collector(config, Login(ConnInfo({})), ledger, StateChangeLog())
        collector._current = True
        collector._take_budgets(NONE)
        note_skips = ledger.note_skips

        def overtaken(skips: Mapping[SkippedValue, int]) -> None:
            # the thread that reads the tables puts them here, and waits until nobody chooses
            collector._budgets = LIMITED
            note_skips(skips)

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "note_skips", overtaken)
            assert collector._try_to_choose_users()
        collector._follow()
        assert ledger.present is not None
        assert set(ledger.present.shown_users) == {"ann"}
        ledger.close()
