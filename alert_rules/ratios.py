"""Figures that are one increase by another, or a quantile of increases: guarded, and wider where calls are few."""

from alert_rules.conventions import duration
from alert_rules.figures import Figure, Recording, held, increase, level, read_throughout, wider
from alert_rules.promql import promql

ALL_FAILED_FROM = 5
"""So many calls without one that went well are an outage, whatever minimum the author set."""


def ratio(
    above: str, below: str, by: tuple[str, ...], window: int, least: int, record: str, *, all_failed: bool = False
) -> Figure:
    """`above` per `below`, counters both, over the window, or over an hour where the window has fewer than `least`.

    With `all_failed`, five or more that all count above are enough in either window.
    """
    recordings: list[Recording] = []
    choices: list[str] = []
    for span in wider(window):
        counted, per = increase(above, by, span), increase(below, by, span)
        recordings += (*counted, *per)
        names = {"above": counted[-1].name, "below": per[-1].name}
        choices.append(promql("$above / ($below >= $least)", least=least, **names))
        if all_failed and least > ALL_FAILED_FROM:
            choices.append(promql("$above / ($below >= $few) >= 1", few=ALL_FAILED_FROM, **names))
    return _first_of(choices, recordings, by, window, least, record)


def quantile(q: float, buckets: str, calls: str, by: tuple[str, ...], window: int, least: int, record: str) -> Figure:
    """A quantile of a histogram over the window, or over an hour where the window has fewer than `least` calls."""
    recordings: list[Recording] = []
    choices: list[str] = []
    for span in wider(window):
        per = increase(calls, by, span)
        counted = increase(buckets, (*by, "le"), span)
        recordings += (*per, *counted)
        choice = "histogram_quantile($q, $buckets) and $calls >= $least"
        choices.append(promql(choice, q=q, buckets=counted[-1].name, calls=per[-1].name, least=least))
    return _first_of(choices, recordings, by, window, least, record)


def _first_of(
    choices: list[str], recordings: list[Recording], by: tuple[str, ...], window: int, least: int, record: str
) -> Figure:
    name = f"{level(by)}:{record}{duration(window)}_min{least}"
    value = Recording(name, promql(" or ".join(choices)))
    return held(value, by, tuple(recordings), read_throughout(wider(window)[-1]).name)


def hourly(metric: str, by: tuple[str, ...]) -> Figure:
    """What a counter rose by in a whole hour; nothing before the log has been read for so long."""
    readable, risen = increase(metric, by, 3600)
    whole = promql("$risen and on (job) $LOG_UP offset 1h == 1", risen=risen.name)
    value = Recording(f"{level(by)}:{metric.removesuffix('_total')}:hour", whole)
    return held(value, by, (readable, risen), readable.name)


def without_success(calls: str, by_model: str, window: int, least: int) -> Figure:
    """Calls of models that had `least` or more in three windows, and not one success, by the time of the last one."""
    span = 3 * window
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
    return held(value, (by_model,), (readable, counted), readable.name)
