"""Resolve a condition: look up its names, and check the sides of each comparison against each other."""

from difflib import get_close_matches

from alert_rules.compiler.proposing import propose
from alert_rules.language.conditions import Comparison, ConditionError, Token, parse_condition
from alert_rules.language.spec import AlertSpec
from alert_rules.model.alerts import Operator, ResolvedComparison
from alert_rules.model.conventions import DEFAULT_WINDOW
from alert_rules.model.dimensions import Amount, parse_amount
from alert_rules.model.quantities import Quantity, QuantityParams, Split
from alert_rules.quantities.definitions import QUANTITIES

RUNG = "rung"
"""The word of a condition that stands for the amount of each severity level."""


class SemanticError(Exception):
    """A semantic error in one setting of an alert, `offset` characters after its value's start.

    `inner` is the key or the position in a setting of several values: an amount of `rungs`, or a channel.
    """

    def __init__(self, field: str, found: str, hint: str, offset: int = 0, inner: str | int | None = None) -> None:
        super().__init__(found)
        self.field, self.found, self.hint, self.inner = field, found, hint, inner
        # The condition that a type and a threshold make is not in the file.
        self.offset = offset if field == "condition" else 0


def known_quantity(name: str, field: str, offset: int = 0) -> Quantity:
    """The quantity of a name. Raises `SemanticError` where there is none."""
    quantity = QUANTITIES.get(name)
    if quantity is None:
        near = get_close_matches(name, QUANTITIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(QUANTITIES)}"
        raise SemanticError(field, f"{name!r}, which is no quantity", hint, offset)
    return quantity


def resolve(spec: AlertSpec, condition: str, field: str) -> tuple[ResolvedComparison, ...]:
    """Look up the names in a condition, which was written in `field`, and check both sides of each comparison.

    Raises `SemanticError`. Its hint is the condition that may have been meant, where that is clear.
    """
    try:
        compared = parse_condition(condition)
        return tuple(_resolved(spec, field, each, first=number == 0) for number, each in enumerate(compared))
    except ConditionError as error:
        raise SemanticError(field, error.found, propose(condition) or error.hint, error.offset) from None
    except SemanticError as error:
        if error.inner is not None:
            beginning = f"{compared[0].left.text} {compared[0].operator} "
            error.hint = (propose(f"{beginning}{error.inner}") or error.hint).replace(beginning, "")
        elif error.field == field == "condition":
            error.hint = propose(condition) or error.hint
        raise


def _resolved(spec: AlertSpec, field: str, comparison: Comparison, *, first: bool) -> ResolvedComparison:
    quantity = known_quantity(comparison.left.text, field, comparison.left.offset)
    by = _by(spec, quantity, optional=not first)
    split = quantity.splits[0] if by is None else by
    right, operator = comparison.right, comparison.operator
    amount = limit = None
    min_operations = spec.min_operations or quantity.min_operations or 1
    if right.text == RUNG:
        _check_rungs(spec, quantity, operator, field, right.offset)
    elif right.kind == "amount":
        amount = read_amount(quantity, operator, right.text, field, right.offset)
    else:
        limit = _read_limit(quantity, operator, split, right, field)
    return ResolvedComparison(
        quantity=quantity,
        operator=operator,
        written=right.text,
        offset=comparison.left.offset,
        amount=amount,
        limit=limit,
        by=by,
        params=QuantityParams(split, spec.window or DEFAULT_WINDOW, min_operations),
        certain=spec.certainty != "none",
    )


def _check_rungs(spec: AlertSpec, quantity: Quantity, operator: Operator, field: str, offset: int) -> None:
    if spec.rungs is None:
        raise SemanticError(field, "rung, and no rungs", "add rungs:, one 'amount: severity' a line", offset)
    for text in spec.rungs:
        read_amount(quantity, operator, text, "rungs")


def read_amount(quantity: Quantity, operator: Operator, text: str, field: str, offset: int = 0) -> Amount:
    """The amount that the quantity can be compared with. Raises `SemanticError`."""
    inner = text if field == "rungs" else None

    def refused(found: str, hint: str) -> SemanticError:
        return SemanticError(field, found, hint, offset, inner)

    amount = parse_amount(text)
    fits = f"{quantity.name} is {quantity.dimension.noun}: compare it with {quantity.dimension.written}"
    if quantity.limits:
        fits += f", or with {' or '.join(quantity.limits)}"
    if amount is None:
        raise refused(f"{text!r}, which is no amount", fits)
    if amount.dimension is not quantity.dimension:
        raise refused(f"{text}, which is {amount.dimension.noun}", fits)
    highest = quantity.highest
    never = highest is not None and (amount.value >= highest if operator == ">" else amount.value > highest)
    found = f"{quantity.name} {operator} {text}"
    if never and operator in (">", ">="):
        raise refused(found, f"write less: {quantity.why_highest}, and this could never fire")
    always = highest is not None and (amount.value >= highest if operator == "<=" else amount.value > highest)
    if always and operator in ("<", "<="):
        raise refused(found, f"write less: {quantity.why_highest}, and this would always fire")
    if operator == "<" and amount.value == 0:
        raise refused(found, "write more: this could never fire")
    if operator == ">=" and amount.value == 0:
        raise refused(found, "write more: this would always fire")
    return amount


def _read_limit(quantity: Quantity, operator: Operator, split: Split, token: Token, field: str) -> Quantity:
    limit = known_quantity(token.text, field, token.offset)

    def refused(found: str, hint: str) -> SemanticError:
        return SemanticError(field, found, hint, token.offset)

    fits = " or ".join((f"write {quantity.dimension.written}", *quantity.limits))
    if limit.dimension is not quantity.dimension:
        found = f"{limit.name}, which is {limit.dimension.noun}"
        raise refused(found, f"{quantity.name} is {quantity.dimension.noun}: {fits}")
    if limit.name not in quantity.limits:
        raise refused(f"{quantity.name} against {limit.name}", fits)
    if limit_split(limit, split) is None:
        known_by = " and ".join(limit.splits[0])
        hint = f"add by: {limit.splits[0][0]}, since {limit.name} is known by {known_by}"
        raise refused(f"{limit.name} for {quantity.name} by {_split_name(split)}", hint)
    if operator not in (">", ">="):
        raise refused(operator, f"write > before {limit.name}")
    return limit


def limit_split(limit: Quantity, by: Split) -> Split | None:
    """By which labels a limit is known for a figure that is split so; None where it is known only by others."""
    fitting = [split for split in limit.splits if set(split) <= set(by)]
    return max(fitting, key=len) if fitting else None


def _by(spec: AlertSpec, quantity: Quantity, *, optional: bool) -> Split | None:
    if spec.by is None:
        return None
    order = "user group period operation model status"
    wanted: Split = () if spec.by == ["none"] else tuple(sorted(spec.by, key=order.find))
    for split in quantity.splits:
        if set(split) == set(wanted) and len(split) == len(wanted):
            return split
    if optional and () in quantity.splits:
        return ()
    fits = ", ".join(_split_name(split) for split in quantity.splits)
    raise SemanticError("by", f"{quantity.name} by {_split_name(wanted)}", f"it can be split by: {fits}")


def _split_name(split: Split) -> str:
    return "none" if not split else f"[{', '.join(split)}]" if len(split) > 1 else split[0]
