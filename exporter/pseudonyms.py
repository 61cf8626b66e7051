"""Users' names as labels: as they are, or hashed with a key."""

import hmac
from hashlib import sha256

from exporter.ledger.model import UNATTRIBUTED
from exporter.ledger.users import OTHER_USERS

LENGTH = 16
"""Hexadecimal digits of a hashed name: 64 bits, so that two of a million users meet once in 40 million such teams."""


class Pseudonyms:
    """Labels for users: with a key, the first digits of HMAC-SHA-256 (RFC 2104) over the name."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    def of(self, user: str) -> str:
        """The label. `unattributed` and `other` name no user and stay as they are."""
        if self._key is None or user in (UNATTRIBUTED, OTHER_USERS):
            return user
        return hmac.new(self._key, user.encode(), sha256).hexdigest()[:LENGTH]
