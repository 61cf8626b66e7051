"""House style: units, colours, thresholds, value mappings. No panel writes these by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

USD = "currencyUSD"
SHARE = "percentunit"
SECONDS = "s"
COUNT = "short"
PLAIN = "none"
TIME = "dateTimeAsIso"

UNITS = frozenset({USD, SHARE, SECONDS, COUNT, PLAIN, TIME})
"""Every unit that a panel may have, by Grafana's ids."""

GOOD, WARN, BAD, CALM, DIM = "green", "orange", "red", "blue", "text"

NO_DATA = "No data"
"""What a panel shows without data, which is not the same as 0."""

NOT_SET = -1.0
"""The value that means "there is none", of a limit for example. Panels that map it show no other negative value."""

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


def no_data(color: str = DIM) -> Mappings:
    """The mapping for no value at all, which would otherwise get the colour of the lowest value: often the best one."""
    shown = {"color": color, "index": 99, "text": NO_DATA}
    return [{"type": "special", "options": {"match": "null+nan", "result": shown}}]


YES_NO = value_mappings({1: ("Yes", GOOD), 0: ("No", BAD)})
