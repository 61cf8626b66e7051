"""Amounts, changes and days as words, for the message and the picture alike."""

from datetime import date
from decimal import Decimal

from exporter.catalog import USD
from exporter.humanize import money


def exact(units: int) -> str:
    """Money to the cent, or finer below a dollar."""
    return money(Decimal(units) / USD)


def amount(units: int) -> str:
    """Money in few digits: `$1,240`, `$41.50`, `$50`; below a dollar as `exact`, to three digits."""
    if not units:
        return "$0"
    usd = Decimal(units) / USD
    if abs(usd) >= 100:
        return f"{'-' if usd < 0 else ''}${abs(usd):,.0f}"
    if abs(usd) >= 1:
        return money(round(usd, 2)).removesuffix(".00")
    return money(round(usd, 2 - usd.adjusted()))


def short(usd: float) -> str:
    """Money for an axis, in seven signs at most, and a minus: `$1.5k`, `$40`, `-$0.25`, `30 µ$`."""
    if usd < 0:
        return f"-{short(-usd)}"
    if usd >= 10_000:
        size, unit = next((size, unit) for size, unit in _LARGE if usd >= size)
        return f"${usd / size:.3g}{unit}"
    return f"{usd * 1e6:.3g} µ$" if 0 < usd < 0.001 else f"${usd:.4g}"


_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def change_of(units: int) -> str:
    """A change of money with its sign: `+$3.20`, `−$0.40`."""
    return f"{'+' if units >= 0 else '−'}{amount(abs(units))}"


def day_name(day: date) -> str:
    """A day in full, without the year: `Tuesday, 9 June`."""
    return f"{day:%A}, {day.day} {day:%B}"
