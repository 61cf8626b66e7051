"""Whether a figure is certainly beyond its threshold, or perhaps by chance: as PromQL, and in words.

A share is judged by the lower bound of its Wilson score interval (E. B. Wilson, 1927; Brown, Cai and DasGupta, 2001,
recommend it for few calls). The bound is above `t` exactly where `above - t * calls > z * sqrt(t * (1 - t) * calls)`.
A mean is judged in the same way, as if durations and costs spread like exponential ones, whose standard deviation is
their mean. A quantile is judged by a lower one, as far down as so many calls leave in doubt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import Figure, Tally

Z_WINDOW, WINDOW_LEVEL = 3.09, "99.9%"
"""For a window of less than an hour, which is evaluated every minute: one evaluation in a thousand misleads."""

Z_HOUR, HOUR_LEVEL = 1.96, "97.5%"
"""For an hour or more. A day has far fewer independent hours, and slight but lasting changes show only there."""

_LADDER = (1, 2, 4, 8, 16, 64, 256, 1024)
"""Multiples of the fewest calls; a quantile's margin is computed for each: the more calls, the narrower it is."""


@dataclass(frozen=True)
class Bound:
    """What a figure is compared with: a PromQL number, or a vector with its matching clause for the figure's labels."""

    value: str
    matching: str = ""
    number: float | None = None


def certainly(figure: Figure, operator: str, bound: Bound) -> str:
    """An expression with series where any of the figure's windows is beyond the bound for certain.

    Empty where nothing is in doubt: for a share of 0% or 100%, any call decides.
    """
    if figure.is_share and bound.number in (0, 1):
        return ""
    clauses = [clause for tally in figure.tallies for clause in _clauses(tally, operator, bound, share=figure.is_share)]
    return " or ".join([*clauses, *_outage(figure, operator, bound)])


def margin_of_share(share: float, seconds: int) -> float:
    """By how much a share of `calls` must be exceeded in a window of `seconds`, divided by the root of `calls`."""
    return float(f"{z_of(seconds) * sqrt(share * (1 - share)):.3g}")


def z_of(seconds: int) -> float:
    """How many standard deviations count as certain over a window of `seconds`."""
    return Z_HOUR if seconds >= WIDE_WINDOW else Z_WINDOW


def _clauses(tally: Tally, operator: str, bound: Bound, *, share: bool) -> Iterator[str]:
    if tally.quantile is not None:
        yield from _quantile(tally, tally.quantile, operator, bound)
        return
    sign = "+" if operator.startswith(">") else "-"
    names = {"above": tally.counted, "calls": tally.calls, "operator": operator, "sign": sign}
    if share:
        assert bound.number is not None  # noqa: S101 - shares are compared with amounts
        margin = margin_of_share(bound.number, tally.seconds)
        template = "$above $operator $bound * $calls $sign $margin * $calls ^ 0.5"
        yield promql(template, bound=bound.value, margin=margin, **names)
        return
    template = "$above $operator ($calls $sign $z * $calls ^ 0.5) * $matching $bound"
    yield promql(template, z=z_of(tally.seconds), bound=bound.value, matching=bound.matching, **names)


def _outage(figure: Figure, operator: str, bound: Bound) -> Iterator[str]:
    """Enough calls that all failed are certain, whatever the bound; left out where the other clauses imply it."""
    few, of = figure.outage, bound.number
    if not few or of is None or not operator.startswith(">"):
        return
    if few * (1 - of) <= Z_WINDOW * sqrt(few * of * (1 - of)):
        yield promql("$value >= 1 and $calls >= $few", value=figure.value, calls=figure.calls, few=few)


def _quantile(tally: Tally, q: float, operator: str, bound: Bound) -> Iterator[str]:
    sign = -1 if operator.startswith(">") else 1
    for times in _LADDER:
        least = times * tally.least
        surely = q + sign * z_of(tally.seconds) * sqrt(q * (1 - q) / least)
        if 0 < surely < 1:
            yield promql(
                "histogram_quantile($surely, $buckets) $operator $bound and $calls >= $least",
                surely=f"{surely:.4g}",
                buckets=tally.counted,
                operator=operator,
                bound=bound.value,
                calls=tally.calls,
                least=least,
            )


def judged(figure: Figure, expr: str, firing: str) -> str:
    """What to compare with the bound: the figure where it is certain, and in any case while the alert fires.

    So a firing alert does not end merely because of doubt. `firing` selects the alert's own `ALERTS` series.
    """
    return promql(
        "(($value and ($certain)) or ($held and on ($labels) $firing))",
        value=figure.value,
        certain=expr,
        held=figure.held,
        labels=figure.labels,
        firing=firing,
    )


AS_IT_IS = "none: the figure is compared as it is, however few calls it is based on."


def in_words(figure: Figure, relation: str, bound: str) -> str:
    """How certainty is decided for a figure that must be, say, `above` a `bound`."""
    by = _METHODS["quantile" if figure.tallies[0].quantile is not None else "share" if figure.is_share else "mean"]
    if figure.is_share and bound in ("0%", "100%"):
        return "at this threshold any call decides."
    outage = f" {figure.outage} calls that all failed are certain." if figure.outage and "above" in relation else ""
    levels = levels_in_words(figure.tallies)
    side = "upper" if "below" in relation else "lower"
    return f"{by.format(side=side, beyond=f'{relation} {bound}')}, {levels}.{outage}"


_METHODS = {
    "share": "the {side} bound of the share's Wilson score interval must be {beyond}",
    "mean": "the mean must be {beyond} by more than chance explains, as if values spread like exponential ones",
    "quantile": "a {side} quantile, as far away as so few calls leave in doubt, must be {beyond}",
}


def levels_in_words(tallies: tuple[Tally, ...]) -> str:
    """The windows and their levels."""
    found = [f"at {HOUR_LEVEL if t.seconds >= WIDE_WINDOW else WINDOW_LEVEL} in {duration(t.seconds)}" for t in tallies]
    return f"{' or '.join(found)}. While the alert fires, the figure alone decides"
