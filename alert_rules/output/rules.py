"""Turn compiled alerts into Prometheus rules."""

from collections.abc import Iterable, Iterator, Sequence

from alert_rules.compiler.builtin_alerts import BUILTIN_ALERTS, COST_DIFFERENCE, USERS_WITHOUT_LIMIT, BuiltinAlert
from alert_rules.language.spec import Links
from alert_rules.model.alerts import Alert, SeverityLevel, Variant
from alert_rules.model.conventions import BUILTIN_GROUP, RULES_GROUP
from alert_rules.model.quantities import Recording
from alert_rules.model.rules import Rule, RuleGroup
from alert_rules.output.annotations import annotations, builtin_annotations
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import known_jobs


def rules_group(alerts: Sequence[Alert], links: Links) -> RuleGroup:
    """The rules of the alerts, after all that they record."""
    recordings = map(_recording, (known_jobs(), *_once(alerts)))
    return RuleGroup(RULES_GROUP, (*recordings, *(rule for alert in alerts for rule in _alerting(alert, links))))


def builtin_group(channels: Iterable[str], links: Links) -> RuleGroup:
    """The rules of the built-in alerts, which go to all `channels` that any alert names."""
    to = ",".join(sorted(set(channels)))
    recordings = map(_recording, (*USERS_WITHOUT_LIMIT.recordings, *COST_DIFFERENCE.recordings))
    return RuleGroup(BUILTIN_GROUP, (*recordings, *(_builtin(alert, to, links) for alert in BUILTIN_ALERTS)))


def _recording(recording: Recording) -> Rule:
    return Rule(name=recording.name, expr=recording.expr, is_alert=False)


def _once(alerts: Iterable[Alert]) -> Iterator[Recording]:
    known: dict[str, str] = {}
    for recording in (recording for alert in alerts for recording in alert.recordings):
        if known.setdefault(recording.name, recording.expr) != recording.expr:
            raise ValueError(f"two expressions are recorded as {recording.name}")
    return (Recording(name, expr) for name, expr in known.items())


def _alerting(alert: Alert, links: Links) -> Iterator[Rule]:
    # The highest rung first: what is sent first has inhibited the lower ones when they arrive.
    for level in reversed(alert.levels):
        for variant in level.variants:
            yield Rule(
                name=alert.name,
                expr=variant.expr,
                is_alert=True,
                for_=alert.for_,
                keep_firing_for=alert.keep_firing_for,
                labels=_labels(alert, level, variant),
                annotations=annotations(alert, variant, links),
            )


def _labels(alert: Alert, level: SeverityLevel, variant: Variant) -> dict[str, str]:
    labels = {"severity": level.severity, "channel": ",".join(alert.channels), **variant.labels}
    return {**labels, "rung": level.label} if level.label else labels


def _builtin(alert: BuiltinAlert, channels: str, links: Links) -> Rule:
    return Rule(
        name=alert.name,
        expr=promql(alert.expr),
        is_alert=True,
        for_=alert.for_,
        labels={"severity": alert.severity, "channel": channels, **alert.labels},
        annotations=builtin_annotations(alert, links),
    )
