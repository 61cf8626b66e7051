"""Compile alert specs into alerts, reporting every semantic error in the file at once."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from alert_rules.compiler.builtin_alerts import is_built_in
from alert_rules.compiler.comparisons import variants
from alert_rules.compiler.resolving import RUNG, SemanticError, known_quantity, read_amount, resolve
from alert_rules.language.loading import Alerts
from alert_rules.language.source import Source
from alert_rules.language.spec import AlertSpec
from alert_rules.model.alerts import Alert, ResolvedComparison, SeverityLevel, Variant
from alert_rules.model.conventions import SEVERITIES, quoted
from alert_rules.model.dimensions import THRESHOLDS, Amount, Dimension, promql_number
from alert_rules.model.errors import wrong
from exporter.diagnostics import Problem
from exporter.yaml_source import SettingPath


def compile_alerts(alerts: Alerts, channels: Collection[str]) -> tuple[Alert, ...]:
    """Compile every alert, in the order of the file. Raises `RulesError` with all that is wrong with the file."""
    compiled, problems = [], [*alerts.problems, *_duplicates(alerts)]
    for number, spec in alerts.specs.items():
        alert, errors = check_alert(spec, channels)
        problems += [_located(error, alerts.source, ("alerts", number, error.field)) for error in errors]
        compiled.append(alert)
    if problems:
        raise wrong(problems)
    return tuple(alert for alert in compiled if alert)


def check_alert(spec: AlertSpec, channels: Collection[str]) -> tuple[Alert | None, list[SemanticError]]:
    """Compile one alert, and collect what is wrong with it on its own."""
    errors = [*_unknown_channels(spec, channels)]
    if is_built_in(spec.name):
        found = f"the name {spec.name!r}, which is a built-in alert's"
        errors.append(SemanticError("name", found, "choose another one"))
    try:
        return compile_alert(spec), errors
    except SemanticError as error:
        return None, [*errors, error]


def _located(error: SemanticError, source: Source, path: SettingPath) -> Problem:
    if isinstance(error.inner, str):
        return source.key_problem((*path, error.inner), error.found, error.hint)
    inner = () if error.inner is None else (error.inner,)
    return source.problem((*path, *inner), error.found, error.hint, error.offset)


def _duplicates(alerts: Alerts) -> Iterator[Problem]:
    counts = Counter(spec.name for spec in alerts.specs.values())
    for number, spec in alerts.specs.items():
        if counts[spec.name] > 1:
            found = f"the name {spec.name!r} {counts[spec.name]} times"
            yield alerts.source.problem(("alerts", number, "name"), found, "give each its own")


def _unknown_channels(spec: AlertSpec, known: Collection[str]) -> Iterator[SemanticError]:
    for position, channel in enumerate(spec.channel):
        if channel not in known:
            hint = f"write one of {', '.join(known)}, or add it to channels.yaml"
            yield SemanticError("channel", f"the channel {channel!r}, which is not known", hint, inner=position)


def compile_alert(spec: AlertSpec) -> Alert:
    """Compile one alert. Raises `SemanticError`."""
    condition, field = condition_of(spec)
    comparisons = resolve(spec, condition, field)
    _check_fields(spec, comparisons, field)
    quantity = comparisons[0].quantity
    return Alert(
        name=spec.name,
        condition=condition,
        channels=tuple(sorted(set(spec.channel))),
        levels=tuple(_levels(spec, comparisons, field)),
        for_=quantity.for_ if spec.for_ is None else spec.for_,
        keep_firing_for=quantity.keep_firing_for if spec.keep_firing_for is None else spec.keep_firing_for,
        summary=spec.summary or _summary(comparisons),
        comparisons=comparisons,
        disabled=spec.disabled,
    )


def condition_of(spec: AlertSpec) -> tuple[str, str]:
    """The text of an alert's condition, and the field it comes from. Raises `SemanticError`."""
    thresholds = {name: value for name in THRESHOLDS if (value := getattr(spec, name)) is not None}
    if spec.condition is not None:
        if spec.type is not None or thresholds:
            field = "type" if spec.type is not None else next(iter(thresholds))
            raise SemanticError(field, f"{field} beside a condition", "keep one of the two")
        return spec.condition, "condition"
    if spec.type is None:
        raise SemanticError("name", "an alert without a condition", "write condition: daily_spend > $200, or the like")
    quantity = known_quantity(spec.type, "type")
    if len(thresholds) != 1:
        fits = " or ".join(known for known, (of, _) in THRESHOLDS.items() if of is quantity.dimension)
        found = " and ".join(thresholds) if thresholds else "no threshold"
        raise SemanticError("type", f"{found} beside type", f"write one, {fits}")
    ((name, value),) = thresholds.items()
    dimension, form = THRESHOLDS[name]
    if dimension is not quantity.dimension:
        fits = " or ".join(known for known, (of, _) in THRESHOLDS.items() if of is quantity.dimension)
        raise SemanticError(name, f"{name} for {quantity.name}", f"write {fits}")
    return f"{spec.type} > {form.format(promql_number(Decimal(str(value))))}", name


def _check_fields(spec: AlertSpec, comparisons: Sequence[ResolvedComparison], field: str) -> None:
    first, *others = comparisons
    for name in ("window", "min_operations", "certainty"):
        if getattr(spec, name) is not None and all(each.quantity.min_operations is None for each in comparisons):
            raise SemanticError(name, f"{name} for {first.quantity.name}", "leave it out: it has no effect there")
    if spec.keep_firing_for and any(each.quantity.is_spend for each in comparisons):
        hint = "leave it out: it would go on firing for yesterday's spend past midnight"
        raise SemanticError("keep_firing_for", f"keep_firing_for on {first.quantity.name}", hint)
    if spec.rungs is not None and not first.has_levels:
        raise SemanticError("rungs", "rungs that the condition does not use", f"compare with the word {RUNG}")
    if any(each.has_levels for each in others):
        raise SemanticError(field, "rung in a later comparison", "write the comparison with rung first")
    if spec.rungs is not None and spec.severity is not None:
        raise SemanticError("severity", "severity beside rungs", "leave it out: each rung has its own")


def _levels(spec: AlertSpec, comparisons: Sequence[ResolvedComparison], field: str) -> Iterator[SeverityLevel]:
    first = comparisons[0]
    if spec.rungs is None:
        only = None if first.amount is None else float(first.amount.value)
        yield SeverityLevel("", only, spec.severity or "warning", _variants(spec.name, comparisons, field))
        return
    amounts = [(read_amount(first.quantity, first.operator, text, "rungs"), sev) for text, sev in spec.rungs.items()]
    rising = first.operator in (">", ">=")
    ordered = sorted(amounts, key=lambda pair: pair[0].value, reverse=not rising)
    for (earlier, before), (amount, severity) in pairwise(ordered):
        if amount.value == earlier.value:
            found = f"{amount.text} and {earlier.text}, which are the same rung"
            raise SemanticError("rungs", found, "keep one of them", inner=amount.text)
        if SEVERITIES.index(severity) > SEVERITIES.index(before):
            found = "a rung that is less severe than the one before it"
            raise SemanticError("rungs", found, "let severity rise", inner=amount.text)
    for amount, severity in ordered:
        label = _rung_label(amount)
        of_level = [replace(first, amount=amount), *comparisons[1:]]
        yield SeverityLevel(label, float(amount.value), severity, _variants(spec.name, of_level, field, label))


def _rung_label(amount: Amount) -> str:
    """The rung's amount in one spelling, so that another spelling does not make another alert."""
    text = amount.text.strip("$%").replace(",", "")
    return text if amount.dimension is Dimension.DURATION else promql_number(Decimal(text))


def _variants(
    alertname: str, comparisons: Sequence[ResolvedComparison], field: str, rung: str = ""
) -> tuple[Variant, ...]:
    """The rules of one severity level: those of the first comparison, with the others required as well."""
    labels = {"alertname": alertname, **({RUNG: rung} if rung else {}), "alertstate": "firing"}
    firing = "ALERTS{" + ",".join(f"{name}={quoted(value)}" for name, value in labels.items()) + "}"
    built = variants(comparisons[0], firing)
    for comparison in comparisons[1:]:
        (*more, required) = variants(comparison, firing)
        if more:
            hint = "write this comparison first: it stands for several rules"
            raise SemanticError(field, comparison.quantity.name, hint, comparison.offset)
        built = tuple(_while(variant, required) for variant in built)
    return built


def _while(variant: Variant, required: Variant) -> Variant:
    """The variant as long as the other one holds, too, for the labels that both have."""
    shared = ", ".join(("job", *(label for label in variant.by if label in required.by)))
    return replace(
        variant,
        expr=f"({variant.expr}) and on ({shared}) ({required.expr})",
        recordings=(*variant.recordings, *required.recordings),
        also=f"{variant.also} while {required.subject.lower()} is {required.relation} {required.limit.noun}".strip(),
    )


def _summary(comparisons: Sequence[ResolvedComparison]) -> str:
    first, *others = comparisons
    if first.is_unavailability:
        return "A model does not answer in time, or not at all."
    if first.amount is not None:
        bound = first.amount.text
    elif first.limit is not None:
        bound = f"the {first.limit.subject.lower()}"
    else:
        bound = "one of its steps"
    more = "".join(f" while {each.quantity.subject.lower()} is {each.relation} {each.written}" for each in others)
    return f"{first.quantity.subject} is {first.relation} {bound}{more}."
