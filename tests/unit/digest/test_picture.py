"""The picture can be drawn whatever the figures are, and everything in it can be read."""

import importlib.util
import os
import shutil
import struct
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.digest.model import Digest, DigestForecast, LeftOut, Mover
from exporter.digest.picture import STYLE, draw, figure_of, named_days, shown_days
from exporter.digest.words import short
from exporter.errors import UserError
from exporter.forecast import projection
from tests.support.digests import THURSDAY, full_digest, units

NAMES = ["email-compose", "W" * 80, "日本語", "$x^2$ and $", "a\u202eb\x1b[2J", "\\frac{1}", "", "🔥"]


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # what other tests have left behind is thrown away at any time
        warnings.simplefilter("default", pytest.PytestUnraisableExceptionWarning)
        warnings.simplefilter("default", ResourceWarning)
        yield


def quiet(digest: Digest) -> Digest:
    return replace(digest, day=replace(digest.day, movers=(), cost=0), spend={}, forecast=LeftOut("forecast"))


@pytest.mark.parametrize("day", [date(2026, 5, 31), date(2026, 6, 1), THURSDAY, date(2026, 6, 30), date(2028, 2, 28)])
@pytest.mark.parametrize("change", [lambda digest: digest, quiet], ids=["full", "quiet"])
def test_it_is_a_png_of_the_right_size(day: date, change: Any) -> None:
    png = draw(change(full_digest(day)))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    # what Discord shows of an embed is as wide as it is four thirds high
    assert (width, height) == (1200, 900)
    assert len(png) < 1 << 20


def boxes(figure: Any) -> dict[str, Any]:
    """Where each text stands, in pixels."""
    figure.canvas.draw()
    texts = []
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes._right_title]
        if axes.axison:
            low, high = axes.get_ylim()
            places = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
            texts += [*axes.get_xticklabels(), *(label for place, label in places if low <= place <= high)]
    shown = [text for text in texts if text.get_text()]
    return {f"{number} {text.get_text()}": text.get_window_extent() for number, text in enumerate(shown)}


# to make a failure small would take minutes
@settings(deadline=None, max_examples=15, phases=[Phase.generate])
@given(
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(-5, 9)), max_size=6),
    st.sampled_from([1e-6, 0.004, 1.0, 950.0, 1e7]),
    st.sampled_from([None, 0.5, 2.0, 400.0]),
    st.booleans(),
)
def test_every_text_is_in_the_picture_and_none_covers_another(
    day: date, movers: list[tuple[str, str, int]], scale: float, limit: float | None, ahead: bool
) -> None:
    digest = full_digest(day)
    moved = tuple(
        Mover(operation, model, units(scale) * (10 + change), units(scale) * 10)
        for operation, model, change in movers
        if change
    )
    spend = {each: round(cost * scale / 100) for each, cost in digest.spend.items()}
    assert isinstance(digest.forecast, DigestForecast)
    days = {
        each: projection.Forecast(*(part * scale / 100 for part in (guess.expected, guess.lower, guess.upper)))
        for each, guess in digest.forecast.days.items()
    }
    changed = replace(
        digest,
        spend=spend,
        day=replace(digest.day, movers=moved, cost=spend[day.toordinal()]),
        daily_limit=None if limit is None else round(units(scale) * limit),
        forecast=replace(digest.forecast, days=days) if ahead else LeftOut("forecast"),
    )
    with mpl.rc_context(STYLE):
        found = boxes(figure_of(changed))
    for name, box in found.items():
        assert box.x0 >= 0, name
        assert box.x1 <= 1200, name
        assert box.y0 >= 0, name
        assert box.y1 <= 900, name
    for (name, box), (other, beside) in [(a, b) for a in found.items() for b in found.items() if a[0] < b[0]]:
        assert not (box.x0 < beside.x1 and beside.x0 < box.x1 and box.y0 < beside.y1 and beside.y0 < box.y1), (
            name,
            other,
        )


def test_names_that_the_font_does_not_have_and_formulas_are_no_formulas() -> None:
    movers = tuple(Mover(name, "m", units(2 + place), units(1)) for place, name in enumerate(NAMES[1:5]))
    digest = full_digest()
    with mpl.rc_context(STYLE):
        texts = [
            name.partition(" ")[2] for name in boxes(figure_of(replace(digest, day=replace(digest.day, movers=movers))))
        ]
    assert "??? · m" in texts
    assert "$x^2$ and $ · m" in texts
    assert "a?b?[2J · m" in texts
    assert any(text.startswith("WWW") and text.endswith("…") for text in texts)


@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_the_month_is_shown_as_far_as_it_is_foretold(day: date) -> None:
    digest = full_digest(day)
    days = shown_days(digest)
    tomorrow = day + timedelta(days=1)
    assert date.fromordinal(days.start) <= min(tomorrow.replace(day=1), day - timedelta(days=12))
    assert date.fromordinal(days[-1] + 1).day == 1
    assert shown_days(replace(digest, forecast=LeftOut("forecast")))[-1] == day.toordinal()
    assert all(b - a >= 2 for a, b in pairwise(named_days(days)))


@pytest.mark.parametrize("scale", [-1, -0.001, -5000])
@pytest.mark.parametrize("limit", [None, 400])
def test_days_of_refunds_are_below_zero(scale: float, limit: float | None) -> None:
    digest = full_digest()
    negative = {day: round(cost * scale) for day, cost in digest.spend.items()}
    for spend in (negative, {**digest.spend, digest.day.ordinal: negative[digest.day.ordinal]}):
        changed = replace(digest, spend=spend, daily_limit=None if limit is None else units(limit))
        with mpl.rc_context(STYLE):
            figure = figure_of(changed)
        low, high = figure.axes[0].get_ylim()
        assert low < min(spend.values()) / 1e12 < 0 < high
        assert high > max(spend.values()) / 1e12


@pytest.mark.parametrize(
    ("usd", "text"), [(-40, "-$40"), (-0.25, "-$0.25"), (-15_000, "-$15k"), (-3e-5, "-30 µ$"), (1.5e12, "$1.5T")]
)
def test_an_axis_has_few_signs_also_below_zero(usd: float, text: str) -> None:
    assert short(usd) == text


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"install ai-operation-exporter\[digest\], or .* --no-picture"):
        draw(full_digest())


def test_a_service_without_a_home_has_a_folder_for_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    # set first, so that it is taken back afterwards
    monkeypatch.setenv("MPLCONFIGDIR", "")
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.setattr(Path, "home", lambda: Path("/nonexistent"))
    draw(full_digest())
    folder = Path(os.environ["MPLCONFIGDIR"])
    assert folder.is_dir()
    # the library may have kept its list of fonts there
    shutil.rmtree(folder)
