"""`dashboards build`: writes the three dashboards' JSON, or checks that what is there is what would be written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from dashboards import cost, health, performance
from dashboards.frame import COST, HEALTH, PERFORMANCE
from dashboards.render import render, to_text
from dashboards.settings import Settings

GENERATED = Path(__file__).parent / "generated"

_BUILDERS: dict[str, Callable[[Settings], Any]] = {
    COST: cost.build,
    PERFORMANCE: performance.build,
    HEALTH: health.build,
}


class DashboardsError(Exception):
    """The dashboards cannot be built as asked, or are not what they would be; the message says what to do."""


def rendered(settings: Settings) -> dict[str, dict[str, Any]]:
    """The dashboards by uid."""
    return {uid: render(builder(settings)) for uid, builder in _BUILDERS.items()}


def build(settings: Settings, folder: Path, *, check: bool, out: TextIO) -> int:
    """Write the files, or with `check` only compare them; returns the exit code, 0.

    Raises `DashboardsError` for an unknown time zone, and where a compared file differs.
    """
    try:
        ZoneInfo(settings.zone)
    except (KeyError, ValueError, OSError) as error:
        raise DashboardsError(
            f"--budget-time-zone {settings.zone}: no such time zone; write a name such as Europe/Berlin"
        ) from error
    texts = {folder / f"{uid}.json": to_text(made) for uid, made in rendered(settings).items()}
    if check:
        stale = [str(path) for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text]
        if stale:
            raise DashboardsError(f"not what the code builds: {', '.join(stale)}; run `dashboards build` and commit")
        print(f"{len(texts)} dashboards are as built", file=out)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, "utf-8")
        print(f"wrote {path}", file=out)
    return 0
