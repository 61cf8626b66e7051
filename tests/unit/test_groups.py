"""Tests of one group share a process, as `make test` runs them: each group's servers are brought up once."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(6))
@pytest.mark.xdist_group("{group}")
def test_in_a_group(number, worker_id):
    with open("{group}", "a") as file:
        file.write(worker_id + "\\n")
"""


def test_a_group_is_run_by_one_process(tmp_path: Path) -> None:
    groups = ("one", "two")
    for group in groups:
        (tmp_path / f"test_{group}.py").write_text(TESTS.format(group=group))
    command = [sys.executable, "-m", "pytest", "--numprocesses=2", "--dist=loadgroup", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    workers = [(tmp_path / group).read_text().split() for group in groups]
    assert [len(of_one) for of_one in workers] == [6, 6]
    assert [len(set(of_one)) for of_one in workers] == [1, 1]


@pytest.fixture(scope="module")
def made_once() -> list[str]:
    return []


def test_tests_that_share_what_their_module_makes_are_a_group(
    made_once: list[str], request: pytest.FixtureRequest
) -> None:
    marker = request.node.get_closest_marker("xdist_group")
    assert marker is not None
    assert marker.args == ("test_groups",)


def test_others_are_none(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("xdist_group") is None
