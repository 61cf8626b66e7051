"""Check passwords with bcrypt outside of the event loop, each one once, so that guesses never block a right one."""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import bcrypt

from exporter.web.login_queue import Attempt, LoginQueue
from exporter.web.pool import Runner
from exporter.web.refusals import Reason
from exporter.web.sightings import Sightings

_MOST_RIGHT, _MOST_WRONG = 256, 8192  # remembered, 200 bytes each
_LONGEST_HEADER = 4096  # characters; enough for any name and password
_MOST_WAITERS = 4  # requests that wait for the same computation
_SEEN_SECONDS = 120.0  # longer than scrape intervals, so that a returning scraper is known
_BCRYPT_READS = 72  # bytes of a password; bcrypt never looked at more, and the library refuses longer ones


@dataclass
class _Check:
    """A computation that is queued or running, and how many requests wait for it."""

    attempt: Attempt
    compute: Callable[[], bool]
    result: asyncio.Future[Reason | None]
    waiters: int = 0
    at_work: bool = False


class Authenticator:
    """Checks ``Authorization`` headers; remembers right and wrong ones by a keyed hash, never by the password.

    The keyed hash includes the user's bcrypt hash: when the password in the file changes, nothing remembered applies.
    For the event loop's thread only.
    """

    def __init__(self, threads: int, places: int) -> None:
        """Run at most ``threads`` computations at once, one per network, and queue at most ``places``."""
        self._threads = threads
        self._runner = Runner("password")
        self._key = secrets.token_bytes(32)
        self._right, self._wrong = _Remembered(_MOST_RIGHT), _Remembered(_MOST_WRONG)
        self._seen = Sightings(_SEEN_SECONDS)
        self._queue = LoginQueue(places)
        self._checks: dict[bytes, _Check] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}  # by network

    async def check(self, users: Mapping[str, str], header: str | None, network: str) -> Reason | None:
        """Why a request is refused; None if it has the password of one of ``users`` (name to bcrypt hash)."""
        credentials = _credentials(header)
        if credentials is None:
            return Reason.MISSING
        name, password = credentials
        hashed = users.get(name)
        digest = hmac.digest(self._key, b"\0".join((name.encode(), (hashed or "").encode(), password)), "sha256")
        if digest in self._right:
            return None
        if digest in self._wrong:
            return Reason.WRONG
        # An unknown name takes the same path and the same time, so that nobody can find out which names exist.
        most = max(_cost(one) for one in users.values())
        attempt = Attempt(digest, network, self._seen.add(digest))
        check = self._join(attempt, lambda: _matches(password, hashed, most))
        return Reason.BUSY if check is None else await self._outcome(check)

    def _join(self, attempt: Attempt, compute: Callable[[], bool]) -> _Check | None:
        """The computation to wait for; None if there is no room."""
        check = self._checks.get(attempt.digest)
        if check is None:
            check = _Check(attempt, compute, asyncio.get_running_loop().create_future())
            self._checks[attempt.digest] = check
        if not check.at_work:
            check.attempt = attempt
            self._queue.add(attempt)
            self._begin_next()
            for lost in self._queue.trim():
                self._checks.pop(lost.digest).result.set_result(Reason.BUSY)
        return None if check.result.done() or check.waiters >= _MOST_WAITERS else check

    async def _outcome(self, check: _Check) -> Reason | None:
        check.waiters += 1
        try:
            await asyncio.wait({check.result})
            return check.result.result()
        finally:
            check.waiters -= 1
            # Nobody waits any more. A computation that is running goes on and is remembered: a scraper with a shorter
            # timeout than that gets in the next time.
            if not check.waiters and not check.at_work and not check.result.done():
                self._queue.discard(check.attempt.digest)
                del self._checks[check.attempt.digest]

    def _begin_next(self) -> None:
        while len(self._at_work) < self._threads and (attempt := self._queue.take(self._at_work)):
            check = self._checks[attempt.digest]
            check.at_work = True
            self._at_work[attempt.network] = asyncio.get_running_loop().create_task(self._work(check))

    async def _work(self, check: _Check) -> None:
        digest, network = check.attempt.digest, check.attempt.network
        try:
            right = await self._runner.start(check.compute)
            (self._right if right else self._wrong).add(digest)
            check.result.set_result(None if right else Reason.WRONG)
        except Exception as error:
            check.result.set_exception(error)
            check.result.exception()  # asyncio complains if nobody retrieves it
        finally:
            del self._checks[digest], self._at_work[network]
        self._begin_next()


class _Remembered:
    """The most recently used digests."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        if digest not in self._digests:
            return False
        self._digests.move_to_end(digest)
        return True

    def add(self, digest: bytes) -> None:
        self._digests[digest] = None
        if len(self._digests) > self._most:
            self._digests.popitem(last=False)


def network_of(address: str) -> str:
    """The network that one client controls: an IPv4 address, or the first 64 bits of an IPv6 address."""
    with suppress(ValueError):
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address):
            return str(ip.ipv4_mapped or ipaddress.IPv6Network((ip, 64), strict=False))
    return address


def _credentials(header: str | None) -> tuple[str, bytes] | None:
    scheme, _, encoded = (header or "")[: _LONGEST_HEADER + 1].partition(" ")
    if scheme.lower() != "basic" or len(header or "") > _LONGEST_HEADER:
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:_BCRYPT_READS]) if colon else None
    except (binascii.Error, ValueError):
        return None


def _cost(hashed: str) -> int:
    return int(hashed[4:6])


def _matches(password: bytes, hashed: str | None, most: int) -> bool:
    """Whether the password matches the hash; ``hashed`` is None for an unknown name.

    A refusal takes as long as it does for the user with the most expensive hash (``most``). Each cost takes twice as
    long as the one below it, so decoys of a cheap hash's cost and of each cost up to ``most`` fill the time.
    """
    if hashed is None:
        bcrypt.checkpw(password, _decoy(most))
        return False
    if bcrypt.checkpw(password, hashed.encode()):
        return True
    for cost in range(_cost(hashed), most):
        bcrypt.checkpw(password, _decoy(cost))
    return False


def _decoy(cost: int) -> bytes:
    """A well-formed hash of no known password."""
    salt = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(21))
    return f"$2b${cost:02}${salt}.{'.' * 31}".encode()
