"""A line of a report on budgets, and amounts that may be missing, for tables and JSON."""

from dataclasses import dataclass
from decimal import Decimal

from exporter.humanize import money, share

_MISSING = "-"


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """What a user, a group or the team (None) may spend, and has spent, in USD.

    `state` is one of `users.STATES`, `called` the user's own name, where one is known.
    """

    name: str | None
    limit: Decimal | None
    spend: Decimal
    state: str
    called: str | None = None

    @property
    def remaining(self) -> Decimal | None:
        """What is left of the limit: below zero if it is exceeded, None without a limit."""
        return None if self.limit is None else self.limit - self.spend

    @property
    def used(self) -> Decimal | None:
        """The share of the limit that is spent: 1 is all of it, None without a limit."""
        return self.spend / self.limit if self.limit else None

    @property
    def title(self) -> str:
        """Whose budget it is, for a table."""
        return self.called or self.name or "team"

    @property
    def cells(self) -> list[str]:
        """The limit, the spend, and what is left and used, for a table."""
        used = _MISSING if self.used is None else share(float(self.used))
        return [money_cell(self.limit), money(self.spend), money_cell(self.remaining), used]


def money_cell(usd: Decimal | None) -> str:
    """An amount in USD, for a table."""
    return _MISSING if usd is None else money(usd)


def number(value: Decimal | None) -> float | None:
    """For JSON."""
    return None if value is None else float(value)
