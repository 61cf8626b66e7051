"""Configured prices: what is refused, and with which hint."""

from pathlib import Path

import pytest
import yaml

from exporter.config import ConfigError, load_config


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ({"input": -1, "output": 1}, "prices.m1[0].input"),
        ({"input": "0.0000001", "output": 1}, "six decimal places"),
        ({"input": float("nan"), "output": 1}, "prices.m1[0].input"),
        ({"input": True, "output": 1}, "prices.m1[0].input"),
        ({"input": 1}, "prices.m1[0].output"),
        ({"input": 1, "output": 1, "cashed": 1}, "did you mean cached?"),
        ({"input": 1, "output": 1, "valid_from": "tomorrow"}, "write a date or a time"),
        ({"input": 1, "output": 1, "valid_from": "2026-01-01T00:10"}, "on a quarter-hour"),
        ({"input": 1, "output": 1, "valid_from": 2026}, "write a date or a time"),
        ({"input": 1, "output": 1, "valid_from": "0001-01-01T00:00+01:00"}, "write a date or a time"),
        ({"input": 1, "output": 1, "source": " "}, "prices.m1[0].source"),
    ],
)
def test_a_price_that_is_none_is_refused(tmp_path: Path, entry: dict[str, object], hint: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"prices": {"m1": [entry]}}))
    with pytest.raises(ConfigError) as refused:
        load_config(path, {})
    assert hint in str(refused.value)


def test_prices_of_a_loose_name_or_twice_of_a_day_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    price = {"input": 1, "output": 1}
    path.write_text(yaml.safe_dump({"models": {"aliases": {"loose": "m1"}}, "prices": {"loose": [price]}}))
    with pytest.raises(ConfigError, match="write 'm1', the name in the log, instead of 'loose'"):
        load_config(path, {})
    days = [{**price, "valid_from": "2026-01-01"}, {**price, "valid_from": "2026-01-01T00:00Z"}]
    path.write_text(yaml.safe_dump({"prices": {"m1": days}}))
    with pytest.raises(ConfigError, match="write another valid_from"):
        load_config(path, {})
