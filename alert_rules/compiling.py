"""From alerts as written to alerts as rules are made of them; what makes no sense is said, all of it at once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from itertools import pairwise

from alert_rules import conditions
from alert_rules.comparisons import Comparison, limit_split, variants
from alert_rules.conditions import OPERATORS, ConditionError, Token, parse_condition
from alert_rules.conventions import DEFAULT_WINDOW, SEVERITIES
from alert_rules.dimensions import Amount, Dimension, parse_amount, promql_number
from alert_rules.errors import Problem, wrong
from alert_rules.loading import Alerts
from alert_rules.model import Alert, Rung, Variant
from alert_rules.quantities import QUANTITIES, Ask, Quantity, Split
from alert_rules.source import Source
from alert_rules.spec import AlertSpec

RUNG = "rung"
"""The word that stands for each rung of a ladder in a condition."""

_THRESHOLDS = {
    "threshold_usd": (Dimension.MONEY, "${}"),
    "threshold_percent": (Dimension.RATIO, "{}%"),
    "threshold_ms": (Dimension.DURATION, "{}ms"),
    "threshold_seconds": (Dimension.DURATION, "{}s"),
    "threshold": (Dimension.COUNT, "{}"),
}


class _MeaningError(Exception):
    """A mistake in one field of an alert, `offset` characters behind its value's beginning.

    `rung` is the rung that it is in, as written: one of the keys in the field `rungs`.
    """

    def __init__(self, field: str, found: str, mend: str, offset: int = 0, rung: str | None = None) -> None:
        super().__init__(found)
        self.rung = rung
        self.field, self.found, self.mend, self.offset = field, found, mend, offset


def compile_alerts(alerts: Alerts, channels: Iterable[str]) -> tuple[Alert, ...]:
    """Every alert, in the order of the file. Raises `RulesError` with all that is wrong with the file."""
    compiled, problems = [], [*alerts.problems, *_duplicates(alerts)]
    known = tuple(channels)
    for number, spec in alerts.specs.items():
        problems += _unknown_channels(spec, known, alerts.source, number)
        try:
            compiled.append(compile_alert(spec))
        except _MeaningError as error:
            path = ("alerts", number, error.field)
            if error.rung is not None:
                problems.append(alerts.source.key_problem((*path, error.rung), error.found, error.mend))
                continue
            problems.append(alerts.source.problem(path, error.found, error.mend, error.offset))
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


def _unknown_channels(spec: AlertSpec, known: tuple[str, ...], source: Source, number: int) -> Iterator[Problem]:
    for position, channel in enumerate(spec.channel):
        if channel not in known:
            mend = f"write one of {', '.join(known)}, or add it to channels.yaml"
            path = ("alerts", number, "channel", position)
            yield source.problem(path, f"the channel {channel!r}, which is not known", mend)


def compile_alert(spec: AlertSpec) -> Alert:
    """One alert. Raises an error that `compile_alerts` turns into a `Problem`."""
    condition, field = _condition(spec)
    try:
        compared = parse_condition(condition)
    except ConditionError as error:
        raise _MeaningError(field, error.found, error.mend, error.offset) from None
    parts = [_Part(spec, field, comparison, first=number == 0) for number, comparison in enumerate(compared)]
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
        tuple(part.quantity.name for part in parts),
        first.comparison.operator,
    )


def _condition(spec: AlertSpec) -> tuple[str, str]:
    """The condition's text, and the field it came from."""
    thresholds = {name: value for name in _THRESHOLDS if (value := getattr(spec, name)) is not None}
    if spec.condition is not None:
        if spec.type is not None or thresholds:
            field = "type" if spec.type is not None else next(iter(thresholds))
            raise _MeaningError(field, f"{field} beside a condition", "keep one of the two")
        return spec.condition, "condition"
    if spec.type is None:
        raise _MeaningError("name", "an alert without a condition", "write condition: daily_spend > $200, or the like")
    quantity = _known_quantity(Token("word", spec.type, 0), "type")
    if len(thresholds) != 1:
        fits = " or ".join(known for known, (of, _) in _THRESHOLDS.items() if of is quantity.dimension)
        found = " and ".join(thresholds) if thresholds else "no threshold"
        raise _MeaningError("type", f"{found} beside type", f"write one, {fits}")
    ((name, value),) = thresholds.items()
    dimension, form = _THRESHOLDS[name]
    if dimension is not quantity.dimension:
        fits = " or ".join(known for known, (of, _) in _THRESHOLDS.items() if of is quantity.dimension)
        raise _MeaningError(name, f"{name} for {quantity.name}", f"write {fits}")
    return f"{spec.type} > {form.format(promql_number(Decimal(str(value))))}", "type"


def _known_quantity(token: Token, field: str) -> Quantity:
    quantity = QUANTITIES.get(token.text)
    if quantity is None:
        near = get_close_matches(token.text, QUANTITIES, n=1)
        mend = f"did you mean {near[0]}?" if near else f"write one of {', '.join(QUANTITIES)}"
        raise _MeaningError(field, f"{token.text!r}, which is no quantity", mend, token.offset)
    return quantity


class _Part:
    """One comparison of a condition, looked up and checked."""

    def __init__(self, spec: AlertSpec, field: str, comparison: conditions.Comparison, *, first: bool) -> None:
        self.field = field
        self.comparison = comparison
        self.quantity = _known_quantity(comparison.left, field)
        self.by = _by(spec, self.quantity, optional=not first)
        self.split = self.quantity.splits[0] if self.by is None else self.by
        self.amount: Amount | None = None
        self.limit: Quantity | None = None
        self.is_ladder = comparison.right.text == RUNG
        if self.is_ladder:
            self._check_ladder(spec)
        elif comparison.right.kind == "amount":
            self.amount = self._read_amount(comparison.right.text, field, comparison.right.offset)
        else:
            self.limit = self._read_limit(comparison.right)

    @property
    def relation(self) -> str:
        """`above`, and so on."""
        return OPERATORS[self.comparison.operator]

    def _check_ladder(self, spec: AlertSpec) -> None:
        if spec.rungs is None:
            raise _MeaningError(
                self.field,
                "rung, and no rungs",
                "add rungs:, one 'amount: severity' a line",
                self.comparison.right.offset,
            )
        for text in spec.rungs:
            self._read_amount(text, "rungs", 0)

    def _read_amount(self, text: str, field: str, offset: int) -> Amount:
        quantity, operator = self.quantity, self.comparison.operator
        rung = text if field == "rungs" else None
        amount = parse_amount(text)
        fits = f"{quantity.name} is {quantity.dimension.noun}: compare it with {quantity.dimension.written}"
        if quantity.limits:
            fits += f", or with {' or '.join(quantity.limits)}"
        if amount is None:
            raise _MeaningError(field, f"{text!r}, which is no amount", fits, offset, rung)
        if amount.dimension is not quantity.dimension:
            raise _MeaningError(field, f"{text}, which is {amount.dimension.noun}", fits, offset, rung)
        highest = quantity.highest
        never = highest is not None and (amount.value >= highest if operator == ">" else amount.value > highest)
        if never and operator in (">", ">="):
            mend = f"write less: {quantity.why_highest}, and this could never fire"
            raise _MeaningError(field, f"{quantity.name} {operator} {text}", mend, offset, rung)
        if operator == "<" and amount.value == 0:
            raise _MeaningError(field, f"{quantity.name} < {text}", "write more: this could never fire", offset, rung)
        if operator == ">=" and amount.value == 0:
            raise _MeaningError(field, f"{quantity.name} >= {text}", "write more: this would always fire", offset, rung)
        return amount

    def _read_limit(self, token: Token) -> Quantity:
        limit = _known_quantity(token, self.field)
        quantity = self.quantity
        written = f"write {quantity.dimension.written}"
        fits = " or ".join((written, *quantity.limits))
        if limit.dimension is not quantity.dimension:
            found = f"{limit.name}, which is {limit.dimension.noun}"
            raise _MeaningError(
                self.field, found, f"{quantity.name} is {quantity.dimension.noun}: {fits}", token.offset
            )
        if limit.name not in quantity.limits:
            raise _MeaningError(self.field, f"{quantity.name} against {limit.name}", fits, token.offset)
        if limit_split(limit, self.split) is None:
            labels = " and ".join(limit.splits[0])
            raise _MeaningError(
                self.field,
                f"{limit.name} for {quantity.name} by {_split_name(self.split)}",
                f"add by: {limit.splits[0][0]}, since {limit.name} is known by {labels}",
                token.offset,
            )
        if self.comparison.operator not in (">", ">=") and limit.name == "timeout":
            raise _MeaningError(self.field, self.comparison.operator, "write > before timeout", token.offset)
        return limit


def _by(spec: AlertSpec, quantity: Quantity, *, optional: bool) -> Split | None:
    if spec.by is None:
        return None
    wanted: Split = () if spec.by == ["none"] else tuple(sorted(spec.by, key="user operation model status".find))
    for split in quantity.splits:
        if set(split) == set(wanted) and len(split) == len(wanted):
            return split
    if optional and () in quantity.splits:
        return ()
    fits = ", ".join(_split_name(split) for split in quantity.splits)
    raise _MeaningError("by", f"{quantity.name} by {_split_name(wanted)}", f"it can be split by: {fits}")


def _split_name(split: Split) -> str:
    return "none" if not split else f"[{', '.join(split)}]" if len(split) > 1 else split[0]


def _check_fields(spec: AlertSpec, parts: list[_Part]) -> None:
    for name in ("window", "min_operations"):
        if getattr(spec, name) is not None and all(part.quantity.least is None for part in parts):
            raise _MeaningError(name, f"{name} for {parts[0].quantity.name}", "leave it out: it has no effect there")
    if spec.keep_firing_for and any(part.quantity.is_spend for part in parts):
        mend = "leave it out: it would go on firing for yesterday's spend past midnight"
        raise _MeaningError("keep_firing_for", f"keep_firing_for on {parts[0].quantity.name}", mend)
    if (spec.rungs is not None) and not parts[0].is_ladder:
        raise _MeaningError("rungs", "rungs that the condition does not use", f"compare with the word {RUNG}")
    if any(part.is_ladder for part in parts[1:]):
        raise _MeaningError(parts[0].field, "rung in a later comparison", "write the comparison with rung first")
    if spec.rungs is not None and spec.severity is not None:
        raise _MeaningError("severity", "severity beside rungs", "leave it out: each rung has its own")


def _rungs(spec: AlertSpec, parts: list[_Part]) -> Iterator[Rung]:
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
    amounts = [(first._read_amount(text, "rungs", 0), severity) for text, severity in spec.rungs.items()]
    rising = first.comparison.operator in (">", ">=")
    ordered = sorted(amounts, key=lambda pair: pair[0].value, reverse=not rising)
    for (_, before), (amount, severity) in pairwise(ordered):
        if SEVERITIES.index(severity) > SEVERITIES.index(before):
            found = "a rung that is less severe than the one before it"
            raise _MeaningError("rungs", found, "let severity rise", rung=amount.text)
    for amount, severity in ordered:
        label = amount.text.strip("$%")
        yield Rung(label, float(amount.value), severity, _variants(spec, parts, amount, {RUNG: label}))


def _variants(
    spec: AlertSpec, parts: list[_Part], amount: Amount | None, rung: Mapping[str, str]
) -> tuple[Variant, ...]:
    built = []
    for part in parts:
        labels = {"alertname": spec.name, **rung}
        ask = Ask(part.split, spec.window or DEFAULT_WINDOW, spec.min_operations or part.quantity.least or 1)
        comparison = Comparison(
            part.quantity,
            part.comparison.operator,
            amount if part is parts[0] else part.amount,
            part.limit,
            part.by,
            ask,
            partial(_firing, labels),
        )
        built.append(variants(comparison))
    return tuple(_joined(variant, built[1:], parts) for variant in built[0])


def _joined(variant: Variant, others: list[tuple[Variant, ...]], parts: list[_Part]) -> Variant:
    """The variant with the other comparisons required as well, for the labels that both have."""
    for (*more, other), part in zip(others, parts[1:], strict=True):
        if more:
            mend = "write this comparison first: it stands for several rules"
            raise _MeaningError(part.field, part.comparison.left.text, mend, part.comparison.left.offset)
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


def _summary(parts: list[_Part]) -> str:
    first = parts[0]
    if (first.quantity.name, first.limit and first.limit.name) == ("model_response_time", "timeout"):
        return "A model does not answer in time, or not at all."
    if first.amount is not None:
        bound = first.amount.text
    elif first.limit is not None:
        bound = f"the {first.limit.subject.lower()}"
    else:
        bound = "a rung of its ladder"
    more = "".join(f" while {p.quantity.subject.lower()} is {p.relation} {p.comparison.right.text}" for p in parts[1:])
    return f"{first.quantity.subject} is {first.relation} {bound}{more}."
