"""What must be seen of every alert on one increase by another: scenarios that its theme fills in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.alerts.cases.common import watched
from tests.alerts.cases.said import Expected
from tests.support.scenario import JOB, MINUTE, Replica, Scenario, Span, Value

STEP = 25
"""Seconds between scrapes: evaluations, a minute apart, are mostly off the grid of samples."""

Batch = tuple[int, float, float]
"""So many calls end at a second, and so much is above the line: failed calls, seconds, dollars."""


@dataclass(frozen=True)
class Seen:
    """How a ratio's calls were seen: in five minutes or in the last hour (`wide`), and their `parts`.

    `parts` are calls and upper part by the part's name, empty for the only one. There are none while the ratio is held
    over a gap: no causes are told then. From `unknown_from` on there are too few calls, and none are told.
    """

    wide: bool
    parts: Mapping[str, tuple[float, float]]
    unknown_from: int | None = None

    @property
    def hour(self) -> str:
        """What is said of the hour."""
        return " in the last hour" if self.wide else ""


@dataclass(frozen=True)
class Kind:
    """An alert on a ratio, whose series have the label `key`.

    `over` and `at` make a batch's upper part: clearly over the threshold, and just at it. `add` adds the counters of an
    operation or a model. `said` is what is expected, by the key, the calls, the upper part, and how these were seen.

    `edges` are just certain, or just not: whether the last batch fires, at the thirtieth minute. `clear` makes an upper
    part that is certain whatever the hour held before. `keep` is how long the alert fires on. `recovery` has what
    makes the alert fire, the calls and the upper part that follow every 150 seconds, and whether it goes on for these.
    """

    name: str
    key: str
    least: int
    over: Callable[[float], float]
    at: Callable[[float], float]
    fires_at_threshold: bool
    add: Callable[[Scenario, Replica, str, str, Sequence[Batch]], None]
    said: Callable[[str, float, float, Seen], Expected]
    edges: Sequence[tuple[Sequence[Batch], bool]]
    clear: Callable[[float], float]
    keep: int = 5 * MINUTE
    recovery: Sequence[tuple[Batch, float, float, bool]] = ()

    @property
    def later(self) -> int:
        """By how much it resolves later than five minutes after."""
        return self.keep - 5 * MINUTE

    def fired(
        self,
        key: str,
        calls: float,
        above: float,
        *,
        wide: bool = False,
        held: bool = False,
        parts: Mapping[str, tuple[float, float]] | None = None,
        unknown_from: int | None = None,
    ) -> Expected:
        """What is expected where the ratio is that of these."""
        whole = {"": (calls, above)} if parts is None else parts
        return self.said(key, calls, above, Seen(wide, {} if held else whole, unknown_from))


def calls_of(batches: Sequence[Batch]) -> Value:
    """The counter of calls."""
    return lambda second: float(sum(calls for at, calls, _ in batches if at <= second))


def above_of(batches: Sequence[Batch]) -> Value:
    """The counter of what is above the line."""
    return lambda second: float(sum(above for at, _, above in batches if at <= second))


def ratio_scenarios(kind: Kind) -> Iterator[Scenario]:
    """Those that hold for every kind."""
    yield _fires_and_resolves(kind)
    yield _threshold(kind)
    yield _certain(kind)
    if kind.recovery:
        yield _recovers(kind)
        yield _too_few_to_recover(kind)
        yield _calls_end(kind)
        yield _calls_end_while_pending(kind)
        yield _calls_end_beside(kind)
    yield _few_calls(kind)
    yield _widens_to_an_hour(kind)
    yield _five_minutes_come_first(kind)
    yield _slow_scrapes(kind)
    yield _missing(kind)
    yield _begun_anew(kind)
    yield _gap(kind)
    yield _outage(kind, "an hour that is not read", unread=[(20 * MINUTE, 80 * MINUTE)])
    yield _outage(kind, "an hour in which the exporter is down", down=[(20 * MINUTE, 80 * MINUTE)])
    yield _backlog(kind)
    yield _pending_at_an_outage(kind)
    yield _replicas(kind)
    yield _leading_replica(kind)
    yield _one_replica_behind(kind)
    yield _two_jobs(kind)


def _batch(kind: Kind, at: int, calls: int, *, over: bool = False) -> Batch:
    return at, calls, kind.over(calls) if over else 0


def _start(
    kind: Kind, does: str, length: int, replica: Replica | None = None, step: int = STEP
) -> tuple[Scenario, Replica]:
    scenario = Scenario(does, length, step)
    return scenario, watched(scenario, replica or Replica())


def _fires_and_resolves(kind: Kind) -> Scenario:
    scenario, replica = _start(
        kind, "fires a minute after the ratio is over, and resolves some minutes after it is not", 40 * MINUTE
    )
    kind.add(scenario, replica, "one", "", [_batch(kind, 10 * MINUTE, 40, over=True), _batch(kind, 20 * MINUTE, 400)])
    kind.add(scenario, replica, "two", "", [_batch(kind, 10 * MINUTE, 24, over=True), _batch(kind, 18 * MINUTE, 400)])
    kind.add(scenario, replica, "well", "", [_batch(kind, 10 * MINUTE, 40), _batch(kind, 20 * MINUTE, 40)])
    counts = ("one", 40, kind.over(40)), ("two", 24, kind.over(24))
    scenario.silent(kind.name, 9 * MINUTE, 10 * MINUTE)
    scenario.fires(11 * MINUTE, kind.name, *(kind.fired(*of) for of in counts))
    one, two = (kind.fired(*of, wide=True) for of in counts)
    scenario.fires(17 * MINUTE, kind.name, one, two)
    # the last figure stands while the alert is kept
    scenario.fires(22 * MINUTE, kind.name, one, two)
    scenario.fires(24 * MINUTE + kind.later, kind.name, one)
    scenario.silent(kind.name, 26 * MINUTE + kind.later, 40 * MINUTE)
    return scenario


def _threshold(kind: Kind) -> Scenario:
    which = "fires" if kind.fires_at_threshold else "is silent"
    scenario, replica = _start(kind, f"{which} at exactly the threshold, off the grid of samples", 30 * MINUTE)
    # all begin to fire, and every window since holds calls of just this ratio
    before = _batch(kind, MINUTE, 4000, over=True) if kind.fires_at_threshold else (MINUTE, 24, kind.clear(24))
    each = {"at": 40, "under": 41, "above": 39}
    for key, calls in each.items():
        kind.add(
            scenario, replica, key, "", [before, *((second, calls, kind.at(40)) for second in range(230, 1800, 100))]
        )
    fires = ("above", *(["at"] if kind.fires_at_threshold else []))
    for minute in (25, 28):
        # five minutes hold three batches
        said = [kind.fired(key, 3 * each[key], 3 * kind.at(40)) for key in fires]
        scenario.fires(minute * MINUTE, kind.name, *said)
    return scenario


def _certain(kind: Kind) -> Scenario:
    scenario, replica = _start(kind, "fires where calls are just enough to be certain, and for none fewer", 40 * MINUTE)
    said = []
    for number, (batches, fires) in enumerate(kind.edges):
        kind.add(scenario, replica, f"k{number}", "", batches)
        if fires:
            _, calls, above = batches[-1]
            said.append(kind.fired(f"k{number}", calls, above))
    scenario.silent(kind.name, 29 * MINUTE, 30 * MINUTE)
    for minute in (31, 32, 34):
        scenario.fires(minute * MINUTE, kind.name, *said)
    return scenario


def _recovers(kind: Kind) -> Scenario:
    scenario, replica = _start(
        kind, "ends where the last ten minutes differ from their hour, and goes on where they do not", 55 * MINUTE
    )
    said = []
    for number, (before, calls, above, fires) in enumerate(kind.recovery):
        batches = [before, *((second, calls, above) for second in range(5 * MINUTE, 55 * MINUTE, 150))]
        kind.add(scenario, replica, f"k{number}", "", batches)
        if fires:
            said.append(kind.fired(f"k{number}", 2 * calls, 2 * above))
    for minute in (30, 50):
        scenario.fires(minute * MINUTE, kind.name, *said)
    return scenario


def _too_few_to_recover(kind: Kind) -> Scenario:
    least = kind.least
    scenario, replica = _start(
        kind, f"does not end for fewer than {least} good calls in ten minutes while the hour is over", 55 * MINUTE
    )
    before = MINUTE, 1000, kind.clear(1000)
    for key, each in (("enough", least / 2), ("few", (least - 1) / 2)):
        good = ((second, each, 0.0) for second in range(330, 55 * MINUTE, 300))
        kind.add(scenario, replica, key, "", [before, *good])
    for minute, batches in ((30, 5), (50, 9)):
        calls = before[1] + batches * (least - 1) / 2
        scenario.fires(minute * MINUTE, kind.name, kind.fired("few", calls, before[2], wide=True))
    return scenario


def _calls_end(kind: Kind) -> Scenario:
    scenario, replica = _start(kind, "says that nothing is known where it ends without calls enough", 90 * MINUTE)
    least, above = kind.least, kind.clear(24)
    batch = 10 * MINUTE, 24, above
    kind.add(scenario, replica, "few", "", [batch, (50 * MINUTE, least - 1, kind.clear(least - 1))])
    kind.add(scenario, replica, "good", "", [batch, (50 * MINUTE, 400, 0.0)])
    kind.add(scenario, replica, "none", "", [batch])
    # good calls end it: what is said of that end is what was said at the last evaluation before
    good = kind.fired("good", 24, above, wide=True)
    counts = ("few", 23 + least, above + kind.clear(least - 1)), ("none", 24, above)
    few, none = (kind.fired(*of, wide=True) for of in counts)
    scenario.fires(58 * MINUTE, kind.name, few, good, none)
    # after an hour the calls no longer count: from then on nothing is known
    few, none = (kind.fired(*of, held=True, unknown_from=70 * MINUTE) for of in counts)
    for minute in (70, 71, 79):
        scenario.fires(minute * MINUTE, kind.name, few, none)
    scenario.silent(kind.name, 82 * MINUTE)
    return scenario


def _calls_end_while_pending(kind: Kind) -> Scenario:
    scenario, replica = _start(
        kind, "does not begin to fire where its calls become too few a minute after it was over", 80 * MINUTE
    )
    least, above = kind.least, kind.clear(kind.least)
    last = 68 * MINUTE + 30, least / 2, above
    # the hour holds the first calls for one evaluation after the last ones, or for two
    kind.add(scenario, replica, "one", "", [(10 * MINUTE, least / 2, 0.0), last])
    kind.add(scenario, replica, "two", "", [(11 * MINUTE, least / 2, 0.0), last])
    scenario.silent(kind.name, 69 * MINUTE)
    scenario.fires(70 * MINUTE, kind.name, kind.fired("two", least, above, wide=True))
    for minute in (71, 79):
        said = kind.fired("two", least, above, held=True, unknown_from=71 * MINUTE)
        scenario.fires(minute * MINUTE, kind.name, said)
    return scenario


def _calls_end_beside(kind: Kind) -> Scenario:
    scenario, replica = _start(
        kind, "takes no last figure for its own because of what fires beside it, of another job or name", 74 * MINUTE
    )
    least, above = kind.least, kind.clear(kind.least)
    # over by chance, then too few calls at the seventieth minute, and certain at the next
    kind.add(scenario, replica, "one", "", [(10 * MINUTE, least, kind.at(least) + 1), (4230, least, above)])
    of_others = 67 * MINUTE, least, above
    kind.add(scenario, replica, "beside", "", [of_others])
    kind.add(scenario, watched(scenario, Replica(job="other")), "one", "", [of_others])
    one, beside = kind.fired("one", least, above), kind.fired("beside", least, above)
    of_another_job = {**one, "labels": {**one["labels"], "job": "other"}}
    scenario.raw("ALERTS", {"alertname": "another_alert", **one["labels"], "alertstate": "firing"}, 1)
    for minute in (69, 70, 71):
        scenario.fires(minute * MINUTE, kind.name, beside, of_another_job)
    wide = kind.fired("beside", least, above, wide=True), kind.fired("one", least, above, wide=True)
    beside, of_another_job = wide[0], {**wide[1], "labels": of_another_job["labels"]}
    scenario.fires(72 * MINUTE, kind.name, one, beside, of_another_job)
    return scenario


def _few_calls(kind: Kind) -> Scenario:
    least = kind.least
    scenario, replica = _start(kind, f"is silent below {least} calls in five minutes and in an hour", 80 * MINUTE)
    kind.add(scenario, replica, "enough", "", [_batch(kind, 10 * MINUTE, least, over=True)])
    kind.add(scenario, replica, "few", "", [(10 * MINUTE, least - 1, kind.over(least - 1) * 0.9)])
    # two and a half minutes on, both halves of enough are in one window; an hour apart they are in none
    rest = kind.least - kind.least // 2
    apart = [(5 * MINUTE, kind.least // 2, 0.0), (70 * MINUTE, rest, kind.over(rest) * 0.9)]
    kind.add(scenario, replica, "apart", "", apart)
    # what was firing is kept for some minutes at the end
    for minute in (11, 14, 69, 72):
        unknown = 70 * MINUTE if kind.recovery and minute > 70 else None
        enough = kind.fired(
            "enough", least, kind.over(least), wide=minute > 15, held=bool(unknown), unknown_from=unknown
        )
        scenario.fires(minute * MINUTE, kind.name, enough)
    scenario.silent(kind.name, (76 if kind.recovery else 75) * MINUTE + kind.later)
    return scenario


def _widens_to_an_hour(kind: Kind) -> Scenario:
    scenario, replica = _start(kind, "looks at the last hour where five minutes hold too few calls", 110 * MINUTE)
    few, rest = kind.least // 2, kind.least - kind.least // 2
    batches = [(5 * MINUTE, few, kind.over(few)), (40 * MINUTE, rest, kind.over(rest))]
    kind.add(scenario, replica, "slow", "", batches)
    both = kind.fired("slow", kind.least, kind.over(few) + kind.over(rest), wide=True)
    scenario.silent(kind.name, 6 * MINUTE, 39 * MINUTE)
    scenario.fires(42 * MINUTE, kind.name, both)
    scenario.fires(63 * MINUTE, kind.name, both)
    # the first batch is an hour old: what is left is too few, and the alert is kept for some minutes more
    scenario.silent(kind.name, 72 * MINUTE + kind.later, 109 * MINUTE)
    return scenario


def _five_minutes_come_first(kind: Kind) -> Scenario:
    least = kind.least
    scenario, replica = _start(
        kind, "takes the last five minutes for it where they hold just enough calls", 50 * MINUTE
    )
    before = 5 * MINUTE, 5 * least, 0.0
    kind.add(scenario, replica, "enough", "", [before, (30 * MINUTE, least, kind.clear(least))])
    kind.add(scenario, replica, "few", "", [before, (30 * MINUTE, least - 1, kind.clear(least - 1))])
    said = kind.fired("enough", least, kind.clear(least))
    # fewer, and the hour is taken for it, in which the ratio is not over
    scenario.fires(32 * MINUTE, kind.name, said)
    scenario.fires(34 * MINUTE, kind.name, said)
    return scenario


def _slow_scrapes(kind: Kind) -> Scenario:
    scenario, replica = _start(
        kind, "counts calls and does not extrapolate them, with a scrape a minute", 30 * MINUTE, step=MINUTE
    )
    least = kind.least
    # a window of five minutes spans four of them: what is extrapolated from 16 calls would be 20
    kind.add(scenario, replica, "few", "", [(10 * MINUTE, least - 1, kind.over(least - 1) * 0.9)])
    kind.add(scenario, replica, "enough", "", [(10 * MINUTE, least, kind.over(least))])
    for minute in (11, 13, 20):
        said = kind.fired("enough", least, kind.over(least), wide=minute > 15)
        scenario.fires(minute * MINUTE, kind.name, said)
    return scenario


def _missing(kind: Kind) -> Scenario:
    scenario, replica = _start(kind, "is silent without calls, and where nothing is known", 30 * MINUTE)
    kind.add(scenario, replica, "idle", "", [])
    watched(scenario, Replica("b:9867", job="empty"))
    scenario.silent(kind.name, 5 * MINUTE, 20 * MINUTE, 30 * MINUTE)
    return scenario


def _begun_anew(kind: Kind) -> Scenario:
    scenario, replica = _start(kind, "counts what a counter rose by since it began anew", 30 * MINUTE)
    # 400 calls were counted, then a new state counts from nothing
    before = [_batch(kind, 0, 400, over=True), (10 * MINUTE, -400, -kind.over(400))]
    kind.add(scenario, replica, "well", "", [*before, _batch(kind, 12 * MINUTE, 30)])
    kind.add(scenario, replica, "few", "", [*before, _batch(kind, 12 * MINUTE, kind.least - 1, over=True)])
    scenario.silent(kind.name, *(minute * MINUTE for minute in (10, 11, 12, 14, 20, 30)))
    return scenario


def _gap(kind: Kind) -> Scenario:
    unread = [(12 * MINUTE, 17 * MINUTE)]
    scenario, replica = _start(
        kind,
        "holds over five minutes that are not read, and then follows the calls",
        120 * MINUTE,
        Replica(unread=unread),
    )
    kind.add(scenario, replica, "fixed", "", [_batch(kind, 10 * MINUTE, 24, over=True), _batch(kind, 19 * MINUTE, 400)])
    kind.add(scenario, replica, "quiet", "", [_batch(kind, 10 * MINUTE, 24, over=True)])
    counts = ("fixed", 24, kind.over(24)), ("quiet", 24, kind.over(24))
    fixed, quiet = (kind.fired(*of, held=True) for of in counts)
    for minute in (11, 12):
        scenario.fires(minute * MINUTE, kind.name, *(kind.fired(*of) for of in counts))
    # calls go well later, but for five minutes nothing is taken from a window with the gap in it
    for minute in (16, 21):
        scenario.fires(minute * MINUTE, kind.name, fixed, quiet)
    # five minutes after the gap the calls since are known, and some minutes later the alert is let go
    scenario.fires(30 * MINUTE + kind.later, kind.name, quiet)
    scenario.fires(60 * MINUTE, kind.name, quiet)
    # an hour after the gap the whole hour is known, and holds no calls
    scenario.silent(kind.name, 84 * MINUTE + kind.later, 120 * MINUTE)
    return scenario


def _outage(kind: Kind, what: str, *, unread: Sequence[Span] = (), down: Sequence[Span] = ()) -> Scenario:
    scenario, replica = _start(
        kind, f"holds over {what}, and resolves when calls go well", 110 * MINUTE, Replica(unread=unread, down=down)
    )
    batches = [_batch(kind, 15 * MINUTE, 24, over=True), _batch(kind, 85 * MINUTE, 400)]
    kind.add(scenario, replica, "one", "", batches)
    scenario.fires(19 * MINUTE, kind.name, kind.fired("one", 24, kind.over(24)))
    for minute in (20, 30, 70, 80, 84):
        scenario.fires(minute * MINUTE, kind.name, kind.fired("one", 24, kind.over(24), held=True))
    scenario.silent(kind.name, 92 * MINUTE + kind.later, 110 * MINUTE)
    return scenario


def _backlog(kind: Kind) -> Scenario:
    outages: dict[str, Replica] = {
        "unread": Replica("a:9867", job="unread", unread=[(20 * MINUTE, 80 * MINUTE)]),
        "down": Replica("a:9867", job="down", down=[(20 * MINUTE, 80 * MINUTE)]),
        "gap": Replica("a:9867", job="gap", unread=[(75 * MINUTE, 80 * MINUTE)]),
        "short": Replica("a:9867", job="short", down=[(78 * MINUTE, 80 * MINUTE)]),
        "missed": Replica(
            "a:9867", job="missed", down=[(78 * MINUTE, 79 * MINUTE)], catching_up=[(79 * MINUTE, 80 * MINUTE)]
        ),
    }
    scenario = Scenario("does not fire for the calls of an outage that land in one window after it", 200 * MINUTE, STEP)
    for replica in outages.values():
        watched(scenario, replica)
        kind.add(
            scenario, replica, "one", "", [_batch(kind, 5 * MINUTE, 30), _batch(kind, 79 * MINUTE, 300, over=True)]
        )
    scenario.silent(
        kind.name, *(minute * MINUTE for minute in (20, 79, 80, 81, 82, 84, 85, 86, 90, 120, 139, 141, 145, 200))
    )
    return scenario


def _pending_at_an_outage(kind: Kind) -> Scenario:
    unread = [(10 * MINUTE + 25, 70 * MINUTE)]
    scenario, replica = _start(kind, "does not begin to fire in an outage", 80 * MINUTE, Replica(unread=unread))
    kind.add(scenario, replica, "one", "", [_batch(kind, 10 * MINUTE, 24, over=True)])
    # not for what fires beside it, of the same job, of another one, or of another name
    kind.add(scenario, replica, "beside", "", [_batch(kind, 8 * MINUTE, 24, over=True)])
    other = watched(scenario, Replica(job="other"))
    kind.add(scenario, other, "one", "", [_batch(kind, 8 * MINUTE, 24, over=True)])

    def beside(minute: int) -> Expected:
        return kind.fired("beside", 24, kind.over(24), held=minute > 10)

    def of_another_job(minute: int) -> Expected:
        said = kind.fired("one", 24, kind.over(24), wide=minute > 12)
        return {**said, "labels": {**said["labels"], "job": "other"}}

    labels = {**beside(10)["labels"], "alertstate": "firing", kind.key: "one"}
    scenario.raw("ALERTS", {"alertname": "another_alert", **labels}, 1)
    for minute in (10, 11, 12, 30, 66):
        scenario.fires(minute * MINUTE, kind.name, beside(minute), of_another_job(minute))
    return scenario


def _replicas(kind: Kind) -> Scenario:
    scenario = Scenario("counts calls once where two replicas have folded different series", 40 * MINUTE, STEP)
    least = kind.least
    some, rest = least - least // 3, least // 3
    for instance, folded, behind in (("a:9867", "part", 0), ("b:9867", "other", 1)):
        replica = watched(scenario, Replica(instance))
        for key, calls in (("enough", rest), ("few", rest - 1)):
            kind.add(scenario, replica, key, "whole", [(10 * MINUTE, some, kind.clear(some))])
            kind.add(scenario, replica, key, folded, [(10 * MINUTE, max(calls - behind, 0), 0)])
    # the causes are those of the first replica, and add up
    parts = {"whole": (some, kind.clear(some)), "part": (rest, 0.0)}
    for minute in (12, 30):
        said = kind.fired("enough", least, kind.clear(some), wide=minute > 15, parts=parts)
        scenario.fires(minute * MINUTE, kind.name, said)
    return scenario


def _leading_replica(kind: Kind) -> Scenario:
    scenario = Scenario(
        "names causes of the replica that has read the most, of each job and each thing", 30 * MINUTE, STEP
    )
    for job in (JOB, "second"):
        for instance, most in (("a:9867", "one"), ("b:9867", "two")):
            replica = watched(scenario, Replica(instance, job=job))
            for key in ("one", "two"):
                if (key == most) == (job == JOB):
                    kind.add(scenario, replica, key, "ahead", [(10 * MINUTE, 40, kind.clear(40))])
                    kind.add(scenario, replica, key, "whole", [(10 * MINUTE, 2, 0)])
                else:
                    # more in one series, and in all since its counter began, but fewer in the window
                    kind.add(scenario, replica, key, "behind", [(0, 1000, 0), (10 * MINUTE, 41, kind.over(32))])
    parts = {"ahead": (40.0, kind.clear(40)), "whole": (2.0, 0.0)}
    for minute in (12, 20):
        said = [kind.fired(key, 42, kind.clear(40), wide=minute > 15, parts=parts) for key in ("one", "two")]
        seconds = [{**alert, "labels": {**alert["labels"], "job": "second"}} for alert in said]
        # each has annotations of its own, which name its job
        scenario.fires(minute * MINUTE, kind.name, *said, *seconds)
    return scenario


def _one_replica_behind(kind: Kind) -> Scenario:
    scenario = Scenario("follows the replica that reads while another fails, catches up or is down", 60 * MINUTE, STEP)
    spans = [(5 * MINUTE, 20 * MINUTE)]
    first = Replica("a:9867", unread=spans, catching_up=[(20 * MINUTE, 25 * MINUTE)], down=[(30 * MINUTE, 35 * MINUTE)])
    batches = [_batch(kind, 10 * MINUTE, 24, over=True), _batch(kind, 22 * MINUTE, 400), _batch(kind, 40 * MINUTE, 4)]
    for replica in (watched(scenario, first), watched(scenario, Replica("b:9867"))):
        kind.add(scenario, replica, "one", "", batches)
    scenario.fires(12 * MINUTE, kind.name, kind.fired("one", 24, kind.over(24)))
    scenario.silent(kind.name, 29 * MINUTE + kind.later, 36 * MINUTE, 45 * MINUTE, 60 * MINUTE)
    return scenario


def _two_jobs(kind: Kind) -> Scenario:
    scenario = Scenario("keeps jobs apart: one that is read lets go of nothing of the other", 90 * MINUTE, STEP)
    first = watched(scenario, Replica("a:9867", unread=[(12 * MINUTE, 72 * MINUTE)]))
    kind.add(scenario, first, "one", "", [_batch(kind, 10 * MINUTE, 24, over=True), _batch(kind, 30 * MINUTE, 40)])
    second = watched(scenario, Replica("a:9867", job="second"))
    kind.add(scenario, second, "one", "", [(minute * MINUTE, 24, 0) for minute in range(4, 90, 4)])
    for minute in (12, 60):
        scenario.fires(minute * MINUTE, kind.name, kind.fired("one", 24, kind.over(24), held=minute > 12))
    return scenario
