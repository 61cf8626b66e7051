"""From alerts as written to alerts as rules are made of them; what makes no sense is said, all of it at once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import pairwise

from alert_rules.certainty import AS_IT_IS, in_words
from alert_rules.companions import is_built_in
from alert_rules.comparisons import Comparison, is_unavailability, unavailable_in_words, variants
from alert_rules.conditions import ConditionError, Token, parse_condition
from alert_rules.conventions import DEFAULT_WINDOW, SEVERITIES
from alert_rules.dimensions import THRESHOLDS, Amount, Dimension, promql_number
from alert_rules.errors import wrong
from alert_rules.loading import Alerts
from alert_rules.model import Alert, Reading, Rung, Variant
from alert_rules.parts import RUNG, MeaningError, Part, known_quantity
from alert_rules.proposing import propose
from alert_rules.quantities import Ask
from alert_rules.source import Source
from alert_rules.spec import AlertSpec
from exporter.diagnostics import Problem


def compile_alerts(alerts: Alerts, channels: Iterable[str]) -> tuple[Alert, ...]:
    """Every alert, in the order of the file. Raises `RulesError` with all that is wrong with the file."""
    compiled, problems = [], [*alerts.problems, *_duplicates(alerts), *_built_in(alerts)]
    known = tuple(channels)
    for number, spec in alerts.specs.items():
        problems += _unknown_channels(spec, known, alerts.source, number)
        try:
            compiled.append(compile_alert(spec))
        except MeaningError as error:
            path = ("alerts", number, error.field)
            if error.rung is not None:
                problems.append(alerts.source.key_problem((*path, error.rung), error.found, error.hint))
                continue
            problems.append(alerts.source.problem(path, error.found, error.hint, error.offset))
    if problems:
        raise wrong(problems)
    return tuple(compiled)


def _duplicates(alerts: Alerts) -> Iterator[Problem]:
    counts = Counter(spec.name for spec in alerts.specs.values())
    for number, spec in alerts.specs.items():
        if counts[spec.name] > 1:
            yield alerts.source.problem(
                ("alerts", number, "name"), f"the name {spec.name!r} {counts[spec.name]} times", "give each its own"
            )


def _built_in(alerts: Alerts) -> Iterator[Problem]:
    for number, spec in alerts.specs.items():
        if is_built_in(spec.name):
            found = f"the name {spec.name!r}, which is a built-in alert's"
            yield alerts.source.problem(("alerts", number, "name"), found, "choose another one")


def _unknown_channels(spec: AlertSpec, known: tuple[str, ...], source: Source, number: int) -> Iterator[Problem]:
    for position, channel in enumerate(spec.channel):
        if channel not in known:
            hint = f"write one of {', '.join(known)}, or add it to channels.yaml"
            path = ("alerts", number, "channel", position)
            yield source.problem(path, f"the channel {channel!r}, which is not known", hint)


def compile_alert(spec: AlertSpec) -> Alert:
    """One alert. Raises an error that `compile_alerts` turns into a `Problem`."""
    condition, field = _condition(spec)
    parts = _parts(spec, condition, field)
    _check_fields(spec, parts)
    first = parts[0]
    rungs = tuple(_rungs(spec, parts))
    return Alert(
        spec.name,
        condition,
        tuple(sorted(set(spec.channel))),
        rungs,
        first.quantity.wait if spec.for_ is None else spec.for_,
        first.quantity.keep if spec.keep_firing_for is None else spec.keep_firing_for,
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
        raise MeaningError(field, error.found, propose(condition) or error.hint, error.offset) from None
    except MeaningError as error:
        if error.rung is not None:
            (first, *_) = parse_condition(condition)
            proposal = propose(f"{first.left.text} {first.operator} {error.rung}")
            error.hint = proposal.replace(f"{first.left.text} {first.operator} ", "") if proposal else error.hint
        elif error.field == field == "condition":
            error.hint = propose(condition) or error.hint
        raise


def _reading(spec: AlertSpec, part: Part, variants: tuple[Variant, ...]) -> Reading:
    quantity = part.quantity
    splits = tuple(dict.fromkeys(variant.by for variant in variants)) if part.first else (part.split,)
    if quantity.least is None:
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
    return Ask(part.split, spec.window or DEFAULT_WINDOW, spec.min_operations or part.quantity.least or 1)


def _condition(spec: AlertSpec) -> tuple[str, str]:
    """The condition's text, and the field it came from."""
    thresholds = {name: value for name in THRESHOLDS if (value := getattr(spec, name)) is not None}
    if spec.condition is not None:
        if spec.type is not None or thresholds:
            field = "type" if spec.type is not None else next(iter(thresholds))
            raise MeaningError(field, f"{field} beside a condition", "keep one of the two")
        return spec.condition, "condition"
    if spec.type is None:
        raise MeaningError("name", "an alert without a condition", "write condition: daily_spend > $200, or the like")
    quantity = known_quantity(Token("word", spec.type, 0), "type")
    if len(thresholds) != 1:
        fits = " or ".join(known for known, (of, _) in THRESHOLDS.items() if of is quantity.dimension)
        found = " and ".join(thresholds) if thresholds else "no threshold"
        raise MeaningError("type", f"{found} beside type", f"write one, {fits}")
    ((name, value),) = thresholds.items()
    dimension, form = THRESHOLDS[name]
    if dimension is not quantity.dimension:
        fits = " or ".join(known for known, (of, _) in THRESHOLDS.items() if of is quantity.dimension)
        raise MeaningError(name, f"{name} for {quantity.name}", f"write {fits}")
    return f"{spec.type} > {form.format(promql_number(Decimal(str(value))))}", "type"


def _check_fields(spec: AlertSpec, parts: list[Part]) -> None:
    for name in ("window", "min_operations", "certainty"):
        if getattr(spec, name) is not None and all(part.quantity.least is None for part in parts):
            raise MeaningError(name, f"{name} for {parts[0].quantity.name}", "leave it out: it has no effect there")
    if spec.keep_firing_for and any(part.quantity.is_spend for part in parts):
        hint = "leave it out: it would go on firing for yesterday's spend past midnight"
        raise MeaningError("keep_firing_for", f"keep_firing_for on {parts[0].quantity.name}", hint)
    if (spec.rungs is not None) and not parts[0].is_ladder:
        raise MeaningError("rungs", "rungs that the condition does not use", f"compare with the word {RUNG}")
    if any(part.is_ladder for part in parts[1:]):
        raise MeaningError(parts[0].field, "rung in a later comparison", "write the comparison with rung first")
    if spec.rungs is not None and spec.severity is not None:
        raise MeaningError("severity", "severity beside rungs", "leave it out: each rung has its own")


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
            raise MeaningError("rungs", found, "keep one of them", rung=amount.text)
        if SEVERITIES.index(severity) > SEVERITIES.index(before):
            found = "a rung that is less severe than the one before it"
            raise MeaningError("rungs", found, "let severity rise", rung=amount.text)
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
            raise MeaningError(part.field, part.comparison.left.text, hint, part.comparison.left.offset)
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
