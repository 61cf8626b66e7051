"""Check the exporter: it runs, reads the tables, and its spend today equals that of plain SQL."""

import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from http import HTTPStatus

from prometheus_client.parser import text_string_to_metric_families

from exporter import catalog
from exporter.findings import Finding, Level, fail, ok, skipped
from exporter.humanize import listing
from exporter.verify.web import Page, Part, UnansweredError, first_line, tell

EXPORTER, LOG_READ, OTHER_TABLES, COST = "exporter", "log read", "other tables", "cost today"

TOLERANCE = Decimal("0.01")
"""The share by which the exposed cost can differ from SQL's."""

STALLED_SECONDS = 60.0
"""How long `verify` waits for an exporter that reads the log, and gets no further."""

_POLL_SECONDS = 1.0
_READING = re.compile(r"not been read yet|\d+ % done")

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def settled(part: Part, say: Callable[[str], None] = tell) -> Page:
    """The page on whether the exporter is ready, once it has read the log, or gets no further. Raises UnansweredError.

    An exporter that reads the log for the first time, or after a gap, says how much of it is done.
    """
    said, until = "", 0.0
    while (page := part.page("/-/ready")).status != HTTPStatus.OK and _READING.search(page.text):
        if (text := first_line(page.text)) != said:
            said, until = text, time.monotonic() + STALLED_SECONDS
            say(text)
        elif time.monotonic() > until:
            break
        time.sleep(_POLL_SECONDS)
    return page


def check_exporter(part: Part) -> tuple[list[Finding], Samples | None]:
    """The findings, and its samples (None: there are none)."""
    try:
        ready = settled(part)
        text = part.text("/metrics")
    except UnansweredError as error:
        return [fail(EXPORTER, str(error), "start it, or set its address: --exporter-url")], None
    try:
        samples = parse(text)
    except ValueError:
        hint = "set --exporter-url to the address of the exporter itself"
        return [fail(EXPORTER, f"{part.url}/metrics is not in Prometheus' format", hint)], None
    log = evaluate_log(ready, samples)
    tables = skipped(OTHER_TABLES, LOG_READ) if log.level is Level.FAIL else evaluate_tables(samples)
    return [ok(EXPORTER, f"{part.url} answers with {len(samples)} samples"), log, tables], samples


def parse(text: str) -> Samples:
    """Samples of the text format by name and labels. Raises ValueError."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def evaluate_log(ready: Page, samples: Samples) -> Finding:
    """Evaluate whether the exporter reads all of the log, and its figures are current."""
    up = samples.get((catalog.LOG_UP.name, frozenset()))
    if up is None:
        hint = "set --exporter-url to the address of the exporter itself"
        return fail(LOG_READ, f"no {catalog.LOG_UP.name} among its metrics: it is another program", hint)
    if up != 1:
        hint = "run ai-operation-exporter check; during the first reading, wait until /-/ready answers 200"
        return fail(LOG_READ, f"{catalog.LOG_UP.name} is 0: {_why_not_up(ready, samples)}", hint)
    return ok(LOG_READ, "every row visible, figures current")


def _why_not_up(ready: Page, samples: Samples) -> str:
    # An exporter that has been ready stays ready when its database goes.
    if ready.status != 200 and ready.text.strip():
        return first_line(ready.text)
    read = samples.get((catalog.COLLECTOR_SUCCESS.name, frozenset({("collector", "log")})))
    return "the log cannot be read" if read == 0 else "figures are not current"


def evaluate_tables(samples: Samples) -> Finding:
    """Evaluate whether each existing optional table can be read."""
    name = catalog.COLLECTOR_SUCCESS.name
    known = {dict(labels)["collector"]: value for (found, labels), value in samples.items() if found == name}
    broken = [collector for collector, value in known.items() if value != 1 and collector != "log"]
    if broken:
        hint = "run ai-operation-exporter check, which prints the missing grants"
        return fail(OTHER_TABLES, f"not read: {listing(broken)}", hint)
    return ok(OTHER_TABLES, "budgets, routes, recommendations and approvals are read, if they exist")


def operations(samples: Samples) -> frozenset[str]:
    """The operations that have been called, as far as the exporter has read."""
    name = catalog.OPERATION_LAST_SEEN.name
    return frozenset(dict(labels).get("operation", "") for found, labels in samples if found == name)


def window_start(samples: Samples) -> int | None:
    """The start of the day of the exposed spend, in seconds since the epoch."""
    start = samples.get((catalog.WINDOW_START.name, frozenset({("window", "day")})))
    return None if start is None else int(start)


def spend_today(samples: Samples) -> Decimal:
    """The exposed spend of the day in USD, summed over all series."""
    values = (value for (name, _), value in samples.items() if name == catalog.SPEND_TODAY.name)
    return sum((Decimal(str(value)) for value in values), Decimal(0))


def evaluate_cost(before: Decimal, truth: Decimal, after: Decimal) -> Finding:
    """Evaluate SQL's figure against the scrapes before and after it, in USD: between them, or within `TOLERANCE`."""
    low, high = min(before, after), max(before, after)
    off = max(low - truth, truth - high, Decimal(0))
    share = off / truth if truth else Decimal(0 if not off else 1)
    nearest = low if truth < low else high
    detail = f"${nearest:.6f} exposed, ${truth:.6f} by SQL, off by {share:.4%}"
    if share > TOLERANCE:
        hint = "look at ai_operation_log_up and ai_exporter_ledger_drift_usd, and at the time zones in check"
        return fail(COST, detail, hint)
    return ok(COST, detail)
