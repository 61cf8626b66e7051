"""The picture of a digest: spend by day against forecast and limit, and what moved. A PNG for a dark page and a phone.

Discord shows it 400 pixels wide on a phone, and no higher than 300: hence its shape, and the size of its letters.
"""

import importlib.util
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from exporter.catalog import USD
from exporter.digest.model import LEAST_DAYS, Digest, DigestDay, DigestForecast
from exporter.digest.words import amount, change_of, short
from exporter.errors import UserError
from exporter.humanize import printable
from exporter.ledger.calendar import month_days

EXTRA = "digest"
"""What pip installs matplotlib by."""

MOST_MOVERS = 4

_INCHES, _DOTS, _ROW = (6.0, 4.5), 200, 0.085
_PAGE, _GRID, _TEXT, _FAINT = "#2b2d31", "#3f4248", "#f2f3f5", "#b5bac1"
_SPENT, _LATEST, _EXPECTED, _SPAN, _LIMIT = "#4f86c0", "#8ec5ff", "#4e535d", "#a3a9b3", "#f0965a"
_MORE, _LESS = "#f0965a", "#57c38a"


def require_matplotlib() -> None:
    """Raise `UserError` where there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            f"the picture needs matplotlib — install ai-operation-exporter[{EXTRA}], or leave it out with --no-picture"
        )


def draw(digest: Digest) -> bytes:
    """The picture as PNG. Raises `UserError` where there is no matplotlib."""
    require_matplotlib()
    _prepare_the_environment()
    # an extra, and slow to load
    import matplotlib as mpl

    written = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure_of(digest).savefig(written, format="png")
    return written.getvalue()


def figure_of(digest: Digest) -> Any:
    """The picture as matplotlib's `Figure`, under `STYLE`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DOTS)
    FigureCanvasAgg(figure)
    movers = digest.day.movers[:MOST_MOVERS]
    # what the rows of movers take, and the rest: shares of the height from below
    rows = (len(movers) + 1.2) * _ROW if movers else 0.0
    _draw_days(figure.add_axes((0.13, rows + 0.1, 0.84, 0.8 - rows)), digest)
    if movers:
        _draw_movers(figure.add_axes((0.04, 0.02, 0.92, rows - 0.02)), digest.day, _drawable())
    return figure


_FONT = "DejaVu Sans"
STYLE: dict[Any, Any] = {
    # a dollar sign begins no formula, and a name may hold several
    "text.parse_math": False,
    "font.family": _FONT,
    "font.size": 12.5,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.facecolor": _PAGE,
    "savefig.facecolor": _PAGE,
    "axes.facecolor": _PAGE,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _TEXT,
    "axes.titlecolor": _TEXT,
    "text.color": _TEXT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
"""How it looks on Discord's dark page."""


def _prepare_the_environment() -> None:
    """For libraries that read it when they are loaded."""
    # nothing here multiplies matrices: else there is a thread for each core, which a service may not be allowed
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # for what matplotlib knows of fonts: a service may have no home to write to
    if "MPLCONFIGDIR" not in os.environ and not os.access(Path.home(), os.W_OK):
        os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="matplotlib-")


def shown_days(digest: Digest) -> range:
    """The days that are drawn: the month so far and what is left of it, and some days before."""
    today = digest.day.ordinal + 1
    month = month_days(today)
    ahead = digest.forecast.days if isinstance(digest.forecast, DigestForecast) else {}
    return range(min(month.start, today - LEAST_DAYS), max([today - 1, *(day for day in ahead if day in month)]) + 1)


def _draw_days(axes: Any, digest: Digest) -> None:
    from matplotlib.ticker import MaxNLocator

    days = shown_days(digest)
    past = [day for day in days if day <= digest.day.ordinal]
    colors = [_LATEST if day == digest.day.ordinal else _SPENT for day in past]
    spent = [_usd(digest.spend.get(day, 0)) for day in past]
    axes.bar(past, spent, color=colors, width=0.8)
    # below zero is a day of which more was refunded than spent
    lowest, highest = min(0.0, *spent), max(0.0, *spent)
    if isinstance(digest.forecast, DigestForecast):
        low, high = _draw_forecast(axes, digest.forecast, days)
        lowest, highest = min(lowest, low), max(highest, high)
        axes.set_title("grey: forecast", loc="right", color=_SPAN, fontsize=12, fontweight="normal")
    axes.set_title(f"{digest.date:%a} {digest.date.day} {digest.date:%b}: {amount(digest.day.cost)}")
    axes.set_xlim(days.start - 0.7, days.stop - 0.3)
    axes.set_ylim(lowest * 1.1, _draw_limit(axes, digest.daily_limit, highest, days) * 1.1 or -0.1 * lowest or 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_GRID, linewidth=1)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", pad=8)
    ticks = named_days(days)
    axes.set_xticks(ticks, [_day_label(day, first=day == ticks[0]) for day in ticks])


def _draw_limit(axes: Any, limit: int | None, highest: float, days: range) -> float:
    """The daily limit as a line, unless that would make the bars flat; returns the highest dollars."""
    if limit is None:
        return highest
    line = _usd(limit)
    is_near = line <= 3 * highest
    if is_near:
        axes.axhline(line, color=_LIMIT, linewidth=2, linestyle=(0, (4, 3)))
    above = line if is_near else highest
    named = f"limit {amount(limit)}{'' if is_near else ' ↑'}"
    place: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points"}
    axes.annotate(named, (days.start - 0.5, above), **place, va="bottom", fontsize=11.5, color=_LIMIT)
    return max(highest, above) * 1.06


def _draw_forecast(axes: Any, forecast: DigestForecast, days: range) -> tuple[float, float]:
    """The days to come, with the span of each; returns the lowest and the highest dollars."""
    ahead = {day: each for day, each in sorted(forecast.days.items()) if day in days}
    axes.bar(list(ahead), [_usd(each.expected) for each in ahead.values()], width=0.8, color=_EXPECTED)
    lows, highs = ([_usd(getattr(each, end)) for each in ahead.values()] for end in ("lower", "upper"))
    axes.vlines(list(ahead), lows, highs, color=_SPAN, linewidth=1.6)
    return min(lows, default=0.0), max(highs, default=0.0)


def named_days(days: range) -> list[int]:
    """The days that the axis names: each fifth of a month, as far as their names do not touch."""
    named: list[int] = []
    for day in days:
        number = date.fromordinal(day).day
        room = _ROOM_OF_MONTH if len(named) == 1 or number == 1 else _ROOM_OF_NUMBER
        if number in (1, 5, 10, 15, 20, 25) and (not named or day - named[-1] >= room * len(days)):
            named.append(day)
    return named


_ROOM_OF_NUMBER, _ROOM_OF_MONTH = 0.08, 0.13
"""Of the axis, that the name of a day takes: its number, or with its month."""


def _day_label(day: int, *, first: bool) -> str:
    named = date.fromordinal(day)
    return f"{named.day} {named:%b}" if first or named.day == 1 else str(named.day)


def _draw_movers(axes: Any, day: DigestDay, drawable: Callable[[str], str]) -> None:
    movers = day.movers[:MOST_MOVERS]
    widest = max(abs(mover.change) for mover in movers) or 1
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(movers) + 0.2, -1)
    before = "day" if day.usual_days == 1 else f"{day.usual_days} days"
    axes.text(0, -0.55, f"What moved, against the {before} before", fontsize=13, fontweight="bold")
    for place, mover in enumerate(movers):
        color = _MORE if mover.change > 0 else _LESS
        axes.barh(place + 0.55, abs(mover.change) / widest, color=color, height=0.12)
        beside = axes.text(1, place + 0.38, change_of(mover.change), ha="right", color=color, fontweight="bold")
        name = axes.text(0, place + 0.38, drawable(f"{mover.operation} · {mover.model}"))
        _cut_before(name, beside.get_window_extent().x0)


def _cut_before(written: Any, edge: float) -> None:
    """Leave as much of a text as ends before a place, in pixels."""
    text = written.get_text()
    for most in range(len(text) - 1, 0, -1):
        if written.get_window_extent().x1 < edge - _GAP:
            break
        written.set_text(f"{text[:most]}…")


_GAP = 20


def _drawable() -> Callable[[str], str]:
    """Text with a question mark for what the font has no picture of."""
    from matplotlib.font_manager import findfont, get_font

    known: Mapping[int, int] = get_font(findfont(_FONT)).get_charmap()

    def drawable(text: str) -> str:
        return "".join(sign if ord(sign) in known else "?" for sign in printable(text))

    return drawable


def _usd(units: float) -> float:
    return units / USD
