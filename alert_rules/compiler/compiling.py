"""Compile alert specs into alerts, reporting every semantic error in the file at once."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import pairwise

from alert_rules.compiler.builtin_alerts import is_built_in
from alert_rules.compiler.certainty import AS_IT_IS, in_words
from alert_rules.compiler.comparisons import Comparison, is_unavailability, unavailable_in_words, variants
from alert_rules.compiler.proposing import propose
from alert_rules.compiler.resolving import RUNG, Part, SemanticError, known_quantity
from alert_rules.language.conditions import ConditionError, parse_condition
from alert_rules.language.loading import Alerts
from alert_rules.language.source import Source
from alert_rules.language.spec import AlertSpec
from alert_rules.model.alerts import Alert, Reading, Rung, Variant
from alert_rules.model.conventions import DEFAULT_WINDOW, SEVERITIES
from alert_rules.model.dimensions import THRESHOLDS, Amount, Dimension, promql_number
from alert_rules.model.errors import Problem, wrong
from alert_rules.quantities.definitions import Ask
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
    parts = _parts(spec, condition, field)
    _check_fields(spec, parts)
    first = parts[0]
    rungs = tuple(_rungs(spec, parts))
    return Alert(
        spec.name,
        condition,
        tuple(sorted(set(spec.channel))),
        rungs,
        first.quantity.for_ if spec.for_ is None else spec.for_,
        first.quantity.keep_firing_for if spec.keep_firing_for is None else spec.keep_firing_for,
        spec.summary or _summary(parts),
        first.quantity.dashboard,
        tuple(_reading(spec, part, rungs[0].variants) for part in parts),
        first.comparison.operator,
        spec.disabled,
    )


def _parts(spec: AlertSpec, condition: str, field: str) -> list[Part]:
    """The comparisons of the condition. What cannot be read gets the form that may have been meant as its hint."""
    try:
        compared = parse_condition(condition)
        return [Part(spec, field, comparison, first=number == 0) for number, comparison in enumerate(compared)]
    except ConditionError as error:
        raise SemanticError(field, error.found, propose(condition) or error.hint, error.offset) from None
    except SemanticError as error:
        if error.inner is not None:
            (first, *_) = parse_condition(condition)
            proposal = propose(f"{first.left.text} {first.operator} {error.inner}")
            error.hint = proposal.replace(f"{first.left.text} {first.operator} ", "") if proposal else error.hint
        elif error.field == field == "condition":
            error.hint = propose(condition) or error.hint
        raise


def _reading(spec: AlertSpec, part: Part, variants: tuple[Variant, ...]) -> Reading:
    quantity = part.quantity
    splits = tuple(dict.fromkeys(variant.by for variant in variants)) if part.first else (part.split,)
    if quantity.min_operations is None:
        return Reading(quantity.name, splits, None, None, "")
    ask = _ask(spec, part)
    bound = part.comparison.right.text
    if is_unavailability(quantity, part.limit):
        certainty = unavailable_in_words(ask) if spec.certainty != "none" else AS_IT_IS
    elif spec.certainty == "none":
        certainty = AS_IT_IS
    else:
        certainty = in_words(quantity.figure(ask), part.relation, bound)
    return Reading(quantity.name, splits, ask.window, ask.min_operations, certainty)


def _ask(spec: AlertSpec, part: Part) -> Ask:
    return Ask(part.split, spec.window or DEFAULT_WINDOW, spec.min_operations or part.quantity.min_operations or 1)


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


def _check_fields(spec: AlertSpec, parts: list[Part]) -> None:
    for name in ("window", "min_operations", "certainty"):
        if getattr(spec, name) is not None and all(part.quantity.min_operations is None for part in parts):
            raise SemanticError(name, f"{name} for {parts[0].quantity.name}", "leave it out: it has no effect there")
    if spec.keep_firing_for and any(part.quantity.is_spend for part in parts):
        hint = "leave it out: it would go on firing for yesterday's spend past midnight"
        raise SemanticError("keep_firing_for", f"keep_firing_for on {parts[0].quantity.name}", hint)
    if (spec.rungs is not None) and not parts[0].is_ladder:
        raise SemanticError("rungs", "rungs that the condition does not use", f"compare with the word {RUNG}")
    if any(part.is_ladder for part in parts[1:]):
        raise SemanticError(parts[0].field, "rung in a later comparison", "write the comparison with rung first")
    if spec.rungs is not None and spec.severity is not None:
        raise SemanticError("severity", "severity beside rungs", "leave it out: each rung has its own")


def _rungs(spec: AlertSpec, parts: list[Part]) -> Iterator[Rung]:
    first = parts[0]
    if spec.rungs is None:
        severity = spec.severity or "warning"
        yield Rung(
            "",
            None if first.amount is None else float(first.amount.value),
            severity,
            _variants(spec, parts, first.amount, {}),
        )
        return
    amounts = [(first.read_amount(text, "rungs", 0), severity) for text, severity in spec.rungs.items()]
    rising = first.comparison.operator in (">", ">=")
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
        yield Rung(label, float(amount.value), severity, _variants(spec, parts, amount, {RUNG: label}))


def _rung_label(amount: Amount) -> str:
    """The rung's amount in one spelling, so that another spelling does not make another alert."""
    text = amount.text.strip("$%").replace(",", "")
    return text if amount.dimension is Dimension.DURATION else promql_number(Decimal(text))


def _variants(
    spec: AlertSpec, parts: list[Part], amount: Amount | None, rung: Mapping[str, str]
) -> tuple[Variant, ...]:
    built = []
    for part in parts:
        labels = {"alertname": spec.name, **rung}
        comparison = Comparison(
            part.quantity,
            part.comparison.operator,
            amount if part is parts[0] else part.amount,
            part.limit,
            part.by,
            _ask(spec, part),
            partial(_firing, labels),
            spec.certainty != "none",
        )
        built.append(variants(comparison))
    return tuple(_joined(variant, built[1:], parts) for variant in built[0])


def _joined(variant: Variant, others: list[tuple[Variant, ...]], parts: list[Part]) -> Variant:
    """The variant with the other comparisons required as well, for the labels that both have."""
    for (*more, other), part in zip(others, parts[1:], strict=True):
        if more:
            hint = "write this comparison first: it stands for several rules"
            raise SemanticError(part.field, part.comparison.left.text, hint, part.comparison.left.offset)
        shared = ", ".join(("job", *(label for label in variant.by if label in other.by)))
        variant = replace(
            variant,
            expr=f"({variant.expr}) and on ({shared}) ({other.expr})",
            recordings=(*variant.recordings, *other.recordings),
            also=f"{variant.also} while {other.subject.lower()} is {other.relation} {other.limit.noun}".strip(),
        )
    return variant


def _firing(labels: Mapping[str, str], more: Mapping[str, str]) -> str:
    every = {**labels, **more, "alertstate": "firing"}
    return "ALERTS{" + ",".join(f"{name}={quoted(value)}" for name, value in every.items()) + "}"


def quoted(text: str) -> str:
    """A text as PromQL's double quotes hold it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _summary(parts: list[Part]) -> str:
    first = parts[0]
    if (first.quantity.name, first.limit and first.limit.name) == ("model_response_time", "timeout"):
        return "A model does not answer in time, or not at all."
    if first.amount is not None:
        bound = first.amount.text
    elif first.limit is not None:
        bound = f"the {first.limit.subject.lower()}"
    else:
        bound = "one of its steps"
    more = "".join(f" while {p.quantity.subject.lower()} is {p.relation} {p.comparison.right.text}" for p in parts[1:])
    return f"{first.quantity.subject} is {first.relation} {bound}{more}."
