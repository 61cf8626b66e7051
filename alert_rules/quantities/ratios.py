"""Ratios and quantiles of increases over a window, or over an hour where the window has too few calls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.model.quantities import QuantityParams, RecordedSeries, Recording, WindowCounts
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import increase, level, read_throughout, while_unreadable, wider

ALL_FAILED_FROM = 5
"""So many calls without one that went well are an outage, whatever minimum the author set."""

RECENT_WINDOWS = 2
"""So many windows tell whether what was wrong goes on: one has too few calls for that."""

NO_SUCCESS_WINDOWS = 3
"""So many windows on end must be without a success."""


def ratio(
    above: str, below: str, params: QuantityParams, record: str, *, share: bool = False, all_failed: bool = False
) -> RecordedSeries:
    """`above` per `below`, counters both, over the window, or over an hour where the window has too few calls.

    With `share`, `above` are some of the calls that `below` are. With `all_failed`, five or more that all count above
    are enough in either window.
    """
    figure = _Figure(params, record, below, above, all_failed=all_failed)
    numerator = figure.used("_numerator", {tally.seconds: tally.counted for tally in figure.tallies})
    value = Recording(figure.name, promql("$above / ($below > 0)", above=numerator.name, below=figure.calls.name))
    return replace(figure.series(value, numerator), outage=ALL_FAILED_FROM if all_failed else 0, is_share=share)


def quantile(q: float, buckets: str, calls: str, params: QuantityParams, record: str) -> RecordedSeries:
    """A quantile of a histogram over the window, or over an hour where the window has too few calls."""
    figure = _Figure(params, record, calls, buckets, q)
    by_window = {t.seconds: promql("histogram_quantile($q, $buckets)", q=q, buckets=t.counted) for t in figure.tallies}
    return figure.series(figure.used("", by_window))


@dataclass(frozen=True)
class _Figure:
    """A figure made of what counters rose by, over the window or an hour: of `below`, the calls, and of `above`.

    For a quantile `q`, `above` are the buckets. With `all_failed`, few calls that all count above are enough.
    """

    params: QuantityParams
    record: str
    below: str
    above: str
    q: float | None = None
    all_failed: bool = False

    @property
    def name(self) -> str:
        return f"{level(self.params.by)}:{self.record}{duration(self.params.window)}_min{self.params.min_operations}"

    def counted_in(self, seconds: int) -> tuple[WindowCounts, tuple[Recording, ...]]:
        """What is counted in a window, and the records of it."""
        by = self.params.by
        calls = increase(self.below, by, seconds)
        counted = increase(self.above, by if self.q is None else (*by, "le"), seconds)
        return WindowCounts(seconds, calls[-1].name, counted[-1].name, self.q, self.params.min_operations), (
            *counted,
            *calls,
        )

    @cached_property
    def tallies(self) -> tuple[WindowCounts, ...]:
        return tuple(self.counted_in(seconds)[0] for seconds in wider(self.params.window))

    @cached_property
    def window(self) -> Recording:
        """The window that is used, in seconds: the first with enough calls. Nothing where none has enough."""
        choices = (
            promql("($enough) * 0 + $seconds", enough=condition, seconds=tally.seconds)
            for tally in self.tallies
            for condition in self._enough(tally)
        )
        return Recording(f"{self.name}_window", " or ".join(choices))

    def _enough(self, tally: WindowCounts) -> Iterator[str]:
        yield promql("$calls >= $enough", calls=tally.calls, enough=self.params.min_operations)
        if self.all_failed and self.params.min_operations > ALL_FAILED_FROM:
            names = {"above": tally.counted, "below": tally.calls}
            yield promql("$above / ($below >= $few) >= 1", few=ALL_FAILED_FROM, **names)

    def used(self, suffix: str, by_window: Mapping[int, str]) -> Recording:
        """Of expressions by window, that of the window that is used; the last serves where no other is used."""
        *others, (_, last) = by_window.items()
        chosen = self.window.name
        choices = [
            promql("$expr and $chosen == $seconds", expr=expr, chosen=chosen, seconds=seconds)
            for seconds, expr in others
        ]
        choices.append(promql("$expr and $chosen", expr=last, chosen=chosen))
        return Recording(f"{self.name}{suffix}", promql(" or ".join(choices)))

    @cached_property
    def calls(self) -> Recording:
        return self.used("_calls", {tally.seconds: tally.calls for tally in self.tallies})

    def series(self, value: Recording, numerator: Recording | None = None) -> RecordedSeries:
        """The value with the counts that it is made of, kept as long as it is, and the counts of the last two windows.

        By the last two windows, rules tell that what was wrong is over.
        """
        by, windows = self.params.by, wider(self.params.window)
        known = read_throughout(windows[-1]).name
        counts = (self.window, self.calls) if numerator is None else (self.window, self.calls, numerator)
        kept = [while_unreadable(count, by, (), known) for count in counts]
        increases = tuple(record for seconds in windows for record in self.counted_in(seconds)[1])
        series = while_unreadable(value, by, (*increases, *counts), known)
        series = replace(
            series,
            recordings=(*series.recordings, *(count.recordings[-1] for count in kept)),
            window=kept[0].while_unreadable,
            calls=kept[1].while_unreadable,
            numerator="" if numerator is None else kept[2].while_unreadable,
            tallies=self.tallies,
        )
        seconds = RECENT_WINDOWS * self.params.window
        if seconds >= WIDE_WINDOW:
            return series
        recent, recordings = self.counted_in(seconds)
        return replace(series, recent=recent, recent_recordings=recordings)


def hourly(metric: str, by: tuple[str, ...]) -> RecordedSeries:
    """What a counter rose by in a whole hour; nothing before the log has been read for so long."""
    readable, risen = increase(metric, by, 3600)
    whole = promql("$risen and on (job) $LOG_UP offset 1h == 1", risen=risen.name)
    value = Recording(f"{level(by)}:{metric.removesuffix('_total')}:hour", whole)
    return while_unreadable(value, by, (readable, risen), readable.name)


def without_success(calls: str, by_model: str, window: int, min_operations: int) -> RecordedSeries:
    """Calls of models that had enough of them in three windows, and not one success, by the time of the last one."""
    span = NO_SUCCESS_WINDOWS * window
    readable, counted = increase(calls, (by_model,), span)
    expr = promql(
        """
        $calls >= $min_operations
          unless on (job, model) $MODEL_LAST_SUCCESS > time() - $span
        """,
        calls=counted.name,
        min_operations=min_operations,
        span=span,
    )
    value = Recording(f"job_model:ai_operations_without_success:increase{duration(span)}_min{min_operations}", expr)
    series = while_unreadable(value, (by_model,), (readable, counted), readable.name)
    return replace(series, calls=series.while_unreadable)
