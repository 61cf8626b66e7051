"""Choose the password that bcrypt computes next, and those that are dropped when too many wait."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest

_MOST_NETWORKS = 4096
_HALVED_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Attempt:
    """A name and password (as a keyed digest), where they came from, and how often they were seen lately."""

    digest: bytes
    network: str
    sightings: int = 1


class LoginQueue:
    """A bounded queue with two shares, so that guessing cannot keep out somebody with the right password.

    One share takes networks in turn, those that tried fewer passwords lately first: a scraper with an address of its
    own passes everybody who guesses from other addresses. The other share takes what was seen most often: a scraper
    that shares its address with somebody who guesses repeats the same password, while a repeated guess is soon known to
    be wrong and costs nothing from then on.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._waiting: dict[bytes, Attempt] = {}  # oldest first
        self._tried: OrderedDict[str, int] = OrderedDict()
        self._halved = clock()
        self._taken = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, attempt: Attempt) -> None:
        """Queue an attempt, or note that it was seen again."""
        self._waiting.pop(attempt.digest, None)
        self._waiting[attempt.digest] = attempt  # at the end
        if attempt.sightings == 1:
            self._halve()
            self._tried[attempt.network] = self._tried.get(attempt.network, 0) + 1
            self._tried.move_to_end(attempt.network)
            if len(self._tried) > _MOST_NETWORKS:
                self._tried.popitem(last=False)

    def trim(self) -> list[Attempt]:
        """Drop and return what does not fit, which may include the newest attempt."""
        if len(self._waiting) <= self._places:
            return []
        kept: set[bytes] = set()
        for one in _interleaved(self._by_turns(), self._by_sightings()):
            if len(kept) < self._places:
                kept.add(one.digest)
        lost = [one for one in self._waiting.values() if one.digest not in kept]
        for one in lost:
            del self._waiting[one.digest]
        return lost

    def take(self, busy: Collection[str]) -> Attempt | None:
        """Remove and return the next attempt whose network is not in ``busy``; the shares take turns."""
        orders = (self._by_turns, self._by_sightings)
        attempt = next((one for one in orders[self._taken % 2]() if one.network not in busy), None)
        if attempt is not None:
            self._taken += 1
            del self._waiting[attempt.digest]
        return attempt

    def discard(self, digest: bytes) -> None:
        """Remove an attempt that nobody waits for any more."""
        self._waiting.pop(digest, None)

    def _by_turns(self) -> list[Attempt]:
        self._halve()
        places: Counter[str] = Counter()
        turns: dict[bytes, int] = {}
        # The newest first, so that nobody waits behind many equally quiet networks; the other share is for the rest.
        newest_first = list(reversed(self._waiting.values()))
        for one in newest_first:
            # the first password is free
            turns[one.digest] = max(0, self._tried.get(one.network, 0) - 1) + places[one.network]
            places[one.network] += 1
        return sorted(newest_first, key=lambda one: turns[one.digest])

    def _by_sightings(self) -> list[Attempt]:
        return sorted(self._waiting.values(), key=lambda one: -one.sightings)

    def _halve(self) -> None:
        # Forget attempts gradually: an address may have another owner tomorrow.
        while self._tried and self._clock() - self._halved >= _HALVED_EVERY:
            self._tried = OrderedDict((one, count // 2) for one, count in self._tried.items() if count > 1)
            self._halved += _HALVED_EVERY
        if not self._tried:
            self._halved = self._clock()


def _interleaved(first: list[Attempt], second: list[Attempt]) -> Iterator[Attempt]:
    pairs = chain.from_iterable(zip_longest(first, second))
    return (one for one in pairs if one is not None)
