"""`rules list`: every alert, where it comes from, and whether it is watched."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from alert_rules.language.source import Source
from alert_rules.loaded.differences import NOT_LOADED
from alert_rules.loaded.servers import RuleState
from alert_rules.model.conventions import BUILTIN_GROUP, alert_id
from alert_rules.output.alertmanager import receivers
from alert_rules.output.building import Compiled

BUILT_IN = "built-in"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An alert; `source` is the file and line, or `built-in`.

    `loaded` is whether Prometheus has it as it is built, None if that is not known. `difference` is what
    it has instead.
    """

    id: str
    name: str
    condition: str
    severity: str
    channel: str
    source: str
    loaded: bool | None
    difference: str
    disabled: bool


def builtin_names(built: Compiled) -> tuple[str, ...]:
    """The alerts that every set of rules has."""
    rules = [rule for group in built.groups if group.name == BUILTIN_GROUP for rule in group.rules]
    return tuple(dict.fromkeys(rule.name for rule in rules if rule.is_alert))


def inventory(built: Compiled, source: Source, states: Callable[[str], RuleState]) -> Iterator[Listed]:
    """The alerts of the file in its order, then the built-in ones; `states` are those in Prometheus, by name."""
    for number, alert in enumerate(built.alerts):
        loaded, difference = _loaded(states(alert.name), disabled=alert.disabled)
        yield Listed(
            id=alert_id(alert.name),
            name=alert.name,
            condition=alert.condition,
            severity="/".join(dict.fromkeys(level.severity for level in alert.levels)),
            channel=",".join(alert.channels),
            source=f"{source.file}:{source.place(('alerts', number, 'name')).line}",
            loaded=loaded,
            difference=difference,
            disabled=alert.disabled,
        )
    rules = [rule for group in built.groups for rule in group.rules if rule.is_alert]
    for name in builtin_names(built):
        mine, state = [rule for rule in rules if rule.name == name], states(name)
        yield Listed(
            id=alert_id(name),
            name=name,
            condition=mine[0].annotations["summary"],
            severity="/".join(dict.fromkeys(rule.labels["severity"] for rule in mine)),
            channel=",".join(receivers(name, mine[0].labels["channel"].split(","))),
            source=BUILT_IN,
            loaded=state.loaded,
            difference=state.difference,
            disabled=False,
        )


def _loaded(state: RuleState, *, disabled: bool) -> tuple[bool | None, str]:
    """Whether Prometheus has an alert, and what it has instead; one that is disabled is not there as it is built."""
    if not disabled:
        return state.loaded, state.difference
    loaded = None if state.loaded is None else state.difference not in ("", NOT_LOADED)
    return loaded, state.difference if loaded else ""


_HEADER = ("ID", "NAME", "CONDITION", "SEVERITY", "CHANNEL", "SOURCE", "LOADED")


def table(listed: Sequence[Listed]) -> str:
    """The list for a reader."""
    rows = [_HEADER, *(_row(each) for each in listed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _row(each: Listed) -> tuple[str, ...]:
    if each.disabled:
        state = "disabled, but still loaded" if each.loaded else "disabled"
    elif each.loaded is None:
        state = "unknown"
    else:
        state = "yes" if each.loaded else f"no: {each.difference}"
    return (each.id, each.name, each.condition, each.severity, each.channel, each.source, state)
