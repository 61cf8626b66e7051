"""Files of alerts that make no sense: each is refused with the messages beside it, in the order of its lines."""

from pathlib import Path

import pytest

from alert_rules.compiler.compiling import compile_alerts
from alert_rules.language.loading import parse_alerts
from alert_rules.model.errors import RulesError

FILES = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


def refusal(content: bytes, file: str) -> RulesError:
    with pytest.raises(RulesError) as raised:
        compile_alerts(parse_alerts(content, file), ("discord",))
    return raised.value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_its_messages(file: Path) -> None:
    expected = file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert list(refusal(file.read_bytes(), file.name).problems) == expected


def test_the_folder_holds_enough_and_nothing_unread() -> None:
    assert len(FILES) >= 25
    assert {file.stem for file in FILES} == {file.stem for file in FILES[0].parent.glob("*.txt")}


def test_the_url_of_a_webhook_is_never_repeated() -> None:
    file = FILES[0].parent / "webhook_url.yaml"
    assert b"SECRETTOKEN" in file.read_bytes()
    assert "SECRETTOKEN" not in str(refusal(file.read_bytes(), file.name))
