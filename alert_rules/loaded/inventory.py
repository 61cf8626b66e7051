"""`rules list`: every alert, where it comes from, and whether it is watched."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from alert_rules.language.source import Source
from alert_rules.loaded.differences import NOT_LOADED
from alert_rules.loaded.servers import RuleState
from alert_rules.model.conventions import BUILTIN_GROUP, alert_id
from alert_rules.output.alertmanager import receivers
from alert_rules.output.building import Compiled

BUILT_IN = "built-in"


@dataclass(frozen=True)
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

    def as_json(self) -> dict[str, object]:
        """The fields for a script."""
        return asdict(self)


def builtin_names(built: Compiled) -> tuple[str, ...]:
    """The alerts that every set of rules has."""
    rules = [rule for group in built.groups if group.name == BUILTIN_GROUP for rule in group.rules]
    return tuple(dict.fromkeys(rule.name for rule in rules if rule.is_alert))


def inventory(built: Compiled, source: Source, states: Callable[[str], RuleState]) -> Iterator[Listed]:
    """The alerts of the file in its order, then the built-in ones; `states` are those in Prometheus, by name."""
    for number, alert in enumerate(built.alerts):
        severities = "/".join(dict.fromkeys(rung.severity for rung in alert.levels))
        place = f"{source.file}:{source.place(('alerts', number, 'name')).line}"
        channels = ",".join(alert.channels)
        about = (alert.name, alert.condition, severities, channels, place)
        yield _listed(about, states(alert.name), disabled=alert.disabled)
    rules = [rule for group in built.groups for rule in group.rules if rule.is_alert]
    for name in builtin_names(built):
        mine = [rule for rule in rules if rule.name == name]
        severities = "/".join(dict.fromkeys(rule.labels["severity"] for rule in mine))
        summary = mine[0].annotations["summary"]
        channels = ",".join(receivers(name, mine[0].labels["channel"].split(",")))
        yield _listed((name, summary, severities, channels, BUILT_IN), states(name), disabled=False)


def _listed(about: tuple[str, str, str, str, str], state: RuleState, *, disabled: bool) -> Listed:
    loaded, difference = state.loaded, state.difference
    if disabled:
        # It is as built where Prometheus has nothing of it.
        loaded = None if loaded is None else difference not in ("", NOT_LOADED)
        difference = difference if loaded else ""
    return Listed(alert_id(about[0]), *about, loaded, difference, disabled)


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
