"""`dashboards build`: write the three dashboards' JSON, or check that the files are up to date."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from dashboards import cost, health, performance
from dashboards.base import Page, dashboard
from dashboards.render import Json, render, to_text
from dashboards.settings import Settings
from exporter.errors import UserError
from exporter.zones import budget_zone_hint


def pages(settings: Settings) -> Sequence[Page]:
    """The three dashboards."""
    return [make(settings) for make in (cost.page, performance.page, health.page)]


def rendered(settings: Settings) -> dict[str, Json]:
    """The dashboards as Grafana reads them, by uid."""
    made = pages(settings)
    return {page.uid: render(dashboard(page, made, settings)) for page in made}


def build(settings: Settings, folder: Path, *, check: bool, out: TextIO) -> int:
    """Write the files, or with `check` only compare them; returns the exit code, 0.

    Raises `UserError` for a time zone whose days cannot be cut, and where a compared file differs.
    """
    if (hint := budget_zone_hint(settings.zone)) is not None:
        raise UserError(f"--budget-time-zone {settings.zone!r}: {hint}")
    texts = {folder / f"{uid}.json": to_text(made) for uid, made in rendered(settings).items()}
    if check:
        stale = [str(path) for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text]
        if stale:
            raise UserError(f"not up to date: {', '.join(stale)}; run `dashboards build`")
        print(f"{len(texts)} dashboards are up to date", file=out)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, "utf-8")
        print(f"wrote {path}", file=out)
    return 0
