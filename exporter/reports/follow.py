"""Calls as they come: `operations --follow`."""

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TextIO

from exporter.config import Config
from exporter.database.errors import DatabaseError
from exporter.reports.calls import HEADERS, Call, as_table, fields
from exporter.reports.recent import Wanted, read_calls

_POLL_SECONDS = 2.0
_MOST = 10_000  # calls in one look
_WIDTHS = dict(zip(HEADERS, (19, 18, 36, 18, 9, 10, 9, 10, 7, 14, 0), strict=True))


def follow(
    config: Config,
    environ: Mapping[str, str],
    wanted: Wanted,
    out: TextIO,
    *,
    as_json: bool,
    wait: Callable[[float], object] = time.sleep,
) -> int:
    """Print the wanted calls, the oldest first, and go on with those that come, until Ctrl-C; returns 0.

    A call in progress is printed again when it has ended. With `as_json` each line is an object. A lost database is
    said once, and tried again. Raises `UserError` if the first look fails.
    """
    # all that the next look may find, too, though no more is printed than is wanted
    look = read_calls(config, environ, replace(wanted, limit=_MOST))
    with_user = config.users.mode != "off"
    if not as_json:
        shown = [header for header in HEADERS if with_user or header != "user"]
        print("  ".join(header.ljust(_WIDTHS[header]) for header in shown).rstrip(), file=out, flush=True)
    seen, lost, most = Counter[Call](), False, wanted.limit
    try:
        while True:
            calls = Counter(look.calls)
            # new rows, and rows that have changed; equal calls count as often as they are there
            new, seen = calls - seen, calls
            for call in sorted(new.elements(), key=lambda call: call.at)[-most:]:
                if as_json:
                    line = json.dumps(fields(call, look.columns, with_user=with_user), ensure_ascii=False)
                else:
                    line = as_table([call], with_user=with_user, widths=_WIDTHS)
                print(line, file=out, flush=True)
            most = _MOST
            wait(_POLL_SECONDS)
            # a row may be committed as long after its time as the open window is; what lies before a look is not new
            start = max(look.start, look.clock - math.ceil(config.open_window_seconds))
            try:
                look, lost = read_calls(config, environ, replace(wanted, limit=_MOST, start=start)), False
            except DatabaseError as error:
                if not lost:
                    print(f"{error}; trying again", file=sys.stderr, flush=True)
                lost = True
    except KeyboardInterrupt:
        return 0
