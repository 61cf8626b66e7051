"""Alerts on panels: the line at which an alert fires and the sentence about it, and those that a person counts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from alert_rules.compiler.implications import implications
from alert_rules.compiler.thresholds import Thresholds
from alert_rules.output.alertmanager import inhibitions, levels_of
from dashboards.promql import PROBLEMS
from dashboards.style import BAD, GOOD, WARN, Step, Steps

FIRING = 'alertstate="firing"'


@dataclass(frozen=True)
class AlertLine:
    """The threshold of one alert: dollars, seconds or a fraction, None where no such alert fires.

    `written` spells a threshold for people.
    """

    alert: str
    value: float | None
    written: Callable[[float], str]

    @property
    def complement(self) -> "AlertLine":
        """The line for the share of the opposite: calls that succeed where the alert is on calls that fail."""
        return replace(self, value=None if self.value is None else round(1 - self.value, 12))

    def above(self, color: str = BAD, below: str = GOOD) -> Steps:
        """One colour below the line, the other from the line on."""
        return () if self.value is None else (Step(below), Step(color, self.value))

    def warning_above(self) -> Steps:
        """For something else than the alert looks at: a warning from the line on, and bad from twice that."""
        return () if self.value is None else (Step(GOOD), Step(WARN, self.value), Step(BAD, 2 * self.value))

    def below(self, above: str = GOOD) -> Steps:
        """Bad below the line; from the line on good, or without colour for a line that is drawn."""
        return () if self.value is None else (Step(BAD), Step(above, self.value))

    def note(self, sentence: str) -> str:
        """A sentence to append to a description, with `{value}` and `{alert}` filled in; empty without an alert."""
        if self.value is None:
            return ""
        return f" {sentence.format(value=self.written(self.value), alert=f'`{self.alert}`')}"


@dataclass(frozen=True)
class AlertLines:
    """The alerts that panels draw.

    `budget` are shares of the daily limit, the lowest first: the steps of `budget_used`, and the limit itself.
    `silent` are expressions for alerts that Alertmanager does not send, since a worse one says the same.
    """

    daily_spend: AlertLine
    error_rate: AlertLine
    latency: AlertLine
    budget: tuple[float, ...]
    odd_spend: AlertLine
    silent: tuple[str, ...] = ()

    def counted(self, *matchers: str) -> str:
        """The alerts that match, each as 1, as a person counts them: one for each thing that is wrong."""
        listed = f"ALERTS{{{', '.join((PROBLEMS, *matchers))}}}"
        return f"({listed} unless ({' or '.join(self.silent)}))" if self.silent else listed

    def budget_steps(self) -> Steps:
        """Good below the first share, bad from the limit on, more alarming with each share in between."""
        early = len(self.budget) - 2
        colors = (*["yellow"] * early, WARN, BAD)[-len(self.budget) :]
        return (Step(GOOD), *(Step(color, share) for color, share in zip(colors, self.budget, strict=True)))

    def budget_note(self) -> str:
        """The sentence on these colours, to append to a description."""
        return " Colours change at the thresholds of `budget_used`." if len(self.budget) > 1 else ""


def alert_lines(thresholds: Thresholds) -> AlertLines:
    """The lines that these alerts give."""

    def line(name: str, quantity: str, written: Callable[[float], str]) -> AlertLine:
        return AlertLine(name, next(iter(thresholds.amounts(name, quantity)), None), written)

    shares = thresholds.amounts("budget_used", "budget_utilization")
    return AlertLines(
        daily_spend=line("high_daily_spend", "daily_spend", lambda usd: f"${usd:,.2f}".removesuffix(".00")),
        error_rate=line("high_error_rate", "error_rate", lambda share: f"{100 * share:g}%"),
        latency=line("slow_operations", "avg_latency", lambda seconds: f"{seconds:g} s"),
        odd_spend=line("spend_anomaly", "spend_anomaly", lambda usd: f"${usd:,.2f}".removesuffix(".00")),
        budget=(*(share for share in shares if share < 1), 1.0),
        silent=_silent(thresholds),
    )


def _silent(thresholds: Thresholds) -> tuple[str, ...]:
    alerts = tuple(thresholds.alerts.values())
    routed = [level for alert in alerts for level in levels_of(alert)]
    return tuple(
        f"(ALERTS{{{', '.join((PROBLEMS, *rule['target_matchers']))}}} and on ({', '.join(rule['equal'])})"
        f" ALERTS{{{', '.join((FIRING, PROBLEMS, *rule['source_matchers']))}}})"
        for rule in inhibitions(routed, implications(alerts))
    )
