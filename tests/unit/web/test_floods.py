"""Guessed passwords by the thousand, and a scraper that gets in all the same."""

import asyncio
import base64
import http.client
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bcrypt
import pytest

from exporter.web.auth import Authenticator, network_of
from exporter.web.limits import Limits
from exporter.web.refusals import Reason
from tests.support.programs import wait_for
from tests.support.web import PATIENCE, Gate, ask, basic, hashed, serving

LIMITS = Limits(auth_threads=2, auth_queue=8, reload_interval=0.0)
RIGHT = basic("al", "right")
OURS = "127.0.0.1"
OTHERS = tuple(f"127.0.0.{number}" for number in range(2, 8))


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Passwords of which a computer checks about a hundred a second."""
    path = tmp_path_factory.mktemp("users") / "web.yml"
    path.write_text(f"basic_auth_users: {{al: {hashed('right', 8)}, bo: {hashed('other', 6)}}}\n")
    return path


def login(port: int, source: str, header: str, path: str = "/metrics") -> int:
    """The status of a request that comes from this address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    try:
        return ask(connection, path, Authorization=header).status
    finally:
        connection.close()


@contextmanager
def flood(port: int, sources: tuple[str, ...], name: str) -> Iterator[None]:
    """More clients than have room, which guess as fast as they can."""
    over = threading.Event()

    def guess(client: int) -> None:
        source, password = sources[client % len(sources)], f"guess {client}"
        for number in itertools.count():
            if over.is_set():
                return
            with suppress(OSError):
                login(port, source, basic(name, f"{password} {number}"))

    threads = [threading.Thread(target=guess, args=(client,)) for client in range(2 * LIMITS.auth_queue)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("name", ["al", "nobody"], ids=["right user", "unknown user"])
@pytest.mark.parametrize("sources", [OTHERS, (OURS,), (OURS, *OTHERS)], ids=["others", "same", "all"])
def test_a_scraper_gets_in_by_its_second_scrape(users: Path, sources: tuple[str, ...], name: str) -> None:
    with serving(config=users, limits=LIMITS) as port, flood(port, sources, name):
        assert 200 in [login(port, OURS, RIGHT) for _ in range(2)]
        assert [login(port, OURS, RIGHT) for _ in range(3)] == [200] * 3


class Door:
    """An authenticator in front of a gate that bcrypt waits at, asked by many at once."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._crowds = 0
        # a computation of an earlier test may come to the gate late
        self._guess = f"guess {secrets.token_hex(4)}"
        gate.open.clear()
        self._authenticator = Authenticator(LIMITS.auth_threads, LIMITS.auth_queue)
        self._unfinished: set[object] = set()
        self._start = self._authenticator._runner.start
        self._authenticator._runner.start = self._counted  # type: ignore[method-assign, assignment]

    def _counted(self, compute: Callable[[], bool]) -> asyncio.Future[bool]:
        mark = object()
        self._unfinished.add(mark)

        def computed() -> bool:
            try:
                return compute()
            finally:
                self._unfinished.discard(mark)

        return self._start(computed)

    def close(self) -> None:
        """Wait for what has been started, or it would come to the gate of the next test."""
        self.gate.open.set()
        wait_for(lambda: not self._unfinished)

    async def ask(self, source: str, header: str) -> asyncio.Task[Reason | None]:
        """A request that has been refused at once, or waits."""
        task = asyncio.create_task(self._authenticator.check({"al": HASH}, header, source))
        for _ in range(5):  # more turns of the event loop than a refusal takes
            await asyncio.sleep(0)
        return task

    async def crowd(self, sources: tuple[str, ...], each: int, every: int = 1) -> list[asyncio.Task[Reason | None]]:
        """So many guesses from each address."""
        self._crowds += 1
        said = (basic("al", f"{self._guess} {self._crowds} {number // every}") for number in itertools.count())
        return [await self.ask(source, next(said)) for _ in range(each) for source in sources]

    @property
    def guesses(self) -> int:
        """Of how many guesses of the crowds a computation has begun."""
        return sum(password.startswith(self._guess.encode()) for password in self.gate.order)

    async def finish(self, *tasks: asyncio.Task[Reason | None]) -> list[Reason | None]:
        """What becomes of requests when the computer gets on with its work."""
        self.gate.open.set()
        return list(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE))


HASH = hashed("right")


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    made = Door(Gate(monkeypatch))
    yield made
    made.close()


def test_the_first_login_from_a_quiet_address_has_a_place_before_any_crowd(door: Door) -> None:
    async def story() -> None:
        # each guess twice, so that all of them look as if they came back
        await door.crowd(OTHERS, each=20, every=2)
        assert await door.finish(await door.ask(OURS, RIGHT)) == [None]

    asyncio.run(story())


def test_among_those_who_are_as_quiet_the_newest_is_computed_first(door: Door) -> None:
    async def story() -> None:
        older = await door.crowd(tuple(f"quiet {number}" for number in range(LIMITS.auth_threads + 6)), each=1)
        ours = await door.ask(OURS, RIGHT)
        assert (await door.finish(*older, ours))[-1] is None
        # after the two that were begun already, and perhaps one of the other share
        assert door.gate.order.index(b"right") <= LIMITS.auth_threads + 1

    asyncio.run(story())


@pytest.mark.parametrize("every", [2, 3, 5])
def test_guesses_that_are_repeated_are_passed_by_repeating_more_often(door: Door, every: int) -> None:
    async def story() -> None:
        answers = []
        for _ in range(every + 1):
            await door.crowd((OURS,), each=20 * every, every=every)
            answers.append(await door.ask(OURS, RIGHT))
        await door.crowd((OURS,), each=20 * every, every=every)
        assert (await door.finish(*answers))[-1] is None

    asyncio.run(story())


@pytest.mark.parametrize("sources", [(OURS,), (OURS, *OTHERS)], ids=["same", "all"])
def test_a_login_that_comes_again_has_a_place_before_any_crowd(door: Door, sources: tuple[str, ...]) -> None:
    async def story() -> None:
        await door.crowd(sources, each=20)
        first = await door.ask(OURS, RIGHT)
        await door.crowd(sources, each=20)
        assert first.done(), "there was room: no crowd"
        second = await door.ask(OURS, RIGHT)
        await door.crowd(sources, each=20)
        assert await door.finish(first, second) == [Reason.BUSY, None]

    asyncio.run(story())


def test_those_who_tried_many_passwords_have_to_go_before_those_who_did_not(door: Door) -> None:
    async def story() -> None:
        door.gate.open.set()
        for number in range(3):
            assert await (await door.ask("guesser", basic("al", f"wrong {number}"))) is Reason.WRONG
        door.gate.open.clear()
        quiet = [f"quiet {number}" for number in range(LIMITS.auth_threads + LIMITS.auth_queue)]
        await door.crowd(tuple(quiet[:-1]), each=1)
        guesser = await door.ask("guesser", basic("al", "another"))
        assert not guesser.done(), "it has the last place"
        ours = await door.ask(quiet[-1], RIGHT)
        assert await door.finish(guesser, ours) == [Reason.BUSY, None]

    asyncio.run(story())


def test_one_address_has_one_computation_at_a_time(door: Door) -> None:
    async def story() -> None:
        await door.crowd((OURS,), each=3)
        other = await door.ask(OTHERS[0], RIGHT)
        assert await asyncio.to_thread(door.gate.begun.acquire, timeout=PATIENCE)
        assert await asyncio.to_thread(door.gate.begun.acquire, timeout=PATIENCE)
        assert door.guesses <= 1
        assert await door.finish(other) == [None]

    asyncio.run(story())


def test_those_who_wait_are_few_whatever_they_send(door: Door) -> None:
    async def story() -> None:
        same = [await door.ask(source, basic("al", "guess")) for source in OTHERS for _ in range(4)]
        assert sum(not one.done() for one in same) == 4
        crowd = await door.crowd((OURS, *OTHERS), each=20)
        assert sum(not one.done() for one in crowd) <= LIMITS.auth_threads + LIMITS.auth_queue
        answers = await door.finish(*same, *crowd)
        assert set(answers) == {Reason.BUSY, Reason.WRONG}

    asyncio.run(story())


def test_one_password_is_computed_once_for_all_who_send_it_at_once(door: Door) -> None:
    async def story() -> None:
        scrapers = [await door.ask(source, RIGHT) for source in (OURS, *OTHERS[:3])]
        assert await door.finish(*scrapers) == [None] * 4
        assert door.gate.count == 1

    asyncio.run(story())


def test_a_scraper_whose_time_is_shorter_than_the_computation_gets_in_the_next_time(door: Door) -> None:
    async def story() -> None:
        first = await door.ask(OURS, RIGHT)
        assert await asyncio.to_thread(door.gate.begun.acquire, timeout=PATIENCE)
        first.cancel()
        second = await door.ask(OURS, RIGHT)
        assert await door.finish(second) == [None]
        assert door.gate.count == 1

    asyncio.run(story())


def test_those_who_leave_give_their_places_back(door: Door) -> None:
    async def story() -> None:
        for task in await door.crowd(OTHERS, each=20):
            task.cancel()
        await asyncio.sleep(0)
        assert await door.finish(*[await door.ask(OURS, RIGHT), *await door.crowd((OURS,), each=3)]) == [
            None,
            *[Reason.WRONG] * 3,
        ]
        # of those who left only what was begun has been computed
        assert door.gate.count == LIMITS.auth_threads + 4

    asyncio.run(story())


def test_a_computation_that_fails_is_told_to_those_who_wait_and_tried_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        with monkeypatch.context() as broken:
            broken.setattr(bcrypt, "checkpw", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(await door.ask(OURS, RIGHT), PATIENCE)
        assert await door.finish(await door.ask(OURS, RIGHT)) == [None]

    asyncio.run(story())


@pytest.mark.parametrize(("length", "read"), [(4088, True), (4092, False), (12_000, False)])
def test_a_header_longer_than_names_and_passwords_are_costs_nothing(door: Door, length: int, read: bool) -> None:
    async def story() -> None:
        answer = await door.ask(OURS, "Basic " + base64.b64encode(b"al:" + b"x" * 9100).decode()[:length])
        assert await door.finish(answer) == [Reason.WRONG if read else Reason.MISSING]
        assert (door.gate.count > 0) == read

    asyncio.run(story())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket", "a socket"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
