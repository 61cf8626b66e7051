"""What a message says of an alert: Prometheus templates, filled in at every evaluation."""

from collections.abc import Iterable
from dataclasses import dataclass
from string import Template
from urllib.parse import quote

from alert_rules.dimensions import Dimension, shown
from alert_rules.model import Alert, Limit, Variant
from alert_rules.quantities import MODEL_TIMEOUTS, QUANTITIES
from alert_rules.spec import Links

RUNBOOKS = "docs/runbooks"
"""The folder of the runbooks in this project: a page for each alert, of the alert's name."""


@dataclass(frozen=True)
class Annotations:
    """`value` is the figure in its unit; `contributors` up to three lines, the biggest first.

    `budget_day_ends` is the second at which the day or month ends that a figure is of: what resolves then has not
    been mended. Empty ones are left out.
    """

    summary: str
    description: str
    value: str = ""
    contributors: str = ""
    budget_day_ends: str = ""
    budget_period: str = ""
    runbook_url: str = ""
    dashboard_url: str = ""


def annotations(alert: Alert, variant: Variant, links: Links) -> Annotations:
    """The annotations of one rule."""
    return Annotations(
        alert.summary,
        _description(variant),
        shown(variant.dimension),
        _contributors(variant),
        _budget_day_ends(variant),
        "month" if ":month" in variant.ends else "",
        runbook_url(alert.name, links),
        dashboard_url(alert.dashboard, variant.by, links),
    )


def runbook_url(name: str, links: Links) -> str:
    """Where the runbook of an alert stands."""
    return f"{links.runbooks or RUNBOOKS}/{quote(name)}.md"


def dashboard_url(uid: str, by: Iterable[str], links: Links) -> str:
    """The dashboard that shows the figure, with its variables set to the alert's labels."""
    words = [f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in by if label in _VARIABLES]
    return f"{links.grafana}/d/{uid}" + ("?" + "&".join(words) if words else "")


_VARIABLES = ("operation", "model", "user")


def _description(variant: Variant) -> str:
    value = shown(variant.dimension)
    if variant.sentence:
        timeout = _looked_up(Limit("", MODEL_TIMEOUTS.value + "{$of}", MODEL_TIMEOUTS.by), Dimension.DURATION)
        return variant.sentence.format(value=value, timeout=timeout)
    of = "".join(f" of {_NOUNS.get(label, label)} {{{{ $labels.{label} }}}}" for label in variant.by)
    limit = variant.limit.noun
    if variant.limit.query:
        limit += f" of {_looked_up(variant.limit, variant.dimension)}"
    also = f" {variant.also}" if variant.also else ""
    return f"{variant.subject}{of} is {value}, {variant.relation} {limit}{also}."


_NOUNS = {"user": "user", "operation": "operation", "model": "model", "status": "status"}


def _looked_up(limit: Limit, dimension: Dimension) -> str:
    query = _query(limit.query, limit.by)
    return f"{{{{ with {query} }}}}{{{{ $found := . | first | value }}}}{shown(dimension, '$found')}{{{{ end }}}}"


def _contributors(variant: Variant) -> str:
    driver = variant.driver
    if driver is None:
        return ""
    line = f"{driver.line}: {shown(driver.dimension, '.Value')}"
    return f"{{{{ range {_query(driver.expr, variant.by)} }}}}{line}\n{{{{ end }}}}"


def _budget_day_ends(variant: Variant) -> str:
    if not variant.ends:
        return ""
    query = _query(variant.ends + "{$of}", ())
    return f'{{{{ with {query} }}}}{{{{ . | first | value | printf "%.0f" }}}}{{{{ end }}}}'


def _query(expr: str, by: Iterable[str]) -> str:
    """A template's call that runs an expression for the alert's own labels, whatever characters these hold."""
    labels = ("job", *by)
    of = "{" + ",".join(f"{label}=%q" for label in labels) + "}"
    values = " ".join(f"$labels.{label}" for label in labels)
    spelled = Template(expr.replace("{$of}", "$of").replace("%", "%%")).substitute(of="@OF@")
    times = spelled.count("@OF@")
    return f"query (printf `{spelled.replace('@OF@', of)}` {' '.join([values] * times)})"


def dashboards() -> frozenset[str]:
    """The uids of all dashboards that alerts link to."""
    return frozenset(quantity.dashboard for quantity in QUANTITIES.values()) | {"ai-health"}
