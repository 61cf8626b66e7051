"""The panels that read the log by SQL, and what they send."""

from dashboards.command import rendered
from tests.support.grafana import SETTINGS, targets

SQL_PANELS = {
    f"{made['title']}: {panel['title']} {target['refId']}": str(target["rawSql"])
    for made in rendered(SETTINGS).values()
    for panel, target in targets(made)
    if "rawSql" in target
}
"""The statements of all dashboards, with Grafana's variables, by a name that says where each stands."""
