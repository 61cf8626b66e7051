"""Time zones: settings, options and states are checked alike."""

import struct
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dashboards.command import build
from dashboards.settings import Settings
from exporter.config import Config
from exporter.errors import UserError
from exporter.reconcile.run import Wanted, zone_of
from exporter.state.provenance import restored
from exporter.zones import find_zone, zone_hint
from tests.support.grafana import SETTINGS

NONE = ["Europe/Berln", "Berlin", "America", "../x", "/etc/passwd", "", "a\0b", "\udcff", "x" * 300, "zone.tab"]


@pytest.fixture
def folder_of_zones(tmp_path: Path) -> Iterator[Path]:
    """Where time zones are looked for first."""
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    yield tmp_path
    zoneinfo.reset_tzpath()


@pytest.fixture
def odd_zone(folder_of_zones: Path) -> str:
    """A time zone seven minutes ahead of UTC."""
    header = b"TZif" + b"\0" * 16 + struct.pack(">6L", 0, 0, 0, 0, 1, 4)
    (folder_of_zones / "Odd").write_bytes(header + struct.pack(">lBB", 420, 0, 0) + b"ODD\0")
    return "Odd"


def dashboards(zone: str, tmp_path: Path) -> None:
    build(Settings(SETTINGS.alerts, zone=zone), tmp_path / "built", check=False, out=(tmp_path / "out").open("w"))


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_zone_is_refused_with_one_hint(name: str, tmp_path: Path) -> None:
    hint = zone_hint(name)
    for setting in ("log_time_zone", "budget_time_zone"):
        if name:
            with pytest.raises(ValidationError, match=hint.replace("?", r"\?")):
                Config.model_validate({setting: name})
    with pytest.raises(UserError) as caught:
        dashboards(name, tmp_path)
    assert hint in str(caught.value)
    assert not (tmp_path / "built").exists()
    with pytest.raises(UserError) as caught:
        zone_of(Wanted(time_zone=name), Config())
    assert hint in str(caught.value)


def test_a_near_name_is_suggested() -> None:
    assert zone_hint("Europe/Berln") == "write an IANA time zone; did you mean Europe/Berlin?"
    assert zone_hint("nowhere at all") == "write an IANA time zone, like UTC or Europe/Berlin"


def test_days_of_dashboards_are_cut_only_where_those_of_budgets_are(odd_zone: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="whole quarter-hours"):
        Config(budget_time_zone=odd_zone)
    with pytest.raises(UserError, match="whole quarter-hours"):
        dashboards(odd_zone, tmp_path)
    assert zone_of(Wanted(time_zone=odd_zone), Config()).key == odd_zone


def test_a_file_that_is_no_zone_is_none(folder_of_zones: Path) -> None:
    (folder_of_zones / "Cut").write_bytes(b"TZ")
    (folder_of_zones / "Folder").mkdir()
    (folder_of_zones / "Unreadable").symlink_to("Unreadable")
    assert [find_zone(name) for name in ("Cut", "Folder", "Unreadable")] == [None, None, None]


@pytest.mark.parametrize("setting", ["log_time_zone", "budget_time_zone"])
@pytest.mark.parametrize("name", ["Europe/Berln", "America", "", "a\0b"])
def test_a_state_that_was_kept_by_a_zone_unknown_here_is_read_anew(setting: str, name: str) -> None:
    kept: dict[str, Any] = Config().classification().model_dump(mode="json")
    assert restored(kept) == Config().classification()
    assert restored(kept | {setting: name}) is None
