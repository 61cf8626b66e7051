"""Passwords: bcrypt away from the event loop, each right one computed once."""

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

from exporter.web.pool import BoundedPool

_MOST_CACHED = 256
_BCRYPT_READS = 72  # bytes of a password; bcrypt never looked at more, and the library refuses longer ones
_FILLER = "." * 31


class Authenticator:
    """Checks ``Authorization`` headers; remembers right ones by a keyed hash, never by the password."""

    def __init__(self, pool: BoundedPool) -> None:
        self._pool = pool
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()

    async def check(self, users: Mapping[str, str], header: str | None) -> bool:
        """Whether the header names one of the users (name to bcrypt hash). Raises PoolFullError."""
        credentials = _credentials(header)
        if credentials is None:
            return False
        name, password = credentials
        known = users.get(name)
        # A name nobody has costs the same, so that names cannot be told apart by time.
        hashed = (known or _decoy(users)).encode()
        digest = hmac.digest(self._key, b"\0".join((name.encode(), hashed, password)), "sha256")
        if digest in self._right:
            self._right.move_to_end(digest)
            return True
        matches = await self._pool.run(lambda: _matches(password, hashed))
        if not matches or known is None:
            return False
        # Only right ones are kept: guesses cannot push them out.
        self._right[digest] = None
        if len(self._right) > _MOST_CACHED:
            self._right.popitem(last=False)
        return True


def _credentials(header: str | None) -> tuple[str, bytes] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _decoy(users: Mapping[str, str]) -> str:
    """A well-formed hash of no known password, as costly as the costliest of the users."""
    salt = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(21))
    return f"$2b${max(hashed[4:6] for hashed in users.values())}${salt}.{_FILLER}"


def _matches(password: bytes, hashed: bytes) -> bool:
    return bcrypt.checkpw(password[:_BCRYPT_READS], hashed)
