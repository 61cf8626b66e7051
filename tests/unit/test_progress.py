"""What moves on a terminal, and does not elsewhere."""

import io
import os
import pty

import pytest

from exporter.progress import bar_text, counting, working
from tests.support.terminals import Terminal, plain, with_colors


@pytest.fixture(autouse=True)
def _clever(monkeypatch: pytest.MonkeyPatch) -> None:
    with_colors(monkeypatch)


def test_a_file_gets_lines_and_nothing_else() -> None:
    out = io.StringIO()
    with working("checking", out) as say:
        say("one [red]")
    with counting("writing [x]", out) as done:
        for number in range(100):
            done(number / 100)
    assert out.getvalue() == "one [red]\nwriting [x]\n"


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.progress.REFRESH_SECONDS", 0.0)
    out = Terminal()
    with counting("writing [x]", out) as done:
        done(0.25)
        done(0.5)
    seen = plain(out.getvalue())
    for part in ("writing [x]", " 25%", " 50%", "100%"):
        assert part in seen


def test_a_terminal_that_is_gone_is_an_error_of_the_output() -> None:
    leader, follower = pty.openpty()
    with open(follower, "w") as out:  # noqa: PTH123 - a descriptor, no path
        with pytest.raises(OSError, match="Input/output"), counting("writing", out) as done:  # noqa: PT012
            os.close(leader)
            done(0.5)
        with pytest.raises(OSError, match="Input/output"), counting("writing", out):
            pass
        # nothing is left to be written at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


@pytest.mark.parametrize("done", [0.0, 0.3, 1.0, 1.7])
def test_a_bar_is_as_wide_as_it_may_be(done: float) -> None:
    assert len(plain(bar_text(done, Terminal(), 20)).rstrip("\n")) <= 20
    assert "\n" not in bar_text(done, Terminal(), 20)


def test_what_is_for_people_is_not_imported_for_a_file() -> None:
    import subprocess
    import sys

    script = (
        "import io, sys; from exporter.progress import counting, working\n"
        "with working('x', io.StringIO()) as say: say('y')\n"
        "with counting('x', io.StringIO()): pass\n"
        "assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
