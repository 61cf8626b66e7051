"""The report of `check` and `verify`: lines for people, JSON for scripts, the same exit code for both."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli import main
from exporter.findings import Finding, Level, report
from tests.support import ROOT
from tests.support.terminals import Terminal

FINDINGS = st.lists(st.builds(Finding, st.text(), st.sampled_from(Level), st.text(), st.text()), max_size=8)


@given(FINDINGS)
def test_json_says_what_the_lines_say_and_ends_alike(findings: list[Finding]) -> None:
    as_lines, as_json = io.StringIO(), io.StringIO()
    code = report(iter(findings), as_lines)
    assert report(iter(findings), as_json, as_json=True) == code
    assert code == (1 if any(each.level is Level.FAIL for each in findings) else 0)
    found = json.loads(as_json.getvalue())
    assert set(found) == {"checks", "summary"}
    assert [(each["name"], each["message"], each["hint"]) for each in found["checks"]] == [
        (each.name, each.detail, each.hint or None) for each in findings
    ]
    assert [each["status"] for each in found["checks"]] == [each.level.name.lower() for each in findings]
    assert list(found["summary"]) == ["ok", "warn", "fail", "skipped"]
    assert sum(found["summary"].values()) == len(findings)
    passed, look, failed, skipped = re.findall(r"\d+", as_lines.getvalue().splitlines()[-1])
    assert [*map(int, (passed, look, failed, skipped))] == list(found["summary"].values())


def test_a_terminal_sees_the_same_lines_and_a_file_no_control_sequence() -> None:
    findings = [Finding("one [bold]", Level.OK, "x" * 200), Finding("two", Level.FAIL, ":smile: bad", "fix [it]")]
    terminal, file = Terminal(), io.StringIO()
    assert report(iter(findings), terminal) == report(iter(findings), file) == 1
    assert "\x1b" not in file.getvalue()
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", terminal.getvalue())
    for line in file.getvalue().splitlines():
        assert line in seen


@pytest.mark.parametrize("command", ["check", "verify --grafana-url="])
def test_the_commands_print_json(
    command: str,
    no_settings_from_outside: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: object,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:S3CRETWORD@127.0.0.1:1/none")
    monkeypatch.chdir(str(tmp_path))
    places = [f"--{part}-url=http://127.0.0.1:1" for part in ("exporter", "prometheus", "alertmanager")]
    words = command.split() + (places if command.startswith("verify") else [])
    assert main([*words, "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["summary"]["fail"] > 0
    page = (ROOT / "docs" / "command-line.md").read_text()
    shape = json.loads(page.split("```json")[1].split("```")[0])
    assert found["summary"].keys() == shape["summary"].keys()
    assert all(each.keys() == shape["checks"][0].keys() for each in found["checks"])
    assert all(each["hint"] for each in found["checks"] if each["status"] in ("warn", "fail"))
    assert "S3CRETWORD" not in said.out + said.err
