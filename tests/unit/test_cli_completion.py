"""`completion`: scripts that shells accept, and what they offer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from exporter.cli import COMMANDS, main


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_the_script_is_one_that_the_shell_accepts(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    for command in COMMANDS:
        assert command.name in text
    if shell == "tcsh" or shutil.which(shell) is None:
        return
    file = tmp_path / shell
    file.write_text(text)
    checked = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["oper"], {"operations"}),
        (["operations", "--fo"], {"--follow"}),
        (["rules", "v"], {"validate"}),
        (["serve", "--log.format", ""], {"logfmt", "json"}),
    ],
)
def test_bash_completes_commands_options_and_values(
    words: list[str], offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "completion"
    file.write_text(script("bash", capsys))
    given = " ".join(f"'{word}'" for word in words)
    body = f"""source {file}
COMP_WORDS=(ai-operation-exporter {given}); COMP_CWORD={len(words)}
_shtab_ai_operation_exporter ai-operation-exporter '{words[-1]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    said = subprocess.run(["bash", "-c", body], capture_output=True, text=True, check=True)
    assert set(said.stdout.split()) == offered


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "cmd.exe"])
    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err
