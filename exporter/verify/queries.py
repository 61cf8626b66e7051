"""Run every panel's queries through Grafana, as its page does. No data is an answer, an error is not."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.findings import Finding, Level, fail, ok, skipped, warn
from exporter.humanize import listing
from exporter.verify.panels import PanelRequest, panels
from exporter.verify.web import Page, Part, UnansweredError, first_line

DASHBOARDS = "dashboards"
"""The name of the finding on whether they exist."""

SECONDS = 60.0
"""The time for the panels of one dashboard; after that, the report says how many are left out."""

_HINTS = {
    "postgres": "apply deploy/sql/dashboards.sql again, or what `sql dashboards` prints for your tables; if a panel"
    " takes too long, also deploy/sql/indexes.sql",
    "prometheus": "provision dashboards/generated/ again, and look at Prometheus' log",
}
_OTHER = "provision dashboards/generated/ again, and look at Grafana's log"


@dataclass(frozen=True)
class PanelAnswer:
    """A panel's answer: `error` is empty if all its queries succeeded; `empty` says that none has data."""

    panel: PanelRequest
    error: str = ""
    empty: bool = False


def check_queries(part: Part, uid: str, broken: Collection[str], seconds: float = SECONDS) -> Finding:
    """Check that all panels of a dashboard get answers; those with a `broken` data source are left out."""
    name = f"queries {uid}"
    try:
        page = part.page(f"/api/dashboards/uid/{uid}")
        if page.status != 200:
            return skipped(name, DASHBOARDS)
        listed = panels(json.loads(page.text)["dashboard"])
    except UnansweredError as error:
        return fail(name, str(error), _OTHER)
    except (ValueError, KeyError, TypeError, AttributeError):
        return fail(name, f"{uid} has another form than the built dashboard", _OTHER)
    if not listed:
        return fail(name, f"{uid} has no panel with a query", _OTHER)
    able = [panel for panel in listed if panel.sources.isdisjoint(broken)]
    return evaluate_answers(uid, listed, list(_ask(part, able, seconds)), broken)


def _ask(part: Part, able: Collection[PanelRequest], seconds: float) -> Iterator[PanelAnswer]:
    until = time.monotonic() + seconds
    for panel in able:
        if time.monotonic() >= until:
            return
        try:
            yield evaluate_page(panel, part.page("/api/ds/query", body=panel.request))
        except UnansweredError as error:
            yield PanelAnswer(panel, str(error))


def evaluate_page(panel: PanelRequest, page: Page) -> PanelAnswer:
    """Evaluate Grafana's answer to a panel's request: results by refId, each with frames or an error."""
    try:
        results = json.loads(page.text)["results"]
        answers = [results[query["refId"]] for query in panel.request["queries"]]
        errors = [str(answer["error"]) for answer in answers if answer.get("error")]
        empty = not any(_has_rows(frame) for answer in answers for frame in answer.get("frames") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        return PanelAnswer(panel, f"Grafana answers {page.status}: {first_line(page.text)}")
    if not errors and page.status not in (200, 207):
        errors = [f"Grafana answers {page.status}"]
    return PanelAnswer(panel, first_line(errors[0]) if errors else "", empty)


def _has_rows(frame: Mapping[str, Any]) -> bool:
    return any((frame.get("data") or {}).get("values") or ())


def evaluate_answers(
    uid: str, listed: Collection[PanelRequest], answers: Collection[PanelAnswer], broken: Collection[str]
) -> Finding:
    """Evaluate the answers of a dashboard with the panels `listed`; those with a `broken` source were left out."""
    name = f"queries {uid}"
    failed = [answer for answer in answers if answer.error]
    late = sum(panel.sources.isdisjoint(broken) for panel in listed) - len(answers)
    if failed:
        titles = listing([answer.panel.title for answer in failed], most=6)
        # the first error of each source: the others are mostly the same
        reasons = {source: answer.error for answer in reversed(failed) for source in answer.panel.sources}
        said = "; ".join(sorted(set(reasons.values())))
        more = f"; {late} more were left out: time was up" if late else ""
        hint = "\n".join(dict.fromkeys(_HINTS.get(source, _OTHER) for source in sorted(reasons)))
        return fail(name, f"errors in {len(failed)} of {len(listed)} panels: {titles}: {said}{more}", hint)
    hollow = sum(answer.empty for answer in answers)
    without = f", {hollow} of them without data" if hollow else ""
    if len(answers) == len(listed):
        return ok(name, f"all {len(listed)} panels answer{without}")
    answered = f"{len(answers)} of {len(listed)} panels answer{without}"
    if late:
        return warn(name, f"{answered}, then time was up", "apply deploy/sql/indexes.sql, which makes panels fast")
    needs = {f"source {source}" for panel in listed for source in panel.sources.intersection(broken)}
    return Finding(name, Level.SKIPPED, f"{answered}, the rest needs {listing(needs)}")
