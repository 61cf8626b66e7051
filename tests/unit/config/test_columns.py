"""Columns of any name: the settings that are kept with the state read back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Classification, Config
from exporter.state.provenance import restored

NAMES = ["Cost USD", "costUsd", "a.b", 'say "hi"', "co%st", "{}", "Kosten€", " ", "select", "a'b", "1st"]


def classification(name: str) -> Classification:
    quoted = '"' + name.replace('"', '""') + '"'
    return Config.model_validate({"columns": {"log": {"cost": quoted}}}).classification()


@pytest.mark.parametrize("name", NAMES)
def test_settings_with_a_column_of_any_name_carry_over(name: str) -> None:
    wanted = classification(name)
    kept = restored(wanted.model_dump(mode="json"))
    assert kept == wanted
    assert kept is not None
    assert kept.fingerprint == wanted.fingerprint
    assert kept.log_columns.cost == name


CHARACTERS = st.characters(min_codepoint=32, max_codepoint=0x2FF, categories=["L", "N", "P"])


@given(st.text(CHARACTERS, min_size=1, max_size=20))
def test_settings_with_any_printable_column_carry_over(name: str) -> None:
    wanted = classification(name)
    assert restored(wanted.model_dump(mode="json")) == wanted


@pytest.mark.parametrize("name", ["Cost USD", "a.b", "co%st"])
def test_settings_that_an_earlier_version_wrote_without_quotes_carry_over(name: str) -> None:
    dump = classification(name).model_dump(mode="json")
    dump["log_columns"]["cost"] = name
    kept = restored(dump)
    assert kept is not None
    assert kept.log_columns.cost == name
