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
from alert_rules.model.quantities import Figure, Tally
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import for_alert, unknown

Z_WINDOW, WINDOW_LEVEL = 3.09, "99.9%"
"""For a window of less than an hour, which is evaluated every minute: one evaluation in a thousand misleads."""

Z_HOUR, HOUR_LEVEL = 1.96, "97.5%"
"""For an hour or more. A day has far fewer independent hours, and slight but lasting changes show only there."""

Z_CALM, CALM_LEVEL = 1.0, "84%"
"""For the last two windows, which must support what the last hour says."""

Z_CHANGE, CHANGE_LEVEL = 1.645, "95%"
"""For the difference between the last two windows and the last hour. An alert that has just ended may not come back by
chance, and one that goes on may not end by chance."""

_LADDER = (1, 2, 4, 8, 16, 64, 256, 1024)
"""Multiples of the fewest calls; a quantile's margin is computed for each: the more calls, the narrower it is."""


@dataclass(frozen=True)
class Bound:
    """What a figure is compared with: a PromQL number, or a vector with its matching clause for the figure's labels."""

    value: str
    matching: str = ""
    number: float | None = None


def certainly(figure: Figure, operator: Operator, bound: Bound) -> str:
    """An expression with series where any of the figure's windows is beyond the bound for certain.

    Empty where nothing is in doubt: for a share of 0% or 100%, any call decides.
    """
    if _is_never_in_doubt(figure, bound):
        return ""
    clauses = [clause for tally in figure.tallies for clause in _certain(figure, tally, operator, bound)]
    return " or ".join([*clauses, *_outage(figure, operator, bound)])


def _is_never_in_doubt(figure: Figure, bound: Bound) -> bool:
    return not figure.tallies or (figure.is_share and bound.number in (0, 1))


def margin_of_share(share: float, z: float) -> float:
    """By how much a share of `calls` must be exceeded to be `z` deviations over, divided by the root of `calls`."""
    return float(f"{z * sqrt(share * (1 - share)):.3g}")


def z_of(seconds: int) -> float:
    """How many standard deviations count as certain over a window of `seconds`."""
    return Z_HOUR if seconds >= WIDE_WINDOW else Z_WINDOW


def _certain(figure: Figure, tally: Tally, operator: Operator, bound: Bound) -> Iterator[str]:
    z = z_of(tally.seconds)
    if tally.quantile is not None:
        return _quantile(tally, tally.quantile, z, operator, bound)
    return iter([_beyond(figure, tally, z, operator, operator, bound)])


def _beyond(figure: Figure, tally: Tally, z: float, direction: Operator, operator: Operator, bound: Bound) -> str:
    """Whether what is counted is `z` deviations past the bound, in a direction, as the operator compares."""
    sign = "+" if direction.startswith(">") else "-"
    names = {"above": tally.counted, "calls": tally.calls, "operator": operator, "sign": sign, "bound": bound.value}
    if figure.is_share:
        assert bound.number is not None  # noqa: S101 - shares are compared with amounts
        margin = margin_of_share(bound.number, z)
        return promql("$above $operator $bound * $calls $sign $margin * $calls ^ 0.5", margin=margin, **names)
    template = "$above $operator ($calls $sign $z * $calls ^ 0.5) * $matching $bound"
    return promql(template, z=z, matching=bound.matching, **names)


def _outage(figure: Figure, operator: Operator, bound: Bound) -> Iterator[str]:
    """Enough calls that all failed are certain, whatever the bound; left out where the other clauses imply it."""
    few, of = figure.outage, bound.number
    if not few or of is None or not operator.startswith(">"):
        return
    if few * (1 - of) <= Z_WINDOW * sqrt(few * of * (1 - of)):
        yield promql("$value >= 1 and $calls >= $few", value=figure.value, calls=figure.calls, few=few)


def _quantile(tally: Tally, q: float, z: float, operator: Operator, bound: Bound) -> Iterator[str]:
    sign = -1 if operator.startswith(">") else 1
    for times in _LADDER:
        least = times * tally.least
        surely = q + sign * z * sqrt(q * (1 - q) / least)
        if 0 < surely < 1:
            yield promql(
                "histogram_quantile($surely, $buckets) $operator $matching $bound and $calls >= $least",
                surely=f"{surely:.4g}",
                buckets=tally.counted,
                operator=operator,
                matching=bound.matching,
                bound=bound.value,
                calls=tally.calls,
                least=least,
            )


_OPPOSITE: dict[Operator, Operator] = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


def judged(figure: Figure, operator: Operator, bound: Bound, firing: str) -> str:
    """What to compare with the bound: the figure where it is certain, and while the alert fires until it has recovered.

    `firing` selects the alert's own `ALERTS` series. It is certain within the window, or within the hour; the hour does
    not count once the last two windows are calm, because it remembers what is long over.
    """
    if _is_never_in_doubt(figure, bound):
        return for_alert(figure, firing)
    names = {"value": figure.value, "held": figure.held, "labels": figure.labels, "firing": firing}
    names["unknown"] = unknown(figure, firing)
    if figure.recent is None:
        template = "(($value and ($certain)) or ($held and on ($labels) $firing) or $unknown)"
        return promql(template, certain=certainly(figure, operator, bound), **names)
    window, hour = figure.tallies
    return promql(
        """
        (
          ($value and ($certain)) or ($value and ($lasting) unless ($calm))
            or ($held and on ($labels) $firing unless ($recovered)) or $unknown
        )
        """,
        certain=" or ".join([*_certain(figure, window, operator, bound), *_outage(figure, operator, bound)]),
        lasting=" or ".join(_certain(figure, hour, operator, bound)),
        calm=_calm(figure, figure.recent, operator, bound),
        recovered=_recovered(figure, figure.recent, hour, operator, bound),
        **names,
    )


def _calm(figure: Figure, recent: Tally, operator: Operator, bound: Bound) -> str:
    """Whether the last two windows have calls enough, and are not clearly beyond the bound."""
    opposite = _OPPOSITE[operator]
    if recent.quantile is None:
        beyond = _beyond(figure, recent, Z_CALM, operator, opposite, bound)
    else:
        beyond = promql(
            "histogram_quantile($q, $buckets) $operator $matching $bound",
            q=recent.quantile,
            buckets=recent.counted,
            operator=opposite,
            matching=bound.matching,
            bound=bound.value,
        )
    return promql("$beyond and $calls >= $least", beyond=beyond, calls=recent.calls, least=recent.least)


def _recovered(figure: Figure, recent: Tally, hour: Tally, operator: Operator, bound: Bound) -> str:
    """Whether the last two windows are so much better than the last hour that something has changed within it.

    What goes on just beyond the bound is calm now and then by chance, but does not differ from its own hour. Where the
    last two windows are better and still beyond the bound, the hour is beyond it for certain.
    """
    if recent.quantile is not None:
        return " or ".join(_quantile(recent, recent.quantile, Z_CALM, _OPPOSITE[operator], bound))
    expected = f"({hour.counted} * {recent.calls} / {hour.calls})"
    better = f"{expected} - {recent.counted}" if operator.startswith(">") else f"{recent.counted} - {expected}"
    spread = "$expected ^ 0.5" if figure.is_share else "$expected / $calls ^ 0.5"
    return promql(f"$better > $z * {spread}", better=better, z=Z_CHANGE, expected=expected, calls=recent.calls)


AS_IT_IS = "none: the figure is compared as it is, however few calls it is based on."


def in_words(figure: Figure, relation: str, bound: str) -> str:
    """How certainty is decided for a figure that must be, say, `above` a `bound`."""
    by = _METHODS["quantile" if figure.tallies[0].quantile is not None else "share" if figure.is_share else "mean"]
    if figure.is_share and bound in ("0%", "100%"):
        return "at this threshold any call decides."
    outage = f" {figure.outage} calls that all failed are certain." if figure.outage and "above" in relation else ""
    levels = levels_in_words(figure.tallies)
    if figure.recent is not None:
        levels += f", unless the last {duration(figure.recent.seconds)} show that it has recovered"
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
