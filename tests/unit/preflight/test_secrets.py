"""`check` finds a folder of secrets that was made for the demo and changed in part."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.findings import Level
from exporter.preflight.secrets import FILES, check_secrets, checksum
from tests.support import ROOT

OWN = {
    "database_url": "postgresql://ai_exporter:x@db.example.com:5432/app?sslmode=require",
    "grafana_database_password": "one",
    "postgres_exporter_password": "two",
    "discord_webhook_url": "https://discord.com/api/webhooks/1/x",
}


def make(folder: Path, *mode: str) -> None:
    script = ROOT / "deploy" / "make-secrets.sh"
    environ = {"SECRETS_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", str(script), *mode], env=environ, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    make(made, "demo")
    return made


def test_the_demo_s_own_secrets_are_in_order(folder: Path) -> None:
    (finding,) = check_secrets(folder)
    assert (finding.level, finding.detail) == (Level.OK, f"{folder} holds the values of the demo")


@pytest.mark.parametrize("changed", [[one] for one in OWN] + [list(OWN)[:2], list(OWN)[1:], list(OWN)[::2]])
def test_what_is_left_of_the_demo_is_named(folder: Path, changed: list[str]) -> None:
    for name in changed:
        (folder / name).write_text(OWN[name])
    (finding,) = check_secrets(folder)
    assert finding.level is Level.WARN
    for name in FILES:
        assert (name in finding.detail) == (name not in changed)
    assert "make-secrets.sh" in finding.hint
    for text in OWN.values():
        assert text not in finding.detail + finding.hint


def test_all_of_one_s_own_are_in_order(folder: Path) -> None:
    for name, text in OWN.items():
        (folder / name).write_text(text)
    (finding,) = check_secrets(folder)
    assert finding.level is Level.OK
    assert "your own" in finding.detail


@pytest.mark.parametrize(
    "text", ["postgresql://ai_exporter:PASSWORD@db:5432/app", "postgresql://a:b@HOST:5432/DATABASE"]
)
def test_a_placeholder_is_named(folder: Path, text: str) -> None:
    for name, own in OWN.items():
        (folder / name).write_text(own)
    (folder / "database_url").write_text(text)
    (finding,) = check_secrets(folder)
    assert finding.level is Level.WARN
    assert "placeholders are left in" in finding.detail
    assert "database_url" in finding.detail


def test_what_an_earlier_version_of_the_demo_wrote_is_known_by_its_hosts(folder: Path) -> None:
    (folder / ".demo").unlink()
    (folder / "discord_webhook_url").write_text(OWN["discord_webhook_url"])
    (finding,) = check_secrets(folder)
    assert finding.level is Level.WARN
    assert "database_url" in finding.detail


def test_no_folder_is_no_finding(tmp_path: Path) -> None:
    assert check_secrets(tmp_path / "none") == []
    assert check_secrets(tmp_path) == []


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_cksum(content: bytes) -> None:
    printed = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.split()
    assert printed == [str(checksum(content)).encode(), str(len(content)).encode()]
