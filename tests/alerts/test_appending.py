"""One more alert in a YAML text: the bytes that were there stay, and only the alert is new."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_rules.adding.appending import append_alert
from alert_rules.model.errors import RulesError
from exporter.yaml_source import read_document

SETTINGS = {"name": "new", "condition": "daily_spend > $100", "channel": "discord", "severity": "warning"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "alerts:\n  - name: new\n"),
        ("# only a comment", "# only a comment\nalerts:\n  - name: new\n"),
        ("alerts:\n", "alerts:\n  - name: new\n"),
        ("defaults: 1\n", "defaults: 1\nalerts:\n  - name: new\n"),
        ("alerts:\n- name: a\n", "alerts:\n- name: a\n- name: new\n"),
        ("alerts:\n  - name: a", "alerts:\n  - name: a\n  - name: new\n"),
        ("alerts:\n      - name: a # c\n\n# end\n", "alerts:\n      - name: a # c\n\n# end\n      - name: new\n"),
        ("alerts:\r\n  - name: a\r\n", "alerts:\r\n  - name: a\r\n  - name: new\r\n"),
        (
            "alerts:\n  - name: a\n    by: [x]\nother: 1\n",
            "alerts:\n  - name: a\n    by: [x]\n  - name: new\nother: 1\n",
        ),
        ("alerts:\n  - name: a # c\n# d\nother: 1\n", "alerts:\n  - name: a # c\n  - name: new\n# d\nother: 1\n"),
        (
            "alerts:\n  - name: a\n    summary: |\n      x\n\n",
            "alerts:\n  - name: a\n    summary: |\n      x\n\n  - name: new\n",
        ),
        ("alerts:\n  - summary: |\n      x\nother: 1\n", "alerts:\n  - summary: |\n      x\n  - name: new\nother: 1\n"),
        ("\ufeffalerts:\n  - name: a\n", "\ufeffalerts:\n  - name: a\n  - name: new\n"),
        ("---\nalerts:\n  - {name: a}\n", "---\nalerts:\n  - {name: a}\n  - name: new\n"),
    ],
)
def test_where_it_goes(before: str, after: str) -> None:
    assert append_alert(before.encode(), {"name": "new"}, "f").decode() == after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts: []\n", "f:1:1: the list is written so that no alert can be added by adding lines"),
        ("{alerts: [{name: a}]}\n", "no alert can be added by adding lines"),
        ("alerts:\n  - name: a\n...\n", "no alert can be added by adding lines"),
        ("alerts:\n  - summary: |+\n      x", "no alert can be added by adding lines"),
        ("alerts:\n  a: {}\n", "f:1:1: not a list of alerts"),
        ("- name: a\n", "f:1:1: not a list of alerts — begin the file with alerts:"),
        ("alerts: [\n", "not YAML"),
        ("alerts:\n  - name: new\n", "f:2:5: an alert of that name is there already"),
        ("alerts:\n  - &a [*a]\n", "a value that begins with *"),
    ],
)
def test_what_it_cannot_be_added_to(text: str, said: str) -> None:
    with pytest.raises(RulesError) as raised:
        append_alert(text.encode(), SETTINGS, "f")
    assert said in str(raised.value)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=30).filter(
    str.isprintable
)
COMMENTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, int]:
    """An alerts.yaml with comments, blank lines, any indentation and style, and other settings around the list."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    indent = " " * draw(st.integers(0, 6))
    count = draw(st.integers(0, 4))
    lines: list[str] = []

    def comments() -> None:
        for text in draw(st.lists(st.none() | COMMENTS, max_size=2)):
            lines.append("" if text is None else " " * draw(st.integers(0, 8)) + f"# {text}")

    comments()
    for i in range(draw(st.integers(0, 1))):
        lines.append(f"before{i}: {{a: 1}}")
        comments()
    lines.append("alerts:" + draw(st.sampled_from(["", " # list"])))
    for i in range(count):
        comments()
        lines.append(f"{indent}- name: n{i}" + draw(st.sampled_from(["", "  # c"])))
        style = draw(st.sampled_from(["plain", "quoted", "block", "folded", "flow", "none"]))
        inner = indent + "  "
        lines += {
            "plain": [f"{inner}summary: some words"],
            "quoted": [f'{inner}summary: "two', f'{inner}  lines"'],
            "block": [f"{inner}summary: |", f"{inner}  # no comment", "", f"{inner}  text"],
            "folded": [f"{inner}summary: >-", f"{inner}  text"],
            "flow": [f"{inner}by: [a,", f"{inner}  b]"],
            "none": [],
        }[style]
    comments()
    if draw(st.booleans()):
        lines.append("after: 1")
        comments()
    return newline.join(lines) + draw(st.sampled_from(["", newline])), count


@settings(deadline=None)
@given(files(), NAMES)
def test_every_byte_is_kept_and_one_alert_is_new(file: tuple[str, int], name: str) -> None:
    text, count = file
    settings = SETTINGS | {"name": name}
    before = read_document(text.encode()).data
    if name in {f"n{i}" for i in range(count)}:
        return
    try:
        result = append_alert(text.encode(), settings, "f").decode()
    except RulesError as error:
        assert "by adding lines" in str(error)  # noqa: PT017 - a refusal, which changes nothing
        assert count == 0 or not text.endswith("\n")
        return
    after = read_document(result.encode()).data
    assert after["alerts"] == [*(before["alerts"] or []), settings]
    assert {key: value for key, value in after.items() if key != "alerts"} == {
        key: value for key, value in before.items() if key != "alerts"
    }
    # The new text is the old one with whole lines put in at one place.
    start = next((i for i, (a, b) in enumerate(zip(text, result, strict=False)) if a != b), len(text))
    kept = len(result) - len(text)
    assert any(text == result[:i] + result[i + kept :] for i in range(max(0, start - 200), start + 1))
