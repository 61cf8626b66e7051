"""Users' names as labels."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.pseudonyms import Pseudonyms

KEY = b"sixteen or more!"


@given(st.text(min_size=1))
def test_without_a_key_names_stay(user: str) -> None:
    assert Pseudonyms(None).of(user) == user


@given(st.text(min_size=1, alphabet=st.characters(codec="utf-8")))
def test_with_a_key_names_are_hidden_but_stable_and_differ_by_key(user: str) -> None:
    label = Pseudonyms(KEY).of(user)
    if user in ("other", "unattributed"):
        assert label == user
        return
    assert label == Pseudonyms(KEY).of(user)
    assert label != Pseudonyms(KEY + b"2").of(user)
    assert len(label) == 16
    assert set(label) <= set("0123456789abcdef")


def test_the_label_is_the_published_hmac() -> None:
    # RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?"
    assert Pseudonyms(b"Jefe").of("what do ya want for nothing?") == "5bdcc146bf60754e"
