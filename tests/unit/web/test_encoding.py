"""Pages are encoded byte for byte as the library encodes them, whatever was encoded before."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import Metric
from exporter.web.encoding import RememberingEncoder
from exporter.web.families import SINGLE, Family, Part, Shape
from exporter.web.negotiate import choose_format

FORMATS = (
    "text/plain",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.floats() | st.integers(-(10**18), 10**18) | st.sampled_from([0, -0.0, 999_999, 10**6, True])
LATENCY = Shape(
    [
        Part("_bucket", (("le", "0.5"),)),
        Part("_bucket", (("le", "+Inf"),)),
        Part("_count"),
        Part("_sum"),
    ],
    lambda value: [value[0], sum(value), sum(value), value[1] / 8],
)
BY_CLASS = Shape([Part(labels=(("error_class", name),)) for name in ("timeout", "other")], lambda value: value)
KINDS = {
    "ai_a_total": ("counter", ("operation", "model"), SINGLE),
    "ai_b": ("gauge", ("operation", "model"), SINGLE),
    "ai_c_usd_total": ("counter", ("model", "error_class"), BY_CLASS),
    "ai_latency_seconds": ("histogram", ("model",), LATENCY),
    "ai_up": ("gauge", (), SINGLE),
}


@st.composite
def families(draw: st.DrawFn, name: str) -> Family:
    kind, labels, shape = KINDS[name]
    help_text = draw(st.sampled_from(["Help.", "Help \\ of\n two lines."]))
    metric = Metric(name, kind, labels, help_text, "usd" if "usd" in name else "")  # type: ignore[arg-type]
    count = st.integers(0, 10**7)
    value = NUMBERS if shape is SINGLE else st.tuples(count, count)
    width = len(labels) - (shape is BY_CLASS)
    names = TEXT | st.sampled_from(["chat", "mail"])
    return Family(metric, draw(st.dictionaries(st.tuples(*[names] * width), value, max_size=4)), shape)


@st.composite
def pages(draw: st.DrawFn) -> list[Family]:
    """A few families with names in common from page to page, and everything else different."""
    return [draw(families(name)) for name in draw(st.lists(st.sampled_from(list(KINDS)), unique=True))]


def as_the_library_does(accept: str, page: Iterable[Family]) -> bytes:
    encode, _ = choose_format(accept)
    return encode(SimpleNamespace(collect=lambda: [family.as_library(family.samples) for family in page]))


@pytest.mark.parametrize("accept", FORMATS)
@given(st.lists(pages(), min_size=1, max_size=4), st.booleans())
def test_a_page_is_the_librarys_whatever_was_before(accept: str, given_pages: list[list[Family]], again: bool) -> None:
    encode = RememberingEncoder(choose_format(accept)[0])
    for page in given_pages * (1 + again):
        expected = as_the_library_does(accept, page)
        assert encode(page) == expected
        assert gzip.decompress(encode(page, compress=True)) == expected


@given(pages(), st.sets(st.sampled_from([*KINDS, "ai_latency_seconds_sum", "ai_c_usd", "absent"]), min_size=1))
def test_chosen_names_are_the_librarys_too(page: list[Family], names: set[str]) -> None:
    encode = RememberingEncoder(choose_format(None)[0])
    whole = encode(page).decode().split("\n")
    chosen = encode(page, names)
    assert gzip.decompress(encode(page, names, compress=True)) == chosen
    samples = [line for line in chosen.decode().split("\n") if line[:1] not in ("#", "")]
    assert samples == [line for line in whole if line.partition(" ")[0].partition("{")[0] in names and line[0] != "#"]


class Counted:
    """A shape, and how many values it has been asked for."""

    def __init__(self, shape: Shape) -> None:
        self.asked = 0
        self._numbers: Callable[[int], Sequence[float]] = shape.numbers
        self.shape = Shape(shape.parts, self._count)

    def _count(self, value: int) -> Sequence[float]:
        self.asked += 1
        return self._numbers(value)


def page_of(counted: Counted, values: dict[tuple[str], int]) -> list[Family]:
    return [Family(Metric("ai_up", "gauge", ("model",), "Help."), values, counted.shape)]


def test_only_values_that_have_changed_are_made_again() -> None:
    counted, encode = Counted(SINGLE), RememberingEncoder(choose_format(None)[0])
    values = {("a",): 1, ("b",): 2, ("c",): 3}
    encode(page_of(counted, values))
    for changed, again in (({}, 0), ({("b",): 5}, 1), ({("a",): 7, ("c",): 1}, 2), ({}, 0)):
        values, before = values | changed, counted.asked
        encode(page_of(counted, values))
        assert counted.asked - before == again


def test_a_family_that_has_not_changed_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed: list[int] = []

    class Compressor:
        def __init__(self, *settings: Any) -> None:
            self._real = real(*settings)

        def compress(self, data: bytes) -> bytes:
            compressed.append(len(data))
            return self._real.compress(data)

        def flush(self, mode: int = zlib.Z_FINISH) -> bytes:
            return self._real.flush(mode)

    real = zlib.compressobj
    monkeypatch.setattr(zlib, "compressobj", Compressor)
    counted, encode = Counted(SINGLE), RememberingEncoder(choose_format(None)[0])
    values = {(f"model-{number}",): number for number in range(1000)}
    first = encode(page_of(counted, values), compress=True)
    size = len(gzip.decompress(first))
    assert sum(compressed) == size
    compressed.clear()
    assert encode(page_of(counted, dict(values)), compress=True) == first
    assert sum(compressed) == 0
    encode(page_of(counted, values | {("model-5",): 6}), compress=True)
    assert sum(compressed) == size


def test_of_large_families_only_what_comes_after_a_change_is_checksummed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []

    def crc32(data: bytes, value: int = 0) -> int:
        checked.append(len(data))
        return real(data, value)

    real = zlib.crc32
    monkeypatch.setattr("exporter.web.encoding.zlib.crc32", crc32)
    encode = RememberingEncoder(choose_format(None)[0])

    def page(*numbers: int) -> list[Family]:
        return [
            Family(Metric(f"ai_{place}", "gauge", ("model",), "Help."), {(str(n),): number for n in range(1000)})
            for place, number in enumerate(numbers)
        ]

    def checked_of(*numbers: int) -> int:
        checked.clear()
        made = encode(page(*numbers), compress=True)
        size = sum(checked)
        assert gzip.decompress(made) == encode(page(*numbers))
        return size

    whole = checked_of(1, 2, 3)
    assert checked_of(1, 2, 3) < 10
    assert checked_of(1, 2, 4) < whole / 2 < checked_of(2, 2, 4)
    assert checked_of(2, 2, 4) < 10


def test_callers_that_come_together_have_each_value_made_once() -> None:
    counted, encode = Counted(SINGLE), RememberingEncoder(choose_format(None)[0])
    values = {(f"model-{number}",): number for number in range(100)}
    encode(page_of(counted, values))
    before = counted.asked
    with ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda _: encode(page_of(counted, dict.fromkeys(values, 7))), range(50)))
    assert len(set(together)) == 1
    assert counted.asked - before == sum(number != 7 for number in range(100))


def test_what_is_gone_from_the_page_is_forgotten() -> None:
    encode = RememberingEncoder(choose_format(None)[0])
    for number in range(100):
        encode(page_of(Counted(SINGLE), {(f"m{number}",): 1}))
    assert [len(known.blocks) for known in encode._known.values()] == [1]
    encode([])
    assert encode._known == {}
