"""An alert taken out of a YAML text, or switched off and on: nothing else of the text changes."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alert_rules.adding.appending import append_alert
from alert_rules.adding.editing import remove_alert, set_disabled
from alert_rules.model.conventions import alert_id
from alert_rules.model.errors import RulesError

TWO = (
    "# top\nalerts:\n  # about a\n  - name: a   # first\n    channel: x\n\n"
    "  # about b\n  - name: b\n    by: [y]\n# end\n"
)

LADDER = "alerts:\n  - name: a\n    rungs:\n      1%: info\n"
BLOCK = "alerts:\n  - name: a\n    summary: |\n      x\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (TWO, "# top\nalerts:\n  # about a\n\n  # about b\n  - name: b\n    by: [y]\n# end\n"),
        ("alerts:\n- name: a\n- name: b\n", "alerts:\n- name: b\n"),
        ("alerts:\r\n  - name: a\r\n  - name: b\r\n", "alerts:\r\n  - name: b\r\n"),
        ("alerts:\n  - name: b\n  - name: a", "alerts:\n  - name: b\n"),
        ("alerts:\n  -\n    name: a\n    x: 1\n  - name: b\n", "alerts:\n  - name: b\n"),
        (
            "alerts:\n  - name: b\n  - summary: |\n      x\n\n    name: a\nlinks: {}\n",
            "alerts:\n  - name: b\nlinks: {}\n",
        ),
        ("\ufeffalerts:\n  - name: a\n  - name: b\n", "\ufeffalerts:\n  - name: b\n"),
        ("alerts:\n  - name: a\n    rungs:\n      1%: info\n  - name: b\n", "alerts:\n  - name: b\n"),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("by", ["id", "name"])
def test_an_alert_is_removed_and_its_neighbours_stay(before: str, after: str, by: str) -> None:
    found, name = remove_alert(before.encode(), alert_id("a") if by == "id" else "a", "f")
    assert (found.decode(), name) == (after, "a")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            TWO,
            "# top\nalerts:\n  # about a\n  - name: a   # first\n    channel: x\n    disabled: true\n\n  # about b\n"
            "  - name: b\n    by: [y]\n# end\n",
        ),
        ("alerts:\n- name: a\n- name: b\n", "alerts:\n- name: a\n  disabled: true\n- name: b\n"),
        ("alerts:\r\n- name: a\r\n", "alerts:\r\n- name: a\r\n  disabled: true\r\n"),
        ("alerts:\n  - name: a", "alerts:\n  - name: a\n    disabled: true\n"),
        (f"{LADDER}", f"{LADDER}    disabled: true\n"),
        (f"{BLOCK}b: 1\n", f"{BLOCK}    disabled: true\nb: 1\n"),
    ],
    ids=range(6),
)
def test_an_alert_is_switched_off_and_on_again(before: str, after: str) -> None:
    off, name = set_disabled(before.encode(), "a", "f", disabled=True)
    assert (off.decode(), name) == (after, "a")
    assert set_disabled(off, "a", "f", disabled=True)[0] == off
    on = set_disabled(off, "a", "f", disabled=False)[0].decode()
    assert on.rstrip("\n") == before.rstrip("\n")
    assert set_disabled(before.encode(), "a", "f", disabled=False)[0].decode() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("- name: a\n  disabled: true  # until Monday\n", "- name: a\n  disabled: false  # until Monday\n"),
        ("- disabled: true\n  name: a\n", "- disabled: false\n  name: a\n"),
        ("- name: a\n  disabled:   true\n", "- name: a\n  disabled:   false\n"),
    ],
    ids=range(3),
)
def test_a_comment_beside_the_switch_is_kept(before: str, after: str) -> None:
    on = set_disabled(f"alerts:\n{before}".encode(), "a", "f", disabled=False)[0].decode()
    assert on == f"alerts:\n{after}"
    assert set_disabled(on.encode(), "a", "f", disabled=True)[0].decode() == f"alerts:\n{before}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts:\n  - name: b\n", "no alert of f has the id or the name 'a' — `rules list` shows all"),
        ("", "no alert of f"),
        ("alerts: {}\n", "no alert of f"),
        ("alerts: [\n", "not YAML"),
        ("alerts: [{name: a}, {name: b}]\n", "f:1:10: the alert is not written one setting a line"),
        ("alerts:\n  - {name: a}\n  - name: b\n", "not written one setting a line"),
        ("{alerts: [{name: a}, {name: b}]}\n", "not written one setting a line"),
    ],
    ids=range(7),
)
def test_an_alert_that_is_missing_or_not_one_setting_a_line_is_refused(text: str, said: str) -> None:
    for edit in (remove_alert, lambda *words: set_disabled(*words, disabled=True)):
        with pytest.raises(RulesError) as raised:
            edit(text.encode(), "a", "f")
        assert said in str(raised.value)


def test_the_only_alert_is_not_removed() -> None:
    with pytest.raises(RulesError, match="a is the only alert of f — disable it instead: rules disable"):
        remove_alert(b"alerts:\n  - name: a\n", "a", "f")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).filter(lambda t: t == t.strip())
VALUES: Any = st.one_of(
    NAMES,
    st.integers(1, 9),
    st.lists(NAMES, min_size=1, max_size=2),
    st.dictionaries(NAMES, NAMES, min_size=1, max_size=2),
)


@given(st.lists(st.tuples(NAMES, VALUES), min_size=2, max_size=5, unique_by=lambda each: each[0]), st.data())
def test_what_is_added_can_be_switched_and_taken_out_again(alerts: list[tuple[str, Any]], data: st.DataObject) -> None:
    text = b"# top\nalerts:\n  - name: first\n"
    for name, value in alerts:
        if name == "first":
            return
        text = append_alert(text, {"name": name, "setting": value}, "f")
    name = data.draw(st.sampled_from(alerts))[0]
    off = set_disabled(text, name, "f", disabled=True)[0]
    assert [a["name"] for a in yaml.safe_load(off)["alerts"] if a.get("disabled")] == [name]
    assert set_disabled(off, alert_id(name), "f", disabled=False)[0] == text
    without = remove_alert(off, name, "f")[0]
    assert without == remove_alert(text, name, "f")[0]
    left = [each for each in alerts if each[0] != name]
    again = b"# top\nalerts:\n  - name: first\n"
    for other, value in left:
        again = append_alert(again, {"name": other, "setting": value}, "f")
    assert without == again
