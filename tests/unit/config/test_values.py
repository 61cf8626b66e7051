"""Durations, names, zones, and the fingerprint of what classifies rows."""

import struct
import zoneinfo
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from exporter.config import Classification, Config, QualifiedName
from exporter.config.bounds import FIRST_UPPER_BOUNDS
from exporter.config.types import format_duration, parse_duration

PARTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Cn", "Co", "Zl", "Zp", "Zs"]) | st.just(" "),
    min_size=1,
    max_size=12,
).filter(lambda part: len(part.encode()) <= 63 and part.isprintable())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("5m", 300), ("48h", 172_800), ("2d", 172_800), (3, 3), (0.25, 0.25), ("7", 7)],
)
def test_durations_are_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1 h", "-1s", "1h30m", "1w", "1e3s", "٣s", True, None, float("nan"), -1])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError, match="write a duration like 500ms"):
        parse_duration(text)


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_written_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_a_duration_below_a_millisecond_reads_back() -> None:
    assert parse_duration(format_duration(0.0000025)) == 0.0000025


def test_durations_are_written_short() -> None:
    assert [format_duration(s) for s in (0, 0.5, 90, 3600, 172_800)] == ["0s", "500ms", "90s", "1h", "2d"]


@given(st.none() | PARTS, PARTS)
def test_a_written_table_name_reads_back(schema: str | None, name: str) -> None:
    table = QualifiedName(schema, name)
    assert QualifiedName.parse(str(table)) == table


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b"', '""', " a", "a\n", "x" * 64, '"a"b'])
def test_what_is_no_table_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a table's name"):
        QualifiedName.parse(text)


def test_the_case_of_a_name_is_kept() -> None:
    assert QualifiedName.parse('App."AiLog"').parts == ("App", "AiLog")


@pytest.fixture
def odd_zone(tmp_path: Path) -> Iterator[str]:
    """A time zone seven minutes ahead of UTC."""
    header = b"TZif" + b"\0" * 16 + struct.pack(">6L", 0, 0, 0, 0, 1, 4)
    (tmp_path / "Odd").write_bytes(header + struct.pack(">lBB", 420, 0, 0) + b"ODD\0")
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    yield "Odd"
    zoneinfo.reset_tzpath()


def test_days_cannot_be_cut_in_a_zone_off_the_quarter_hours(odd_zone: str) -> None:
    with pytest.raises(ValidationError, match="whole quarter-hours"):
        Config(budget_time_zone=odd_zone)
    assert Config(log_time_zone=odd_zone).log_time_zone == odd_zone


def test_days_can_be_cut_in_every_zone_there_is() -> None:
    zones = files("tzdata").joinpath("zones").read_text().split()
    assert len(zones) > 400
    for zone in zones:
        assert Config(budget_time_zone=zone).budget_time_zone == zone


def test_the_open_window_outlasts_the_slowest_model() -> None:
    assert Config().open_window_seconds == 180.0
    assert Config.model_validate({"models": {"timeouts": {"slow": "10m"}}}).open_window_seconds == 660.0
    assert Config.model_validate({"models": {"timeouts": {"slow": "1h"}}}).open_window_seconds == 3600.0


def test_a_path_may_be_given_as_one() -> None:
    assert Config(state_dir=Path("elsewhere")).state_dir == Path("elsewhere")


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Config().max_series = 3


CHANGES: list[dict[str, object]] = [
    {"models": {"aliases": {"a": "b"}}},
    {"models": {"free": ["a"]}},
    {"models": {"timeouts": {"a": "3s"}}},
    {"models": {"default_timeout": "90s"}},
    {"error_classes": []},
    {"max_series": 3},
    {"log_time_zone": "Europe/Berlin"},
    {"budget_time_zone": "Europe/Berlin"},
    {"columns": {"log": {"cost": "price"}}},
    {"tables": {"log": "other.log"}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_classifies_changes_the_fingerprint(change: dict[str, object]) -> None:
    changed = Config.model_validate(change).classification()
    assert changed.fingerprint != Config().classification().fingerprint


@pytest.mark.parametrize("change", CHANGES)
def test_a_kept_classification_is_restored(change: dict[str, object]) -> None:
    kept = Config.model_validate(change).classification()
    restored = Classification.model_validate_json(kept.model_dump_json())
    assert restored == kept
    assert restored.fingerprint == kept.fingerprint


def test_other_bounds_change_the_fingerprint_and_a_state_that_names_none_was_kept_with_these() -> None:
    kept = Config().classification()
    assert kept.model_copy(update={"bounds": {**kept.bounds, "cost": 50}}).fingerprint != kept.fingerprint
    unnamed = kept.model_dump(mode="json")
    del unnamed["bounds"]
    # of columns that came later it has none
    first = {measure: most for measure, most in kept.bounds.items() if measure in FIRST_UPPER_BOUNDS}
    assert Classification.model_validate(unnamed).fingerprint == kept.model_copy(update={"bounds": first}).fingerprint


def test_what_does_not_classify_leaves_the_fingerprint() -> None:
    other = Config.model_validate({"web": {"listen_address": ":1"}, "daily_limit_usd": 3, "zero_hold": 0})
    assert other.classification().fingerprint == Config().classification().fingerprint


def test_the_order_of_names_does_not_matter_and_that_of_classes_does() -> None:
    def fingerprint(**settings: object) -> str:
        return Config.model_validate(settings).classification().fingerprint

    one, two = {"class": "auth", "patterns": ["a"]}, {"class": "network", "patterns": ["a"]}
    assert fingerprint(models={"free": ["a", "b"]}) == fingerprint(models={"free": ["b", "a", "b"]})
    assert fingerprint(models={"timeouts": {"a": 1, "b": 2}}) == fingerprint(
        models={"timeouts": {"b": "2s", "a": "1s"}}
    )
    assert fingerprint(error_classes=[one, two]) != fingerprint(error_classes=[two, one])


@pytest.mark.parametrize(
    ("currencies", "hint"),
    [
        ({"USD": 0.5}, "leave USD out"),
        ({" us$ ": 1}, "leave US\\$ out"),
        ({"rmb": 0.14, "RMB": 0.15}, "write 'RMB' once"),
        ({"EUR ": 1, "EUR": 1}, "write .EUR. once"),
        ({"A\0": 1}, "write a currency as the log has it"),
        ({"A\x1b": 1}, "write a currency as the log has it"),
    ],
)
def test_a_currency_has_one_rate_and_the_dollar_none(currencies: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        Config.model_validate({"columns": {"log": {"currency": "c", "currencies": currencies}}})


@pytest.mark.parametrize("names", [("a", " a"), ("a", "a\u200b"), ("b b", "b b "), ("\ufeffc", "c")])
def test_a_name_that_has_settings_is_written_once(names: tuple[str, str]) -> None:
    price = [{"input": 1, "output": 1}]
    for settings in (
        {"columns": {"log": {"group": "g"}}, "groups": {"daily_limits": dict.fromkeys(names, 5)}},
        {"prices": dict.fromkeys(names, price)},
        {"models": {"timeouts": dict.fromkeys(names, 5)}},
    ):
        with pytest.raises(ValidationError, match="once: blanks around a name do not count"):
            Config.model_validate(settings)
