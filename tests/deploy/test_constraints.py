"""What is installed is what was chosen: each archive is known by its hash."""

import re
import tomllib
from typing import Any

import pytest

from tests.support import ROOT

FILES = ("constraints.txt", "constraints-digest.txt", "constraints-dev.txt", "constraints-docs.txt")
BEFORE = dict(zip(FILES[1:], FILES, strict=False))
"""The file that each but the first adds to."""

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?==(\S+)(?: ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)")


def lines(name: str) -> list[str]:
    """What pip reads, one requirement each."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return [line.strip() for line in re.split(r"\n(?! )", text) if line.strip()]


def pinned(name: str) -> dict[str, str]:
    """Versions by name."""
    found = [PIN.fullmatch(line) for line in lines(name) if not line.startswith("--requirement")]
    return {plain(match[1]): match[2] for match in found if match}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;! ]", name)[0]).lower()


@pytest.mark.parametrize("name", FILES)
def test_each_line_is_a_version_with_hashes(name: str) -> None:
    others = [line for line in lines(name) if not PIN.fullmatch(line)]
    assert others == ([f"--requirement {BEFORE[name]}"] if name in BEFORE else [])
    assert len(pinned(name)) >= 10


@pytest.mark.parametrize("name", FILES)
def test_archives_of_other_machines_are_known_too(name: str) -> None:
    # a wheel for each machine and Python, and the source
    compiled = {
        "constraints.txt": ("pydantic-core", "bcrypt", "tornado"),
        "constraints-digest.txt": ("matplotlib", "numpy"),
        "constraints-dev.txt": ("coverage", "mypy"),
        "constraints-docs.txt": ("markupsafe", "watchdog"),
    }
    for line in lines(name):
        if plain(line) in compiled[name]:
            assert line.count("--hash") > 5, line[:40]


@pytest.mark.parametrize("name", FILES)
def test_no_registry_is_named(name: str) -> None:
    assert not re.search(r"https?:|index-url|find-links", (ROOT / name).read_text())


def test_what_the_project_needs_is_there() -> None:
    needed = {plain(each) for each in PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]}
    assert needed <= pinned("constraints.txt").keys()
    extras = PROJECT["project"]["optional-dependencies"]
    assert {plain(each) for each in extras["digest"]} <= pinned("constraints-digest.txt").keys()
    wanted = {plain(each) for each in extras["dev"] + extras["demo"]} - {PROJECT["project"]["name"]}
    assert wanted <= pinned("constraints-dev.txt").keys()
    assert {plain(each) for each in extras["docs"]} <= pinned("constraints-docs.txt").keys()
    names = [name for file in FILES for name in pinned(file)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name", ["README.md", "Makefile", "deploy/Dockerfile", "deploy/systemd/ai-operation-exporter.service"]
)
def test_whoever_installs_asks_for_the_hashes(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "--require-hashes" in text
    assert "--no-deps --no-build-isolation" in text
    assert not re.search(r"(?:-c|--constraint) constraints", text)
