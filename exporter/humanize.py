"""Money, shares, lists, durations and the text of others as text for people."""

from collections.abc import Collection
from decimal import Decimal

_MONEY_PLACES = 6


def money(usd: Decimal | float) -> str:
    """Dollars: `$1,234.50`, `-$0.40`; below a dollar with as many places as show something: `$0.0123`, `$0.000045`.

    No amount but zero is shown as zero down to a micro-dollar; smaller ones are `< $0.000001`.
    """
    exact = Decimal(str(usd))
    sign, size = ("-" if exact < 0 else ""), abs(exact)
    if 0 < size < Decimal("0.000001"):
        return f"{sign or '< '}$0.000001"
    places = 2
    while places < _MONEY_PLACES and size < 1 and round(size, places) != round(size, _MONEY_PLACES):
        places += 1
    return f"{sign}${size:,.{places}f}"


def share(ratio: float) -> str:
    """A share in per cent: `0%`, `4.2%`, `87%`, `250%`; from ten per cent on without a decimal."""
    percent = ratio * 100
    if 0 < percent < 0.05:
        return "< 0.1%"
    return f"{percent:.0f}%" if percent >= 9.95 or percent == 0 else f"{percent:.1f}%"


def printable(text: str) -> str:
    """The text with a question mark for each character that would control a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def listing(names: Collection[str], most: int = 12) -> str:
    """Names in order for people: the first few, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def span_text(seconds: float) -> str:
    """About how long: `40 s`, `3 min`, `2.0 h`, `7 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"
