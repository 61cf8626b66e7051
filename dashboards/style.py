"""House style: units, colours, thresholds, value mappings. No panel writes these by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

USD = "currencyUSD"
DOLLARS = "prefix:$"
"""Money to the cent, where Grafana's own unit would round thousands: $1234.56, not $1.23K."""
MORE_OR_LESS = "suffix: USD"
"""Money that may be negative, which Grafana would write as $-0.06."""
SHARE = "percentunit"
SECONDS = "suffix: s"
"""Durations of calls: 140 s, where Grafana's own unit writes 2.33 mins."""
SCALED_SECONDS = "si:s"
"""Durations on a logarithmic axis: 250 ms, 140 s. In seconds, Grafana may write 0.1 s beside two of its marks."""
AGE = "dtdurations"
"""Times since, in seconds: 2 minutes, 20 seconds."""
COUNT = "short"
PLAIN = "none"
TEXT = "string"
"""Names, which Grafana would else take for numbers where they look like one: 653588e7, say."""
TIME = "dateTimeAsIso"
SINCE = "dateTimeFromNow"

UNITS = frozenset({USD, DOLLARS, MORE_OR_LESS, SHARE, SECONDS, SCALED_SECONDS, AGE, COUNT, PLAIN, TEXT, TIME, SINCE})
"""Every unit that a panel may have, by Grafana's ids."""

GOOD, WARN, BAD, CALM, DIM = "green", "orange", "red", "blue", "text"
GREY = "#8e8e8e"
"""What is left over: `other`, `all others`, and what was a week ago."""

NOT_READ = "Not read"
"""What the exporter's figures show while there are none: it does not read the log, or is not there itself."""
NOTHING = "Nothing in this range"
"""What a list or a chart shows when there was nothing to show."""
NOT_THERE = "Not set up"
"""What figures of other programs show where Prometheus does not scrape them."""
ABSENT = frozenset({NOT_READ, NOTHING, NOT_THERE})
"""The usual reasons why a panel is empty. Some panels know a closer one."""

NOT_SET = -1.0
"""The value that means "there is none", of a limit for example. Panels that map it show no other negative value."""

NO_CALLS = "No calls"

Mappings = list[dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """From `value` on, a panel has this colour; the first step has no value."""

    color: str
    value: float | None = None

    def to_json_data(self) -> dict[str, object]:
        """What grafanalib's encoder asks for."""
        return {"color": self.color, "value": self.value}


Steps = Sequence[Step]

NEUTRAL: Steps = (Step(DIM),)
CALMING: Steps = (Step(CALM),)


def worse_above(warn: float, bad: float | None = None) -> Steps:
    """Good below `warn`, bad from `bad` on; without `bad`, bad from `warn` on."""
    if bad is None:
        return (Step(GOOD), Step(BAD, warn))
    return (Step(GOOD), Step(WARN, warn), Step(BAD, bad))


def worse_below(bad: float, warn: float) -> Steps:
    """Bad below `bad`, good from `warn` on."""
    return (Step(BAD), Step(WARN, bad), Step(GOOD, warn))


def value_mappings(texts: Mapping[Any, tuple[str, str]]) -> Mappings:
    """A mapping of values, texts or numbers, to a text and a colour."""
    options = {
        value if isinstance(value, str) else f"{value:g}": {"color": color, "index": index, "text": text}
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def not_set(text: str) -> Mappings:
    """The mapping for `NOT_SET`."""
    return value_mappings({NOT_SET: (text, DIM)})


def no_value(text: str, color: str = DIM) -> Mappings:
    """The mapping for no value at all, which would otherwise get the colour of the lowest value: often the best one."""
    shown = {"color": color, "index": 99, "text": text}
    return [{"type": "special", "options": {"match": "null+nan", "result": shown}}]


YES_NO = value_mappings({1: ("Yes", GOOD), 0: ("No", BAD)})
