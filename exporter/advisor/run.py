"""`recommend`: read, print, and where it is wanted, store."""

from collections.abc import Callable, Mapping
from typing import TextIO

from exporter.advisor.advise import recommend
from exporter.advisor.report import Format, Report, as_json, as_markdown, as_text
from exporter.advisor.store import store
from exporter.config import Config
from exporter.database.conninfo import resolve_writer
from exporter.ledger.calendar import DAY

_PRINTED: Mapping[Format, Callable[[Report], str]] = {"text": as_text, "json": as_json, "markdown": as_markdown}


def run_recommend(
    config: Config, environ: Mapping[str, str], seconds: float, out: TextIO, *, form: Format, stored: bool
) -> int:
    """Print the recommendations for the last `seconds`; with `stored` write the new ones first.

    Returns 0, whether there is something to recommend or not. Raises `UserError`.
    """
    writer = resolve_writer(config, environ) if stored else None
    found = recommend(config, environ, seconds)
    kept = None if writer is None else store(config, writer, found)
    print(_PRINTED[form](Report(seconds / DAY, found, kept)), file=out)
    return 0
