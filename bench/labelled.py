"""Spend by the quarter of an hour, with a label for each stretch that is odd: what detectors of anomalies are tried on.

Ten weeks of three operations around the change to summer time, of which the last five are judged. Every history has a
rhythm of its own, and things that happen in good order: quiet holidays, growth, a launch, a job that runs by UTC.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import exp, sqrt
from random import Random
from zoneinfo import ZoneInfo

from exporter.anomaly.measures import SPREAD
from exporter.catalog import USD
from exporter.ledger.model import HourFigures

ZONE = ZoneInfo("Europe/Berlin")
QUARTER, HOUR, DAY = 900, 3600, 86400

FIRST = date(2026, 1, 26)
"""A Monday; the clocks change on the Sunday of the ninth week."""

BEGAN = int(datetime(2026, 1, 26, tzinfo=ZONE).timestamp())
WEEKS = 10
END = int(datetime(2026, 4, 6, tzinfo=ZONE).timestamp())
JUDGED = int(datetime(2026, 3, 2, tzinfo=ZONE).timestamp())

FLOOR = 5.0
"""USD above the usual in one hour below which nothing counts as odd."""

Rate = Callable[[datetime], float]
"""USD in an hour at a local time, without chance."""


@dataclass(frozen=True)
class Operation:
    """An operation: what it spends, and how many tokens a call has; a token's price follows from the cost of a call."""

    name: str
    rate: Rate
    call_usd: float = 0.02
    tokens: float = 2000


@dataclass(frozen=True)
class Incident:
    """What is odd: `factor` times the calls, tokens or price of an operation, or `extra` USD of calls in each hour."""

    operation: str
    kind: str
    begins: int
    ends: int
    calls: float = 1.0
    tokens: float = 1.0
    price: float = 1.0
    extra: float = 0.0


@dataclass(frozen=True)
class Labelled:
    """The quarters of a history by operation, what is odd in them, and when an alarm counts for nothing."""

    name: str
    quarters: Mapping[str, Mapping[int, HourFigures]]
    incidents: Sequence[Incident]
    neutral: Sequence[tuple[int, int]] = ()


def _office(at: datetime) -> float:
    if at.weekday() > 4:
        return 0.05
    return 1.0 if 9 <= at.hour < 17 else 0.4 if at.hour in (8, 17, 18) else 0.04


def _evening(at: datetime) -> float:
    weekend = 1.5 if at.weekday() > 4 else 1.0
    return weekend * (0.15 + exp(-(((at.hour - 20) % 24 - 24 * ((at.hour - 20) % 24 > 12)) ** 2) / 12))


def _at(hour: int, share: float = 0.02, **when: Sequence[int]) -> Rate:
    """A job that runs for one hour, by UTC, on all days or on some weekdays."""

    def rate(at: datetime) -> float:
        utc = at.astimezone(UTC)
        days = when.get("weekdays", range(7))
        return 1.0 if utc.hour == hour and utc.weekday() in days else share

    return rate


def _of(usd: float, rate: Rate) -> Rate:
    return lambda at: usd * rate(at)


def _growing(rate: Rate) -> Rate:
    return lambda at: rate(at) * 1.08 ** ((at.date() - FIRST).days / 7)


def _launched(rate: Rate, before: float) -> Rate:
    return lambda at: rate(at) * (1.0 if at.date() >= LAUNCH else before)


def _with_holidays(rate: Rate) -> Rate:
    return lambda at: rate(at) * (0.1 if at.date() in HOLIDAYS else 1.0)


HOLIDAYS = (date(2026, 2, 16), date(2026, 3, 9), date(2026, 4, 3))
LAUNCH = date(2026, 3, 11)

HISTORIES: Mapping[str, Sequence[Operation]] = {
    "office hours": [
        Operation("chat", _of(12, _office)),
        Operation("email", _of(4, _office), 0.004, 700),
        Operation("plan", _of(2, _office), 0.15, 9000),
    ],
    "around the clock": [
        Operation("chat", lambda _: 8.0),
        Operation("email", lambda _: 2.0, 0.004, 700),
        Operation("plan", lambda _: 1.0, 0.15, 9000),
    ],
    "evenings and weekends": [
        Operation("chat", _of(15, _evening)),
        Operation("email", _of(3, _evening), 0.004, 700),
        Operation("plan", _of(2, _evening), 0.15, 9000),
    ],
    "nightly jobs by UTC": [
        Operation("index", _of(30, _at(1)), 0.01, 4000),
        Operation("chat", _of(8, _office)),
        Operation("report", _of(40, _at(5, 0.0, weekdays=(6,))), 0.2, 12000),
    ],
    "quiet holidays": [
        Operation("chat", _of(12, _with_holidays(_office))),
        Operation("email", _of(5, _with_holidays(_office)), 0.004, 700),
        Operation("plan", _of(2, _with_holidays(_office)), 0.15, 9000),
    ],
    "growth by 8 % a week": [
        Operation("chat", _of(7, _growing(_office))),
        Operation("email", _of(2, _growing(_evening)), 0.004, 700),
        Operation("plan", _of(1, _growing(_office)), 0.15, 9000),
    ],
    "a launch": [
        Operation("chat", _of(6, _office)),
        Operation("agent", _of(14, _launched(_office, 0.0)), 0.08, 9000),
        Operation("email", _of(16, _launched(_office, 0.25)), 0.004, 700),
    ],
    "few and costly calls": [
        Operation("research", _of(6, _office), 1.5, 60000),
        Operation("review", lambda _: 2.0, 0.8, 30000),
        Operation("chat", _of(3, _evening)),
    ],
}


def labelled(name: str, seed: str) -> Labelled:
    """One of the histories: the same for a seed wherever it is made."""
    random = Random(f"{seed} {name}")  # noqa: S311 - the same at every run, and no secret
    incidents = tuple(_incidents(random, HISTORIES[name]))
    quarters = {
        operation.name: dict(_quarters(random, operation, [i for i in incidents if i.operation == operation.name]))
        for operation in HISTORIES[name]
    }
    launch = int(datetime.combine(LAUNCH, datetime.min.time(), ZONE).timestamp())
    return Labelled(name, quarters, incidents, [(launch, launch + DAY)] if name == "a launch" else [])


def _quarters(random: Random, operation: Operation, incidents: Sequence[Incident]) -> Iterator[tuple[int, HourFigures]]:
    day = hour = 1.0
    for start in range(BEGAN, END, QUARTER):
        at = datetime.fromtimestamp(start, ZONE)
        if at.hour == at.minute == 0:
            day = random.lognormvariate(0, 0.12)
        if at.minute == 0:
            hour = random.lognormvariate(0, 0.15)
        usd = operation.rate(at) * day * hour / 4
        odd = next((i for i in incidents if i.begins <= start < i.ends), None)
        calls, tokens, price = usd / operation.call_usd, operation.tokens, operation.call_usd / operation.tokens
        if odd is not None:
            calls = calls * odd.calls + odd.extra / 4 / operation.call_usd
            tokens, price = tokens * odd.tokens, price * odd.price
        number = poisson(random, calls)
        used = tokens * number * max(0.1, random.gauss(1, SPREAD / sqrt(number))) if number else 0.0
        if number:
            yield start, HourFigures(calls=number, cost=round(used * price * USD), input_tokens=round(used))


def poisson(random: Random, mean: float) -> int:
    """A number of calls, by chance, where so many are to be expected."""
    if mean > 50:
        return max(0, round(random.gauss(mean, sqrt(mean))))
    bound, product, count = exp(-mean), random.random(), 0
    while product > bound:
        product *= random.random()
        count += 1
    return count


def _incidents(random: Random, operations: Sequence[Operation]) -> Iterator[Incident]:
    """One every three days or so, each of an operation and a kind by chance, if it costs enough to be one."""
    start = JUDGED + DAY
    while start < END - 2 * DAY:
        operation = random.choice(operations)
        incident = _incident(random, operation.name, start)
        if _most(operation, incident) >= 1.5 * FLOOR:
            yield incident
        start = max(incident.ends, start) + random.randrange(30, 80) * HOUR


def _incident(random: Random, operation: str, start: int) -> Incident:
    kind = random.choice(("night loop", "loop by day", "longer prompts", "dearer model", "rush"))
    day = start - (start - BEGAN) % DAY
    minute = random.randrange(0, 240) // 15 * QUARTER
    if kind == "night loop":
        begins = day + 22 * HOUR + minute
        return Incident(operation, kind, begins, begins + random.randrange(3, 9) * HOUR, extra=random.uniform(10, 60))
    if kind == "loop by day":
        begins = day + 9 * HOUR + minute
        return Incident(operation, kind, begins, begins + random.randrange(2, 7) * HOUR, extra=random.uniform(15, 80))
    begins = day + 8 * HOUR + minute
    if kind == "longer prompts":
        return Incident(operation, kind, begins, begins + 24 * HOUR, tokens=random.uniform(2.5, 6))
    if kind == "dearer model":
        return Incident(operation, kind, begins, begins + 12 * HOUR, price=random.uniform(2.5, 8))
    return Incident(operation, kind, begins, begins + random.randrange(2, 6) * HOUR, calls=random.uniform(3, 8))


def _most(operation: Operation, incident: Incident) -> float:
    """USD above the usual that the incident makes in its costliest hour, without chance."""
    usual = max(
        operation.rate(datetime.fromtimestamp(start, ZONE)) for start in range(incident.begins, incident.ends, HOUR)
    )
    return usual * (incident.calls * incident.tokens * incident.price - 1) + incident.extra
