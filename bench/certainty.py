"""`python -m bench.certainty`: how often an alert fires when it should not, and how soon when it should.

Calls end at random, each fails with the same probability and takes a time of a heavy-tailed distribution, and the alert
is evaluated once a minute, as Prometheus does it: a test proves the model equal to the generated rules. It prints the
tables of docs/alerts.md; every run is the same. The levels of certainty were chosen with other seeds: the tables show
how the rule does by chances that it was not fitted to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, log, sqrt
from random import Random
from statistics import median

from alert_rules.compiler.availability import HALF
from alert_rules.compiler.certainty import Z_CALM, Z_CHANGE, margin_of_share, z_of
from alert_rules.compiler.comparisons import CLEARLY
from alert_rules.quantities.definitions import QUANTITIES
from alert_rules.quantities.ratios import ALL_FAILED_FROM, RECENT_WINDOWS
from bench.labelled import poisson
from bench.report import Table, markdown

SCRAPE = 15
"""Seconds between two scrapes."""

MINUTE, WINDOW, HOUR = 60, 300, 3600
HOURS, ONSETS = 200, 201
SEED = "fresh"
"""Not one of those by which Z_CALM, Z_CHANGE and RECENT_WINDOWS were chosen."""

THRESHOLD = 0.05
RATES = (0.01, 0.02, 0.04, 0.06, 0.10)
CALLS = (5, 20, 100, 1000)
HEALTHY = 0.01
"""The rate of failures in the hour before it rises."""

INCIDENTS = 40
BASES = (0.005, 0.01, 0.015, 0.02)
END_CALLS = (20, 35, 100, 1000)
LASTED = ((0.3, 1800), (0.1, 3600))
"""Incidents: the rate, and for how many seconds."""

LASTING = (0.06, 0.08, 0.10, 0.20)
OUTAGES = (0.2, 0.5, 1.0)
LATE = (0.02, 0.05, 0.10, 0.20)
FEW_CALLS = (3, 5, 20)
SLOW = 2.0
"""Seconds that the mean may take."""

SPREAD = 1.2
"""The standard deviation of the logarithm of latencies: their own is 1.8 times their mean."""

MEANS = (1.0, 1.5, 1.8)
SLOWED = (3.0, 4.0, 8.0)
LATENCY_CALLS = (20, 100)


@dataclass(frozen=True)
class Counters:
    """What each scrape shows: calls that have ended, and how many of them failed, or how many seconds they took."""

    calls: Sequence[int]
    above: Sequence[float]


@dataclass(frozen=True)
class Rule:
    """`error_rate > threshold` by an operation, or another quantity; unless `certain`, as with `certainty: none`.

    `model_response_time` is the share of calls over their timeout, which must be at or above the threshold.
    `closed` is for Prometheus 2, whose windows hold the sample at their very beginning. With `recovers`, the last two
    windows decide whether what was wrong goes on.
    """

    threshold: float = THRESHOLD
    certain: bool = True
    closed: bool = False
    name: str = "error_rate"
    recovers: bool = True

    def firing(self, counters: Counters, scrape: int = SCRAPE) -> list[bool]:
        """Whether the alert fires, at each minute of the counters."""
        quantity = QUANTITIES[self.name]
        found: list[bool] = []
        pending: int | None = None
        ceased: int | None = None
        last: float | None = None
        for second in range(0, len(counters.calls) * scrape, MINUTE):
            is_firing = bool(found and found[-1])
            figure = self._figure(counters, second, scrape)
            # where calls have become too few, the last figure stands for one evaluation more
            decides = last if figure is None and is_firing and quantity.name != "model_response_time" else figure
            last = figure
            beyond = decides is not None and self._beyond(decides)
            if beyond and (figure is None or self._holds(counters, second, scrape, is_firing)):
                ceased, pending = None, second if pending is None else pending
                found.append(is_firing or second - pending >= quantity.for_)
                continue
            ceased = second if ceased is None else ceased
            kept = is_firing and second - ceased < quantity.keep_firing_for
            pending = pending if kept else None
            found.append(kept)
        return found

    def _figure(self, counters: Counters, second: int, scrape: int) -> float | None:
        windows = (self._risen(counters, second, span, scrape) for span in (WINDOW, HOUR))
        return next((above / calls for calls, above in windows if self._enough(calls, above)), None)

    def _holds(self, counters: Counters, second: int, scrape: int, is_firing: bool) -> bool:
        windows = [(span, *self._risen(counters, second, span, scrape)) for span in (WINDOW, HOUR)]
        if not self.certain or self._certain(*windows[0]):
            return True
        if self.name == "model_response_time" or not self.recovers:
            return is_firing or self._certain(*windows[1])
        recent = self._risen(counters, second, RECENT_WINDOWS * WINDOW, scrape)
        calm = self._calm(*recent)
        lasts = self._certain(*windows[1]) and not calm
        return lasts or (is_firing and not self._changed(*recent, *windows[1][1:]))

    def _beyond(self, figure: float) -> bool:
        return figure >= self.threshold if self.name == "model_response_time" else figure > self.threshold

    def _enough(self, calls: int, above: float) -> bool:
        least = QUANTITIES[self.name].min_operations or 1
        return calls >= least or (self.name == "error_rate" and calls >= ALL_FAILED_FROM and above == calls)

    def _certain(self, span: int, calls: int, above: float) -> bool:
        all_failed = self.name == "error_rate" and calls >= ALL_FAILED_FROM and above == calls
        return all_failed or self._clearly(z_of(span), calls, above)

    def _clearly(self, z: float, calls: int, above: float) -> bool:
        if self.name == "avg_latency":
            return above > (calls + z * sqrt(calls)) * self.threshold
        share = CLEARLY if self.name == "model_response_time" else self.threshold
        return above > share * calls + margin_of_share(share, z) * sqrt(calls)

    def _calm(self, calls: int, above: float) -> bool:
        return calls >= (QUANTITIES[self.name].min_operations or 1) and not self._clearly(Z_CALM, calls, above)

    def _changed(self, calls: int, above: float, calls_of_hour: int, above_of_hour: float) -> bool:
        expected = above_of_hour * calls / calls_of_hour
        spread = expected / sqrt(calls) if self.name == "avg_latency" else sqrt(expected)
        return expected - above > Z_CHANGE * spread

    def _risen(self, counters: Counters, second: int, span: int, scrape: int) -> tuple[int, float]:
        last = second // scrape
        begins = second - span
        first = max(0, -(-begins // scrape) if self.closed else begins // scrape + 1)
        return counters.calls[last] - counters.calls[first], counters.above[last] - counters.above[first]


def simulated(random: Random, calls_per_window: float, rates: Sequence[tuple[int, float]]) -> Counters:
    """Counters over spans of so many seconds, each with its rate of failures."""
    calls, failures = [0], [0]
    for seconds, rate in rates:
        each = calls_per_window * SCRAPE / WINDOW
        for _ in range(seconds // SCRAPE):
            failed = poisson(random, each * rate)
            calls.append(calls[-1] + failed + poisson(random, each * (1 - rate)))
            failures.append(failures[-1] + failed)
    return Counters(calls, failures)


def slow(random: Random, calls_per_window: float, means: Sequence[tuple[int, float]]) -> Counters:
    """Counters over spans of so many seconds, each with its mean latency; two minutes are the longest."""
    calls, taken = [0], [0.0]
    for seconds, mean in means:
        middle = log(mean) - SPREAD**2 / 2
        for _ in range(seconds // SCRAPE):
            ended = poisson(random, calls_per_window * SCRAPE / WINDOW)
            calls.append(calls[-1] + ended)
            taken.append(taken[-1] + sum(min(120.0, random.lognormvariate(middle, SPREAD)) for _ in range(ended)))
    return Counters(calls, taken)


def _chance(name: str) -> Random:
    return Random(f"{SEED} {name}")  # noqa: S311 - the same at every run, and no secret


BEFORE, AFTER = Rule(certain=False), Rule()
FIGURE_ALONE = Rule(recovers=False)
"""What certainty was once: while the alert fires, the figure alone decides."""

LATE_BEFORE, LATE_AFTER = (Rule(HALF, certain, name="model_response_time") for certain in (False, True))
MEAN_BEFORE, MEAN_AFTER = (Rule(SLOW, certain, name="avg_latency") for certain in (False, True))


@dataclass(frozen=True)
class Found:
    """What a rule did over the simulated hours: how often it began to fire, and how many hours were without it."""

    began: int
    silent_hours: int


def watched(firing: Sequence[bool]) -> Found:
    """What there is to say of the hours after the first, which only fills the windows."""
    after = firing[HOUR // MINUTE :]
    each = [after[start : start + 60] for start in range(0, HOURS * 60, 60)]
    return Found(_begun(after), sum(not any(hour) for hour in each))


def minutes_to_fire(rule: Rule, rate: float, calls_per_window: float) -> float | None:
    """The median of minutes from the rise of a rate, or a mean, to the alert; None where half took over five hours."""
    make = slow if rule.name == "avg_latency" else simulated
    healthy = MEANS[0] if rule.name == "avg_latency" else HEALTHY
    taken = []
    for onset in range(ONSETS):
        random = _chance(f"onset {rate} {calls_per_window} {onset}")
        firing = rule.firing(make(random, calls_per_window, [(HOUR, healthy), (5 * HOUR, rate)]))
        taken.append(next((minute for minute, fires in enumerate(firing[60:]) if fires), inf))
    return None if median(taken) == inf else median(taken)


def _true_rows() -> Iterator[tuple[str, ...]]:
    yield (
        *("True rate", "Calls per window", "Hours missed, before", "now", "Alarms, before", "now"),
        *("First alarm after, before", "now"),
    )
    for rate, calls in product([rate for rate in RATES if rate > THRESHOLD], CALLS):
        before, after = hours(rate, calls)
        taken = (_minutes(minutes_to_fire(rule, rate, calls)) for rule in (BEFORE, AFTER))
        counts = (before.silent_hours, after.silent_hours, before.began, after.began)
        yield f"{rate:.0%}", f"{calls:,}", *map(str, counts), *taken


def hours(rate: float, calls: int, rules: Sequence[Rule] = (BEFORE, AFTER)) -> list[Found]:
    """What rules for one quantity did over the simulated hours: by default, the one without certainty and the other."""
    make = slow if rules[0].name == "avg_latency" else simulated
    counters = make(_chance(f"hours {rate} {calls}"), calls, [((HOURS + 1) * HOUR, rate)])
    return [watched(rule.firing(counters)) for rule in rules]


@dataclass(frozen=True)
class Ends:
    """How an alert ended after incidents: minutes to Resolved, and how often it fired again within three hours."""

    minutes: Sequence[int]
    again: int


def ends(rule: Rule, base: float, rate: float, seconds: int, calls: int) -> Ends:
    """What the rule did at the end of incidents that raised a rate of failures for so many seconds."""
    minutes: list[int] = []
    again = 0
    for number in range(INCIDENTS):
        random = _chance(f"end {calls} {base} {rate} {seconds} {number}")
        firing = rule.firing(simulated(random, calls, [(HOUR, base), (seconds, rate), (3 * HOUR, base)]))
        end = (HOUR + seconds) // MINUTE
        again += _begun(firing[end:]) - firing[end]
        if firing[end]:
            minutes.append(firing[end:].index(False))
    return Ends(sorted(minutes), again)


def _begun(firing: Sequence[bool]) -> int:
    return sum(now and not before for before, now in zip([False, *firing], firing, strict=False))


def _end_rows() -> Iterator[tuple[str, ...]]:
    yield "Rate falls from", "Calls per window", "Resolved after, before", "now", "Fires again, before", "now"
    for (rate, seconds), base, calls in product(LASTED, BASES, END_CALLS):
        found = [ends(rule, base, rate, seconds, calls) for rule in (FIGURE_ALONE, AFTER)]
        taken = (f"{median(f.minutes):.0f} ({f.minutes[len(f.minutes) * 9 // 10]}) min" for f in found)
        again = (f"{f.again / INCIDENTS:.0%}" for f in found)
        yield f"{rate:.0%} ({seconds // MINUTE} min) to {base:.1%}", f"{calls:,}", *taken, *again


def _lasting_rows() -> Iterator[tuple[str, ...]]:
    yield "True rate", "Calls per window", "Alarms in 200 h, before", "now", "Hours missed, before", "now"
    for rate, calls in product(LASTING, CALLS):
        found = hours(rate, calls, (FIGURE_ALONE, AFTER))
        yield (
            *(f"{rate:.0%}", f"{calls:,}"),
            *(str(f.began) for f in found),
            *(str(f.silent_hours) for f in found),
        )


def _onset_rows(
    rises: str, form: str, rules: Sequence[Rule], rates: Sequence[float], calls: Sequence[int]
) -> Iterator[tuple[str, ...]]:
    """How soon alerts fire once a rate or a mean has risen to each of several."""
    yield f"{rises} to", "Calls per window", "First alarm after, before", "now"
    for rate, number in product(rates, calls):
        taken = (minutes_to_fire(rule, rate, number) for rule in rules)
        yield form.format(rate), f"{number:,}", *map(_minutes, taken)


def _alarm_rows(
    heading: str, told: str, form: str, rules: Sequence[Rule], rates: Sequence[float], calls: Sequence[int]
) -> Iterator[tuple[str, ...]]:
    """How often alerts begin to fire while a rate or a mean stays as it is."""
    yield heading, "Calls per window", f"{told}, before", "now"
    for rate, number in product(rates, calls):
        yield form.format(rate), f"{number:,}", *(str(found.began) for found in hours(rate, number, rules))


def _minutes(minutes: float | None) -> str:
    return "over 5 h" if minutes is None else f"{minutes:.0f} min"


def table(rows: Iterator[tuple[str, ...]]) -> str:
    """The rows as a Markdown table, the first being its head."""
    head, *rest = rows
    return markdown(Table("", head, rest))


def main() -> None:
    """Print the tables."""
    fine = [rate for rate in RATES if rate < THRESHOLD]
    share, seconds, late, mean = "{:.0%}", "{:g}s", (LATE_BEFORE, LATE_AFTER), (MEAN_BEFORE, MEAN_AFTER)
    tables = (
        _end_rows(),
        _lasting_rows(),
        _alarm_rows("True rate", "False alarms", share, (BEFORE, AFTER), fine, CALLS),
        _true_rows(),
        _onset_rows("Rate rises from 1%", share, (BEFORE, AFTER), OUTAGES, CALLS),
        _alarm_rows("Mean latency", "False alarms", seconds, mean, MEANS, LATENCY_CALLS),
        _onset_rows("Mean rises from 1s", seconds, mean, SLOWED, LATENCY_CALLS),
        _alarm_rows("True share over the timeout", "Alarms", share, late, LATE, FEW_CALLS),
        _onset_rows("Share rises from 1%", share, late, OUTAGES[1:], FEW_CALLS),
    )
    for rows in tables:
        print(table(rows), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
