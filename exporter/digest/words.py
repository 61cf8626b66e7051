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


def change_of(units: int) -> str:
    """A change of money with its sign: `+$3.20`, `−$0.40`."""
    return f"{'+' if units >= 0 else '−'}{amount(abs(units))}"


def day_name(day: date) -> str:
    """A day in full, without the year: `Tuesday, 9 June`."""
    return f"{day:%A}, {day.day} {day:%B}"
