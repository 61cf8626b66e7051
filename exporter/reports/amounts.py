"""What is left and used of a limit, and amounts that may be missing, for tables and JSON."""

from decimal import Decimal

from exporter.humanize import money, share

_MISSING = "-"


def remaining(limit: Decimal | None, spend: Decimal) -> Decimal | None:
    """What is left of a limit, in its unit: below zero if it is exceeded, None without a limit."""
    return None if limit is None else limit - spend


def used(limit: Decimal | None, spend: Decimal) -> Decimal | None:
    """The share of a limit that is spent: 1 is all of it, None without a limit."""
    return spend / limit if limit else None


def money_cell(usd: Decimal | None) -> str:
    """An amount in USD, for a table."""
    return _MISSING if usd is None else money(usd)


def share_cell(ratio: Decimal | None) -> str:
    """A share, for a table."""
    return _MISSING if ratio is None else share(float(ratio))


def number(value: Decimal | None) -> float | None:
    """For JSON."""
    return None if value is None else float(value)
