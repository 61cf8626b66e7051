"""Who waits for bcrypt, in which order, and who has to go."""

import copy
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.login_queue import Attempt, LoginQueue
from exporter.web.sightings import Sightings

PLACES = 8


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


class Story:
    """A queue that is told what happens, and looked at after each step."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue = LoginQueue(PLACES, lambda: self.now)
        self.waiting: set[bytes] = set()

    def add(self, number: int, network: str, sightings: int = 1) -> set[bytes]:
        """One comes; those that have to go."""
        self.queue.add(Attempt(digest(number), network, sightings))
        lost = {one.digest for one in self.queue.trim()}
        self.waiting = (self.waiting | {digest(number)}) - lost
        assert len(self.queue) == len(self.waiting) <= PLACES
        return lost

    def take(self, *busy: str) -> Attempt | None:
        """The next one."""
        attempt = self.queue.take(busy)
        if attempt is not None:
            self.waiting.remove(attempt.digest)
        return attempt


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 60), st.sampled_from("abc"), st.integers(1, 5)),
        st.tuples(st.just("take"), st.sets(st.sampled_from("abc"))),
        st.tuples(st.just("wait"), st.floats(0, 200)),
    ),
    max_size=80,
)


def tell(story: Story, steps: list[tuple[object, ...]]) -> None:
    for kind, *what in steps:
        match kind, what:
            case "add", [int(number), str(network), int(sightings)]:
                story.add(number, network, sightings)
            case "take", [set(busy)]:
                story.take(*busy)
            case "wait", [float(seconds)]:
                story.now += seconds


@given(Steps)
def test_whatever_happens_a_newcomer_from_a_quiet_network_has_a_place_and_is_soon_served(
    steps: list[tuple[object, ...]],
) -> None:
    story = Story()
    tell(story, steps)
    assert story.add(1000, "quiet") <= story.waiting | {digest(number) for number in range(61)}
    assert digest(1000) in story.waiting
    # two shares, and before it in its own at most those who have waited longer and guessed nothing
    served = [story.take() for _ in range(2 * 6)]
    assert digest(1000) in {one.digest for one in served if one}


@given(Steps)
def test_whatever_happens_what_was_seen_most_often_is_served_next_but_one(steps: list[tuple[object, ...]]) -> None:
    story = Story()
    tell(story, steps)
    for number in range(2000, 2050):
        story.add(number, "noisy")
    story.add(1000, "noisy", 9)
    assert digest(1000) in story.waiting
    assert digest(1000) in {one.digest for one in (story.take(), story.take()) if one}


@given(Steps, st.sets(st.sampled_from("abc")))
def test_nobody_is_taken_whose_network_is_at_work_and_nobody_waits_while_one_is_free(
    steps: list[tuple[object, ...]], busy: set[str]
) -> None:
    story = Story()
    tell(story, steps)
    while story.waiting:
        taken = story.take(*busy)
        if taken is None:
            break
        assert taken.network not in busy
    free = [story.take() for _ in range(len(story.waiting))]
    assert {one.network for one in free if one} <= busy


def test_networks_take_turns_and_those_that_tried_much_come_later() -> None:
    story = Story()
    for number, network in enumerate("aaabbc"):
        story.add(number, network)
    order = []
    while (taken := story.take()) is not None:
        order.append(taken.network)
    # each second one is the oldest, for all were seen once
    assert "".join(order[::2]) == "cbb"
    assert "".join(order[1::2]) == "aaa"


def test_what_was_tried_is_forgotten_after_some_minutes() -> None:
    story = Story()
    for number in range(8):
        story.add(number, "a")
        story.take()
    story.add(101, "b")
    story.add(102, "b")
    story.add(100, "a")
    story.queue.discard(digest(101))
    assert order_by_turns(story) == ["b", "a"]
    story.now += 59
    assert order_by_turns(story) == ["b", "a"]
    story.now += 3600
    assert order_by_turns(story) == ["a", "b"]


def order_by_turns(story: Story) -> list[str]:
    """The networks that wait, as the share for turns has them."""
    one = copy.deepcopy(story.queue)
    first = one.take(())
    assert first is not None
    return [first.network, *({"a", "b"} - {first.network})]


def test_sightings_are_counted_and_forgotten() -> None:
    now = 0.0
    seen = Sightings(120.0, lambda: now)
    assert [seen.add(digest(1)) for _ in range(3)] == [1, 2, 3]
    assert seen.add(digest(2)) == 1
    now = 239.0
    assert seen.add(digest(1)) == 4
    now = 240.0
    assert seen.add(digest(2)) == 1
    now = 1000.0
    assert seen.add(digest(1)) == 1


def test_a_count_ends_at_what_fits() -> None:
    seen = Sightings(120.0, lambda: 0.0)
    counts = [seen.add(digest(1)) for _ in range(1000)]
    assert counts == [min(number, 255) for number in range(1, 1001)]


def test_a_hundred_thousand_guesses_rarely_look_as_if_they_came_back() -> None:
    seen = Sightings(120.0, lambda: 0.0)
    mistaken = sum(seen.add(digest(number)) > 1 for number in range(100_000))
    assert mistaken < 100
