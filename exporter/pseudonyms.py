"""Users' names as they are kept and shown: as they are, or hashed with a key."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TypeVar

from exporter.ledger.model import UNATTRIBUTED, SpanRead
from exporter.ledger.spenders import is_group
from exporter.ledger.users import OTHER_USERS

T = TypeVar("T")

LENGTH = 16
"""Hexadecimal digits of a hashed name: 64 bits, so that two of a million users meet once in 40 million such teams."""


class Pseudonyms:
    """Names for users: with a key, the first digits of HMAC-SHA-256 (RFC 2104) over the id that the log has."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    @property
    def scheme(self) -> str:
        """Tells names of one key from those of another, without telling the key; empty where ids are kept."""
        return "" if self._key is None else _hash(self._key, "\0scheme")

    def of(self, user: str) -> str:
        """The name. `unattributed` and `other` name no user and stay as they are."""
        if self._key is None or user in (UNATTRIBUTED, OTHER_USERS):
            return user
        return _hash(self._key, user)

    def of_spender(self, spender: str) -> str:
        """The name of a user; groups keep theirs, and so does the team, which is empty."""
        return spender if not spender or is_group(spender) else self.of(spender)

    def keys(self, by_user: Mapping[str, T]) -> Mapping[str, T]:
        """The same values by the users' names."""
        return by_user if self._key is None else {self.of(user): value for user, value in by_user.items()}

    def sums(self, by_user: Mapping[str, int]) -> Mapping[str, int]:
        """The same sums by the users' names: nothing is lost where two users share one. Groups among them stay."""
        if self._key is None:
            return by_user
        result: dict[str, int] = {}
        for user, units in by_user.items():
            name = self.of_spender(user)
            result[name] = result.get(name, 0) + units
        return result

    def read(self, read: SpanRead) -> SpanRead:
        """A read of the log whose users bear their names."""
        if self._key is None:
            return read
        buckets = {start: replace(bucket, users=self.sums(bucket.users)) for start, bucket in read.buckets.items()}
        return replace(read, buckets=buckets)


def _hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()[:LENGTH]
