"""Ratios and quantiles of increases over a window, or over an hour where the window has too few calls."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.model.quantities import QuantityParams, RecordedSeries, Recording, Tally
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import increase, level, read_throughout, while_unreadable, wider

ALL_FAILED_FROM = 5
"""So many calls without one that went well are an outage, whatever minimum the author set."""

RECENT_WINDOWS = 2
"""So many windows tell whether what was wrong goes on: one has too few calls for that."""

NO_SUCCESS_WINDOWS = 3
"""So many windows on end must be without a success."""


@dataclass(frozen=True)
class _Span:
    """A window that a figure may be taken over, with the records of what is counted in it."""

    seconds: int
    calls: tuple[Recording, ...]
    counted: tuple[Recording, ...]

    def tally(self, q: float | None = None, min_operations: int = 1) -> Tally:
        return Tally(self.seconds, self.calls[-1].name, self.counted[-1].name, q, min_operations)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        return (*self.counted, *self.calls)


def ratio(
    above: str, below: str, params: QuantityParams, record: str, *, share: bool = False, all_failed: bool = False
) -> RecordedSeries:
    """`above` per `below`, counters both, over the window, or over an hour where the window has too few calls.

    With `share`, `above` are some of the calls that `below` are. With `all_failed`, five or more that all count above
    are enough in either window.
    """

    def span(seconds: int) -> _Span:
        return _Span(seconds, increase(below, params.by, seconds), increase(above, params.by, seconds))

    def enough(tally: Tally) -> Iterator[str]:
        yield promql("$below >= $enough", below=tally.calls, enough=params.min_operations)
        if all_failed and params.min_operations > ALL_FAILED_FROM:
            names = {"above": tally.counted, "below": tally.calls}
            yield promql("$above / ($below >= $few) >= 1", few=ALL_FAILED_FROM, **names)

    name = _name(params, record)
    spans = [span(seconds) for seconds in wider(params.window)]
    tallies = tuple(span.tally() for span in spans)
    chosen = _window_used(name, tallies, enough)
    calls = _used(f"{name}_calls", chosen, {tally.seconds: tally.calls for tally in tallies})
    numerator = _used(f"{name}_numerator", chosen, {tally.seconds: tally.counted for tally in tallies})
    value = Recording(name, promql("$above / ($below > 0)", above=numerator.name, below=calls.name))
    series = _with_counts(value, params.by, spans, chosen, calls, numerator)
    series = replace(series, tallies=tallies, outage=ALL_FAILED_FROM if all_failed else 0, is_share=share)
    return _with_recent(series, params, span)


def quantile(q: float, buckets: str, calls: str, params: QuantityParams, record: str) -> RecordedSeries:
    """A quantile of a histogram over the window, or over an hour where the window has too few calls."""

    def span(seconds: int) -> _Span:
        return _Span(seconds, increase(calls, params.by, seconds), increase(buckets, (*params.by, "le"), seconds))

    def enough(tally: Tally) -> Iterator[str]:
        yield promql("$calls >= $enough", calls=tally.calls, enough=params.min_operations)

    name = _name(params, record)
    spans = [span(seconds) for seconds in wider(params.window)]
    tallies = tuple(span.tally(q, params.min_operations) for span in spans)
    chosen = _window_used(name, tallies, enough)
    used = _used(f"{name}_calls", chosen, {tally.seconds: tally.calls for tally in tallies})
    quantiles = {t.seconds: promql("histogram_quantile($q, $buckets)", q=q, buckets=t.counted) for t in tallies}
    series = _with_counts(_used(name, chosen, quantiles), params.by, spans, chosen, used)
    return _with_recent(replace(series, tallies=tallies), params, span, q)


def _name(params: QuantityParams, record: str) -> str:
    return f"{level(params.by)}:{record}{duration(params.window)}_min{params.min_operations}"


def _with_recent(
    series: RecordedSeries, params: QuantityParams, span: Callable[[int], _Span], q: float | None = None
) -> RecordedSeries:
    """The figure with the tally of the last two windows, by which rules tell that what was wrong is over."""
    seconds = RECENT_WINDOWS * params.window
    if seconds >= WIDE_WINDOW:
        return series
    recent = span(seconds)
    return replace(series, recent=recent.tally(q, params.min_operations), recent_recordings=recent.recordings)


def _window_used(name: str, tallies: Iterable[Tally], enough: Callable[[Tally], Iterator[str]]) -> Recording:
    """Which window a figure is taken over, in seconds: the first that has calls enough. Nothing where none has."""
    choices = (
        promql("($enough) * 0 + $seconds", enough=condition, seconds=tally.seconds)
        for tally in tallies
        for condition in enough(tally)
    )
    return Recording(f"{name}_window", " or ".join(choices))


def _used(name: str, chosen: Recording, by_window: Mapping[int, str]) -> Recording:
    """Of expressions by window the one for the window that is used; the last one where it is none of the others."""
    *others, (_, last) = by_window.items()
    choices = [
        promql("$expr and $chosen == $seconds", expr=expr, chosen=chosen.name, seconds=seconds)
        for seconds, expr in others
    ]
    choices.append(promql("$expr and $chosen", expr=last, chosen=chosen.name))
    return Recording(name, promql(" or ".join(choices)))


def _with_counts(
    value: Recording,
    by: tuple[str, ...],
    spans: Sequence[_Span],
    chosen: Recording,
    calls: Recording,
    numerator: Recording | None = None,
) -> RecordedSeries:
    """The figure with the counts that it is made of, each kept as long as the value is."""
    known = read_throughout(spans[-1].seconds).name
    counts = (chosen, calls) if numerator is None else (chosen, calls, numerator)
    kept = [while_unreadable(count, by, (), known) for count in counts]
    increases = tuple(record for span in spans for record in span.recordings)
    series = while_unreadable(value, by, (*increases, *counts), known)
    return replace(
        series,
        recordings=(*series.recordings, *(count.recordings[-1] for count in kept)),
        window=kept[0].while_unreadable,
        calls=kept[1].while_unreadable,
        numerator="" if numerator is None else kept[2].while_unreadable,
    )


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
