"""One comparison of a condition, its names looked up and its sides checked against each other."""

from difflib import get_close_matches

from alert_rules.compiler.comparisons import limit_split
from alert_rules.language import conditions
from alert_rules.language.conditions import OPERATORS, Token
from alert_rules.language.spec import AlertSpec
from alert_rules.model.dimensions import Amount, parse_amount
from alert_rules.quantities.definitions import QUANTITIES, Quantity, Split

RUNG = "rung"
"""The word that stands for each rung of a ladder in a condition."""


class SemanticError(Exception):
    """A well-formed setting of an alert that makes no sense, `offset` characters behind its value's beginning.

    `inner` is the key or the position in it, where the setting holds several values: a rung, or a channel.
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


class Part:
    """One comparison of a condition, looked up and checked."""

    def __init__(self, spec: AlertSpec, field: str, comparison: conditions.Comparison, *, first: bool) -> None:
        self.field, self.first = field, first
        self.comparison = comparison
        self.quantity = known_quantity(comparison.left.text, field, comparison.left.offset)
        self.by = _by(spec, self.quantity, optional=not first)
        self.split = self.quantity.splits[0] if self.by is None else self.by
        self.amount: Amount | None = None
        self.limit: Quantity | None = None
        self.is_ladder = comparison.right.text == RUNG
        if self.is_ladder:
            self._check_ladder(spec)
        elif comparison.right.kind == "amount":
            self.amount = self.read_amount(comparison.right.text, field, comparison.right.offset)
        else:
            self.limit = self._read_limit(comparison.right)

    @property
    def relation(self) -> str:
        """`above`, and so on."""
        return OPERATORS[self.comparison.operator]

    def _check_ladder(self, spec: AlertSpec) -> None:
        if spec.rungs is None:
            raise SemanticError(
                self.field,
                "rung, and no rungs",
                "add rungs:, one 'amount: severity' a line",
                self.comparison.right.offset,
            )
        for text in spec.rungs:
            self.read_amount(text, "rungs", 0)

    def read_amount(self, text: str, field: str, offset: int) -> Amount:
        """The amount that the quantity can be compared with. Raises `SemanticError`."""
        quantity, operator = self.quantity, self.comparison.operator
        rung = text if field == "rungs" else None
        amount = parse_amount(text)
        fits = f"{quantity.name} is {quantity.dimension.noun}: compare it with {quantity.dimension.written}"
        if quantity.limits:
            fits += f", or with {' or '.join(quantity.limits)}"
        if amount is None:
            raise SemanticError(field, f"{text!r}, which is no amount", fits, offset, rung)
        if amount.dimension is not quantity.dimension:
            raise SemanticError(field, f"{text}, which is {amount.dimension.noun}", fits, offset, rung)
        highest = quantity.highest
        never = highest is not None and (amount.value >= highest if operator == ">" else amount.value > highest)
        if never and operator in (">", ">="):
            hint = f"write less: {quantity.why_highest}, and this could never fire"
            raise SemanticError(field, f"{quantity.name} {operator} {text}", hint, offset, rung)
        if operator == "<" and amount.value == 0:
            raise SemanticError(field, f"{quantity.name} < {text}", "write more: this could never fire", offset, rung)
        if operator == ">=" and amount.value == 0:
            raise SemanticError(field, f"{quantity.name} >= {text}", "write more: this would always fire", offset, rung)
        return amount

    def _read_limit(self, token: Token) -> Quantity:
        limit = known_quantity(token.text, self.field, token.offset)
        quantity = self.quantity
        written = f"write {quantity.dimension.written}"
        fits = " or ".join((written, *quantity.limits))
        if limit.dimension is not quantity.dimension:
            found = f"{limit.name}, which is {limit.dimension.noun}"
            raise SemanticError(
                self.field, found, f"{quantity.name} is {quantity.dimension.noun}: {fits}", token.offset
            )
        if limit.name not in quantity.limits:
            raise SemanticError(self.field, f"{quantity.name} against {limit.name}", fits, token.offset)
        if limit_split(limit, self.split) is None:
            labels = " and ".join(limit.splits[0])
            raise SemanticError(
                self.field,
                f"{limit.name} for {quantity.name} by {_split_name(self.split)}",
                f"add by: {limit.splits[0][0]}, since {limit.name} is known by {labels}",
                token.offset,
            )
        if self.comparison.operator not in (">", ">="):
            raise SemanticError(self.field, self.comparison.operator, f"write > before {limit.name}", token.offset)
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
    raise SemanticError("by", f"{quantity.name} by {_split_name(wanted)}", f"it can be split by: {fits}")


def _split_name(split: Split) -> str:
    return "none" if not split else f"[{', '.join(split)}]" if len(split) > 1 else split[0]
