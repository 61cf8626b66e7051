"""Figures that are one increase by another, or a quantile of increases: guarded, and wider where calls are few."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.model.quantities import Figure, Recording, Tally
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import held, increase, level, read_throughout, wider

ALL_FAILED_FROM = 5
"""So many calls without one that went well are an outage, whatever minimum the author set."""

RECENT_WINDOWS = 2
"""So many windows tell whether what was wrong goes on: one has too few calls for that."""

NO_SUCCESS_WINDOWS = 3
"""So many windows on end must be without a success."""


def ratio(
    above: str,
    below: str,
    by: tuple[str, ...],
    window: int,
    least: int,
    record: str,
    *,
    share: bool = False,
    all_failed: bool = False,
) -> Figure:
    """`above` per `below`, counters both, over the window, or over an hour where the window has fewer than `least`.

    With `share`, `above` are some of the calls that `below` are. With `all_failed`, five or more that all count above
    are enough in either window.
    """
    name = f"{level(by)}:{record}{duration(window)}_min{least}"
    spans: list[_Span] = []
    for span in wider(window):
        counted, per = increase(above, by, span), increase(below, by, span)
        names = {"above": counted[-1].name, "below": per[-1].name}
        enough = [promql("$below >= $least", least=least, **names)]
        if all_failed and least > ALL_FAILED_FROM:
            enough.append(promql("$above / ($below >= $few) >= 1", few=ALL_FAILED_FROM, **names))
        spans.append(_Span(span, tuple(enough), per, counted))
    chosen = _window_used(name, spans)
    calls = _used(f"{name}_calls", chosen, {span.seconds: span.calls[-1].name for span in spans})
    numerator = _used(f"{name}_numerator", chosen, {span.seconds: span.counted[-1].name for span in spans})
    value = Recording(name, promql("$above / ($below > 0)", above=numerator.name, below=calls.name))
    tallies = tuple(Tally(span.seconds, span.calls[-1].name, span.counted[-1].name) for span in spans)
    figure = _held(value, by, spans, tallies, chosen, calls, numerator)
    figure = replace(figure, outage=ALL_FAILED_FROM if all_failed else 0, is_share=share)
    return _with_recent(figure, window, lambda span: (increase(below, by, span), increase(above, by, span)), least)


def quantile(q: float, buckets: str, calls: str, by: tuple[str, ...], window: int, least: int, record: str) -> Figure:
    """A quantile of a histogram over the window, or over an hour where the window has fewer than `least` calls."""
    name = f"{level(by)}:{record}{duration(window)}_min{least}"
    spans: list[_Span] = []
    for span in wider(window):
        per, counted = increase(calls, by, span), increase(buckets, (*by, "le"), span)
        spans.append(_Span(span, (promql("$calls >= $least", calls=per[-1].name, least=least),), per, counted))
    chosen = _window_used(name, spans)
    used = _used(f"{name}_calls", chosen, {span.seconds: span.calls[-1].name for span in spans})
    quantiles = {
        span.seconds: promql("histogram_quantile($q, $buckets)", q=q, buckets=span.counted[-1].name) for span in spans
    }
    tallies = tuple(Tally(span.seconds, span.calls[-1].name, span.counted[-1].name, q, least) for span in spans)
    figure = _held(_used(name, chosen, quantiles), by, spans, tallies, chosen, used)
    return _with_recent(
        figure, window, lambda span: (increase(calls, by, span), increase(buckets, (*by, "le"), span)), least, q
    )


_Counts = Callable[[int], tuple[tuple[Recording, ...], tuple[Recording, ...]]]


def _with_recent(figure: Figure, window: int, counts: _Counts, least: int, q: float | None = None) -> Figure:
    """The figure with the tally of the last two windows, by which rules tell that what was wrong is over."""
    recent = RECENT_WINDOWS * window
    if recent >= WIDE_WINDOW:
        return figure
    calls, counted = counts(recent)
    tally = Tally(recent, calls[-1].name, counted[-1].name, q, least)
    return replace(figure, recent=tally, recent_recordings=(*counted, *calls))


@dataclass(frozen=True)
class _Span:
    """A window that a figure may be taken over: when its calls are enough, any of `enough`, and what is counted."""

    seconds: int
    enough: tuple[str, ...]
    calls: tuple[Recording, ...]
    counted: tuple[Recording, ...]


def _window_used(name: str, spans: Sequence[_Span]) -> Recording:
    """Which window a figure is taken over, in seconds: the first that has calls enough. Nothing where none has."""
    choices = [
        promql("($enough) * 0 + $seconds", enough=enough, seconds=span.seconds)
        for span in spans
        for enough in span.enough
    ]
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


def _held(
    value: Recording,
    by: tuple[str, ...],
    spans: Sequence[_Span],
    tallies: tuple[Tally, ...],
    chosen: Recording,
    calls: Recording,
    numerator: Recording | None = None,
) -> Figure:
    """The figure with the counts that it is made of, each held as long as the value is."""
    known = read_throughout(spans[-1].seconds).name
    counts = (chosen, calls) if numerator is None else (chosen, calls, numerator)
    kept = [held(count, by, (), known) for count in counts]
    increases = tuple(record for span in spans for record in (*span.counted, *span.calls))
    figure = held(value, by, (*increases, *counts), known)
    return replace(
        figure,
        recordings=(*figure.recordings, *(count.recordings[-1] for count in kept)),
        window=kept[0].held,
        calls=kept[1].held,
        numerator="" if numerator is None else kept[2].held,
        tallies=tallies,
    )


def hourly(metric: str, by: tuple[str, ...]) -> Figure:
    """What a counter rose by in a whole hour; nothing before the log has been read for so long."""
    readable, risen = increase(metric, by, 3600)
    whole = promql("$risen and on (job) $LOG_UP offset 1h == 1", risen=risen.name)
    value = Recording(f"{level(by)}:{metric.removesuffix('_total')}:hour", whole)
    return held(value, by, (readable, risen), readable.name)


def without_success(calls: str, by_model: str, window: int, least: int) -> Figure:
    """Calls of models that had `least` or more in three windows, and not one success, by the time of the last one."""
    span = NO_SUCCESS_WINDOWS * window
    readable, counted = increase(calls, (by_model,), span)
    expr = promql(
        """
        $calls >= $least
          unless on (job, model) $MODEL_LAST_SUCCESS > time() - $span
        """,
        calls=counted.name,
        least=least,
        span=span,
    )
    value = Recording(f"job_model:ai_operations_without_success:increase{duration(span)}_min{least}", expr)
    figure = held(value, (by_model,), (readable, counted), readable.name)
    return replace(figure, calls=figure.held)
