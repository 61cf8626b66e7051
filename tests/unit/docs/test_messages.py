"""Every message that the documentation quotes is one that the code can print."""

import pytest

from tests.support.said import GAP, Messages, fits, messages
from tests.unit.docs.spans import SPANS, Span

# the programs are read here, and not run
pytestmark = pytest.mark.unmeasured

QUOTED = [span for span in SPANS if span.kind == "message"]

# Said by other programs, or by no program.
OTHERS = {
    "relation … does not exist": "PostgreSQL",
    "function … does not exist": "PostgreSQL",
    "server does not support SSL, but SSL was required": "libpq",
    "bind source path does not exist: …/secrets/…": "Docker",
    "port is already allocated": "Docker",
    "7.1% (3 of 42 calls)": "an example of what a template of Alertmanager makes",
    "file:line:column: what was found — hint": "the form of the messages of several commands",
}

# Put together in the source from several strings, which are these.
COMPOSED = {
    "is not the name of a host": (f") is not {GAP}, and is not shown", f"the name of a {GAP}", "host"),
    "(the server says: …)": (f"{GAP} says: {GAP}", "the server"),
    "columns.log.…: PostgreSQL refuses …": ("columns.log", f"{GAP}.{GAP}: PostgreSQL refuses {GAP}: {GAP}"),
    "(libpq says: …)": (f"{GAP} says: {GAP}", "libpq"),
}


@pytest.fixture(scope="module")
def known() -> Messages:
    return Messages(messages())


@pytest.mark.parametrize("span", QUOTED, ids=lambda span: f"{span.page}: {span.text}")
def test_a_quoted_message_can_be_printed(span: Span, known: Messages) -> None:
    if span.text in COMPOSED:
        for part in COMPOSED[span.text]:
            assert any(part in string for string in known.strings), part
    elif span.text not in OTHERS:
        assert known.can_be(span.text), f"{span.page} quotes {span.text!r}, which nothing prints"


def test_messages_are_quoted_and_every_exception_is_needed(known: Messages) -> None:
    quoted = {span.text for span in QUOTED}
    assert len(quoted) > 25
    assert quoted >= OTHERS.keys() | COMPOSED.keys()
    assert not [text for text in (*OTHERS, *COMPOSED) if known.can_be(text)]


@pytest.mark.parametrize(
    "invented",
    [
        "row-level security hides columns",
        "the disk is on fire",
        "state folder … was kept for …",
        "the server is a replica that is more than 60 s behind its primary",
        "the database's clock runs 3 days ahead",
        "a table is locked by another session",
        "cost_usd is of type text, where an integer is required",
        "too many passwords at once",
        "the role has no connections left",
        "never read within 5 s",
        "wrong password of the user",
        "no such message anywhere",
        "the log could not be found in the database",
    ],
)
def test_an_invented_message_is_refused(invented: str, known: Messages) -> None:
    assert not known.can_be(invented)


@pytest.mark.parametrize(
    ("piece", "message", "expected"),
    [
        ("behind by 60 s", f"behind by {GAP} s", True),
        ("is more than 60 s behind", f"the server is more than {GAP} s behind its primary", True),
        ("abc", GAP, False),
        ("all in the gap, and", f"{GAP}, and more", False),
        ("one two", "one  two", False),
        ("one two three", f"one {GAP} three", True),
        ("one  three", f"one {GAP} three", True),
        ("two one", f"one {GAP} two", False),
        ("the end", f"{GAP} the end", True),
    ],
)
def test_a_piece_fits_a_message(piece: str, message: str, expected: bool) -> None:
    assert fits(piece, message) is expected
