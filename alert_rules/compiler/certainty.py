"""Whether a figure is certainly beyond its threshold, or perhaps by chance: as PromQL, and in words.

A share is judged by the lower bound of its Wilson score interval (E. B. Wilson, 1927; Brown, Cai and DasGupta, 2001,
recommend it for few calls). The bound is above `t` exactly where `above - t * calls > z * sqrt(t * (1 - t) * calls)`.
A mean is judged in the same way, as if durations and costs spread like exponential ones, whose standard deviation is
their mean. A quantile is judged by a lower one, as far down as so many calls leave in doubt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from alert_rules.model.alerts import Operator
from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.model.quantities import RecordedSeries, WindowCounts
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import for_alert, gap_names

Z_WINDOW, WINDOW_LEVEL = 3.09, "99.9%"
"""For a window of less than an hour, which is evaluated every minute: one evaluation in a thousand misleads."""

Z_HOUR, HOUR_LEVEL = 1.96, "97.5%"
"""For an hour or more. A day has far fewer independent hours, and slight but lasting changes show only there."""

Z_CALM = 1.0
"""For the last two windows, which must support what the last hour says."""

Z_CHANGE = 1.645
"""For the difference between the last two windows and the last hour. An alert that has just ended may not come back by
chance, and one that goes on may not end by chance."""

_MULTIPLES = (1, 2, 4, 8, 16, 64, 256, 1024)
"""Multiples of the fewest calls; a quantile's margin is computed for each: the more calls, the narrower it is."""


@dataclass(frozen=True)
class Threshold:
    """What a figure is compared with: a PromQL number, or a vector with its matching clause for the figure's labels."""

    value: str
    matching: str = ""
    number: float | None = None


def certainly(series: RecordedSeries, operator: Operator, threshold: Threshold) -> str:
    """An expression with series where any of the figure's windows is beyond the bound for certain.

    Empty where nothing is in doubt: for a share of 0% or 100%, any call decides.
    """
    if _is_never_in_doubt(series, threshold):
        return ""
    clauses = [clause for tally in series.tallies for clause in _certain(series, tally, operator, threshold)]
    return " or ".join([*clauses, *_outage(series, operator, threshold)])


def _is_never_in_doubt(series: RecordedSeries, threshold: Threshold) -> bool:
    return not series.tallies or (series.is_share and threshold.number in (0, 1))


def margin_of_share(share: float, z: float) -> float:
    """By how much a share of `calls` must be exceeded to be `z` deviations over, divided by the root of `calls`."""
    return float(f"{z * sqrt(share * (1 - share)):.3g}")


def z_of(seconds: int) -> float:
    """How many standard deviations count as certain over a window of `seconds`."""
    return Z_HOUR if seconds >= WIDE_WINDOW else Z_WINDOW


def _certain(series: RecordedSeries, tally: WindowCounts, operator: Operator, threshold: Threshold) -> Iterator[str]:
    z = z_of(tally.seconds)
    if tally.quantile is not None:
        return _quantile(tally, tally.quantile, z, operator, threshold)
    return iter([_beyond(series, tally, z, operator, operator, threshold)])


def _beyond(
    series: RecordedSeries, tally: WindowCounts, z: float, direction: Operator, operator: Operator, threshold: Threshold
) -> str:
    """Whether what is counted is `z` deviations past the bound, in a direction, as the operator compares."""
    sign = "+" if direction.startswith(">") else "-"
    names = {"above": tally.counted, "calls": tally.calls, "operator": operator, "sign": sign}
    names["threshold"] = threshold.value
    if series.is_share:
        assert threshold.number is not None  # noqa: S101 - shares are compared with amounts
        margin = margin_of_share(threshold.number, z)
        return promql("$above $operator $threshold * $calls $sign $margin * $calls ^ 0.5", margin=margin, **names)
    template = "$above $operator ($calls $sign $z * $calls ^ 0.5) * $matching $threshold"
    return promql(template, z=z, matching=threshold.matching, **names)


def _outage(series: RecordedSeries, operator: Operator, threshold: Threshold) -> Iterator[str]:
    """Enough calls that all failed are certain, whatever the bound; left out where the other clauses imply it."""
    few, of = series.outage, threshold.number
    if not few or of is None or not operator.startswith(">"):
        return
    if few * (1 - of) <= Z_WINDOW * sqrt(few * of * (1 - of)):
        yield promql("$value >= 1 and $calls >= $few", value=series.value, calls=series.calls, few=few)


def _quantile(tally: WindowCounts, q: float, z: float, operator: Operator, threshold: Threshold) -> Iterator[str]:
    sign = -1 if operator.startswith(">") else 1
    for times in _MULTIPLES:
        min_operations = times * tally.min_operations
        surely = q + sign * z * sqrt(q * (1 - q) / min_operations)
        if 0 < surely < 1:
            beyond = _quantile_beyond(tally, f"{surely:.4g}", operator, threshold)
            yield f"{beyond} and {tally.calls} >= {min_operations}"


def _quantile_beyond(tally: WindowCounts, q: object, operator: Operator, threshold: Threshold) -> str:
    bound = f"{operator} {threshold.matching} {threshold.value}"
    return promql("histogram_quantile($q, $buckets) $bound", q=q, buckets=tally.counted, bound=bound)


_OPPOSITE: dict[Operator, Operator] = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


def judged(series: RecordedSeries, operator: Operator, threshold: Threshold, firing: str) -> str:
    """What to compare with the bound: the figure where it is certain, and while the alert fires until it has recovered.

    `firing` selects the alert's own `ALERTS` series. It is certain within the window, or within the hour; the hour does
    not count once the last two windows are calm, because it remembers what is long over.
    """
    if _is_never_in_doubt(series, threshold):
        return for_alert(series, firing)
    names = gap_names(series, firing)
    if series.recent is None:
        template = "(($value and ($certain)) or ($while_unreadable and on ($labels) $firing) or $unknown)"
        return promql(template, certain=certainly(series, operator, threshold), **names)
    window, hour = series.tallies
    return promql(
        """
        (
          ($value and ($certain)) or ($value and ($lasting) unless ($calm))
            or ($while_unreadable and on ($labels) $firing unless ($recovered)) or $unknown
        )
        """,
        certain=" or ".join([*_certain(series, window, operator, threshold), *_outage(series, operator, threshold)]),
        lasting=" or ".join(_certain(series, hour, operator, threshold)),
        calm=_calm(series, series.recent, operator, threshold),
        recovered=_recovered(series, series.recent, hour, operator, threshold),
        **names,
    )


def _calm(series: RecordedSeries, recent: WindowCounts, operator: Operator, threshold: Threshold) -> str:
    """Whether the last two windows have calls enough, and are not clearly beyond the bound."""
    opposite = _OPPOSITE[operator]
    if recent.quantile is None:
        beyond = _beyond(series, recent, Z_CALM, operator, opposite, threshold)
    else:
        beyond = _quantile_beyond(recent, recent.quantile, opposite, threshold)
    return f"{beyond} and {recent.calls} >= {recent.min_operations}"


def _recovered(
    series: RecordedSeries, recent: WindowCounts, hour: WindowCounts, operator: Operator, threshold: Threshold
) -> str:
    """Whether the last two windows are so much better than the last hour that something has changed within it.

    What goes on just beyond the bound is calm now and then by chance, but does not differ from its own hour. Where the
    last two windows are better and still beyond the bound, the hour is beyond it for certain.
    """
    if recent.quantile is not None:
        return " or ".join(_quantile(recent, recent.quantile, Z_CALM, _OPPOSITE[operator], threshold))
    # What the hour leads to expect of the last two windows, and what they had; both times the hour's calls, since a
    # division would have to be guarded.
    expected, had = f"{hour.counted} * {recent.calls}", f"{recent.counted} * {hour.calls}"
    better = f"{expected} - {had}" if operator.startswith(">") else f"{had} - {expected}"
    spread = f"({expected} * {hour.calls}) ^ 0.5" if series.is_share else f"{hour.counted} * {recent.calls} ^ 0.5"
    return promql("$better > $z * $spread", better=better, z=Z_CHANGE, spread=spread)


AS_IT_IS = "none: the figure is compared as it is, however few calls it is based on."


def in_words(series: RecordedSeries, relation: str, threshold: str) -> str:
    """How certainty is decided for a figure that must be, say, `above` a `threshold`."""
    by = _METHODS["quantile" if series.tallies[0].quantile is not None else "share" if series.is_share else "mean"]
    if series.is_share and threshold in ("0%", "100%"):
        return "at this threshold any call decides."
    outage = f" {series.outage} calls that all failed are certain." if series.outage and "above" in relation else ""
    levels = levels_in_words(series.tallies)
    if series.recent is not None:
        levels += f", unless the last {duration(series.recent.seconds)} show that it has recovered"
    side = "upper" if "below" in relation else "lower"
    return f"{by.format(side=side, beyond=f'{relation} {threshold}')}, {levels}.{outage}"


_METHODS = {
    "share": "the {side} bound of the share's Wilson score interval must be {beyond}",
    "mean": "the mean must be {beyond} by more than chance explains, as if values spread like exponential ones",
    "quantile": "a {side} quantile, as far away as so few calls leave in doubt, must be {beyond}",
}


def levels_in_words(tallies: tuple[WindowCounts, ...]) -> str:
    """The windows and their levels."""
    found = [f"at {HOUR_LEVEL if t.seconds >= WIDE_WINDOW else WINDOW_LEVEL} in {duration(t.seconds)}" for t in tallies]
    return f"{' or '.join(found)}. While the alert fires, the figure alone decides"
