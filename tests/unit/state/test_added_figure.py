"""A figure is one line more: the query, the ledger and the state follow, and an older state goes on where it was."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest

from exporter.config import Config
from exporter.figures import Figure
from exporter.scrape.ledger_service import LedgerService
from exporter.state.store import FILE_NAME, Store
from tests.support.kept import write_first_version


@pytest.fixture(scope="module", params=["version 0.1", "bounds not named", "this version"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the version with one figure more found in a state of an older one."""
    folder = write_first_version(tmp_path_factory.mktemp("added") / "state")
    if request.param == "this version":
        LedgerService(Store(folder), Config.model_validate({"horizon": "3h", "max_series": 5})).close()
    elif request.param == "bounds not named":
        with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
            db.execute("UPDATE meta SET value = json_remove(value, '$.bounds') WHERE name = 'classification'")
    program = [sys.executable, "-m", "tests.support.added_figure", str(folder)]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_it_is_in_its_place_and_starts_at_zero(found: dict[str, Any]) -> None:
    assert found["figures"] == [*(figure.name for figure in Figure), "IMAGINED_TOKENS"]
    assert found["kept"]["chat/m1"][Figure.CALLS] == 9
    assert {total[found["added"]] for total in found["kept"].values()} == {0}


def test_its_column_is_read_by_the_new_settings_alone(found: dict[str, Any]) -> None:
    assert found["must"]
    assert found["queries"] == {"old": True, "new": True}
    assert found["reads"] == {"old": False, "new": True}


def test_what_was_counted_before_stays_as_it_is_and_new_rows_count(found: dict[str, Any]) -> None:
    assert found["taken_up"] == found["kept"]
    risen = {
        name: [after - before for before, after in zip(found["taken_up"][name], total, strict=True)]
        for name, total in found["counted"].items()
    }
    rise = risen.pop("chat/m1")
    assert {name for name, by in risen.items() if any(by)} == set()
    assert {position: by for position, by in enumerate(rise) if by} == {
        Figure.ROWS: 1,
        Figure.CALLS: 1,
        found["added"]: 7,
    }
