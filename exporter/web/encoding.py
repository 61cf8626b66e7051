"""Encode metrics as prometheus_client does, and make again only what has changed since the last page.

Almost all of the library's time goes into escaping the same labels for each scrape. So the text of a sample up to its
value is taken from the library once, the text of a value is kept while the value stays, and that of a family while all
its values do, compressed too.
"""

import gzip
import struct
import threading
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client.metrics_core import Metric as LibraryFamily
from prometheus_client.utils import floatToGoString

from exporter.web.families import Family, Labels

Encoder = Callable[[Any], bytes]
"""One of the library's: from a registry to a page."""

_LEVEL = 1  # on pages a higher one takes longer, and saves 2 % of the bytes
_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_APART = 4096  # bytes from which on a family is compressed by itself
_SMALL_WINDOW, _SMALL_MEMORY = 13, 6  # of the rest: clearing the usual 256 KiB takes longer than compressing it
_EXPONENT = 1e6  # numbers from here on are written with one
_number: Callable[[float], str] = floatToGoString


class _Block(NamedTuple):
    """A value as text, and the text of each of its samples up to the number."""

    value: Any
    starts: tuple[str, ...]
    text: str


@dataclass
class _Known:
    """A family as it was on the last page."""

    family: Family
    head: str
    blocks: dict[Labels, _Block]
    text: bytes
    compressed: bytes | None = None
    check: tuple[int, int] = (-1, 0)  # the checksum of a page before this family, and after it

    def check_after(self, before: int) -> int:
        """The checksum of a page up to this family's end, from that of all before it."""
        if self.check[0] != before:
            self.check = before, zlib.crc32(self.text, before)
        return self.check[1]


class RememberingEncoder:
    """Encodes families as one of the library's encoders does, byte for byte. For any thread.

    Only what is on a page is remembered for the next one.
    """

    def __init__(self, encode: Encoder) -> None:
        self._encode = encode
        self._end = encode(SimpleNamespace(collect=list))  # of a page without families
        # callers that come at the same time have the same to show: each finds what the one before has made; and many
        # at once do not keep the processor from answering others
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def __call__(self, families: Iterable[Family], names: Container[str] = (), *, compress: bool = False) -> bytes:
        """The page of these families, in the format of gzip if `compress`; of the samples with `names` alone, if any.

        Such a part of the page is made by the library each time.
        """
        with self._lock:
            if names:
                page = self._encode(SimpleNamespace(collect=lambda: _chosen(families, names)))
                return gzip.compress(page, _LEVEL) if compress else page
            known = [self._as_known(family) for family in families]
            self._known = {item.family.metric.name: item for item in known}
            return _gzip(known, self._end) if compress else b"".join([*(item.text for item in known), self._end])

    def _as_known(self, family: Family) -> _Known:
        known = self._known.get(family.metric.name)
        return known if known is not None and known.family is family else self._updated(family, known)

    def _updated(self, family: Family, known: _Known | None) -> _Known:
        if known is None or known.family.metric != family.metric:
            known = _Known(family, self._text(family.as_library([])), {}, b"")
        elif known.family.values is family.values or known.family.values == family.values:
            known.family = family
            return known
        blocks: dict[Labels, _Block] = {}
        for labels, value in family.values.items():
            block = known.blocks.get(labels)
            if block is None:
                block = _block(value, self._starts(family, known.head, labels, value), family)
            elif block.value != value:
                block = _block(value, block.starts, family)
            blocks[labels] = block
        text = "".join([known.head, *[block.text for block in blocks.values()]])
        return _Known(family, known.head, blocks, text.encode())

    def _starts(self, family: Family, head: str, labels: Labels, value: Any) -> tuple[str, ...]:
        zeros = [sample._replace(value=0.0) for sample in family.samples_of(labels, value)]
        lines = self._text(family.as_library(zeros)).removeprefix(head).split("\n")
        return tuple(line.removesuffix("0.0") for line in lines[:-1])

    def _text(self, family: LibraryFamily) -> str:
        """What the library makes of a family, without the end of a page."""
        return self._encode(SimpleNamespace(collect=lambda: [family])).removesuffix(self._end).decode()


def _chosen(families: Iterable[Family], names: Container[str]) -> Iterator[LibraryFamily]:
    for family in families:
        if samples := [sample for sample in family.samples if sample.name in names]:
            yield family.as_library(samples)


def _block(value: Any, starts: tuple[str, ...], family: Family) -> _Block:
    lines = (f"{start}{_decimal(number)}\n" for start, number in zip(starts, family.shape.numbers(value), strict=True))
    return _Block(value, starts, "".join(lines))


def _decimal(number: float) -> str:
    """A number as the library writes it, which asks more of each than most need; 0.0 for -0.0."""
    positive = float(number) + 0.0
    return repr(positive) if 0 <= positive < _EXPONENT else _number(positive)


def _pieces(known: Iterable[_Known], end: bytes) -> Iterator[_Known | bytes]:
    """A page in pieces: each large family, and the text of what lies between, or after, them."""
    small: list[bytes] = []
    for item in known:
        if len(item.text) < _APART:
            small.append(item.text)
            continue
        if small:
            yield b"".join(small)
            small = []
        yield item
    yield b"".join([*small, end])


def _gzip(known: Iterable[_Known], end: bytes) -> bytes:
    """The format of RFC 1952: parts that are deflated, each of which ends where a byte does and refers to no other."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_SMALL_WINDOW, _SMALL_MEMORY)
    large = None
    check, size, parts = 0, 0, [_GZIP_HEAD]
    for piece in _pieces(known, end):
        if isinstance(piece, bytes):
            check, size = zlib.crc32(piece, check), size + len(piece)
            parts += deflate.compress(piece), deflate.flush(zlib.Z_FULL_FLUSH)
            continue
        if piece.compressed is None:
            large = large or zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            piece.compressed = large.compress(piece.text) + large.flush(zlib.Z_FULL_FLUSH)
        check, size = piece.check_after(check), size + len(piece.text)
        parts.append(piece.compressed)
    return b"".join([*parts, deflate.flush(), struct.pack("<LL", check, size & 0xFFFFFFFF)])
