"""`sql`: each script on its own, for the tables of a configuration or a source."""

from pathlib import Path

import pytest

from exporter.cli import main
from exporter.config.sources import SOURCES
from tests.support import ROOT

FILES = ROOT / "deploy" / "sql"
SCRIPTS = {
    ("roles",): "role_bypassrls.sql",
    ("roles", "--policies"): "role_policies.sql",
    ("dashboards",): "dashboards.sql",
    ("indexes",): "indexes.sql",
    ("postgres-exporter",): "role_postgres_exporter.sql",
}


@pytest.mark.parametrize(("words", "file"), SCRIPTS.items())
def test_what_is_printed_is_the_file(
    words: tuple[str, ...], file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", *words]) == 0
    assert capsys.readouterr().out == (FILES / file).read_text()
    config = tmp_path / "config.yaml"
    config.write_text("tables: {log: gateway.calls, approvals: public.gates}\n")
    assert main(["sql", *words, "--config", str(config)]) == 0
    assert ("gateway" in capsys.readouterr().out) == (words != ("postgres-exporter",))


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_has_scripts_and_indexes_of_its_own_need_none(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", "dashboards", "--source", source]) == 0
    assert "CREATE VIEW ai_dashboards.operations" in capsys.readouterr().out
    assert main(["sql", "indexes", "--source", source]) == 0
    indexes = capsys.readouterr().out
    assert ("needs no further index" in indexes) == (source != "helix")
    assert indexes.startswith("--")
    assert main(["sql", "build", "--source", source, "--output", str(tmp_path)]) == 0
    assert ("indexes.sql is left out" in capsys.readouterr().err) == (source != "helix")
    assert (tmp_path / "indexes.sql").exists() == (source == "helix")
    assert main(["sql", "build", "--source", source, "--output", str(tmp_path), "--check"]) == 0


def test_a_source_and_a_configuration_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("source: dify\n")
    assert main(["sql", "roles", "--source", "litellm", "--config", str(tmp_path / "config.yaml")]) == 1
    assert "write --config or --source, not both" in capsys.readouterr().err


def test_the_committed_files_of_litellm_are_those_of_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "build", "--source", "litellm", "--output", str(FILES / "litellm"), "--check"]) == 0
    assert "left out" in capsys.readouterr().err
