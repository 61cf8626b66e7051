"""From compiled alerts to Prometheus rules."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from alert_rules.language.spec import Links
from alert_rules.model.alerts import Alert, Rung, Variant
from alert_rules.model.conventions import RULES_GROUP
from alert_rules.output.annotations import annotations
from alert_rules.quantities.recordings import Recording, known_jobs


@dataclass(frozen=True)
class Rule:
    """A recording rule, or an alerting one; times in seconds."""

    name: str
    expr: str
    is_alert: bool
    wait: int = 0
    keep: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, so that each sees what those before it have recorded."""

    name: str
    rules: tuple[Rule, ...]


def rules_group(alerts: Sequence[Alert], links: Links) -> Group:
    """The rules of the alerts, behind all that they record."""
    recordings = [Rule(r.name, r.expr, is_alert=False) for r in (known_jobs(), *_once(alerts))]
    return Group(RULES_GROUP, (*recordings, *(rule for alert in alerts for rule in _alerting(alert, links))))


def _once(alerts: Iterable[Alert]) -> Iterator[Recording]:
    known: dict[str, str] = {}
    for recording in (recording for alert in alerts for recording in alert.recordings):
        if known.setdefault(recording.name, recording.expr) != recording.expr:
            raise ValueError(f"two expressions are recorded as {recording.name}")
    return (Recording(name, expr) for name, expr in known.items())


def _alerting(alert: Alert, links: Links) -> Iterator[Rule]:
    # the highest rung first: what is sent first has inhibited the lower ones when they arrive
    for rung in reversed(alert.rungs):
        for variant in rung.variants:
            said = {name: text for name, text in asdict(annotations(alert, variant, links)).items() if text}
            labels = _labels(alert, rung, variant)
            yield Rule(alert.name, variant.expr, True, alert.wait, alert.keep, labels, said)


def _labels(alert: Alert, rung: Rung, variant: Variant) -> dict[str, str]:
    labels = {"severity": rung.severity, "channel": ",".join(alert.channels), **variant.labels}
    return {**labels, "rung": rung.label} if rung.label else labels
