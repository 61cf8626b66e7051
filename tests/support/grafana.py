"""What Grafana does with a dashboard's queries before it sends them: variables and macros put in."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alert_rules.compiler.thresholds import ALERTS_FILE, thresholds
from dashboards.alerts import alert_lines
from dashboards.render import each_panel
from dashboards.settings import Settings

Json = dict[str, Any]

SETTINGS = Settings(alert_lines(thresholds(ALERTS_FILE)))
"""Those of the dashboards in this repository."""

ALL = ".+"
_REGEX_SPECIAL = re.compile(r"([\\^$*+?.()|\[\]{}/])")
_PROMQL_SPECIAL = re.compile(r"([$^*{}\[\]+?.()|])")


@dataclass(frozen=True)
class View:
    """What the page shows: times in seconds since the epoch, the budget's zone, chosen values by variable."""

    since: float
    until: float
    zone: str = "UTC"
    chosen: Mapping[str, Sequence[str]] | None = None
    rate_interval: str = "1m"
    interval: str = "1m"

    def regex(self, variable: str) -> str:
        """A variable's values as `${variable:regex}` writes them."""
        return self._either(variable, lambda value: _REGEX_SPECIAL.sub(r"\\\1", value))

    def matcher(self, variable: str) -> str:
        """A variable's values as the Prometheus data source puts them between double quotes, which it cannot escape."""
        return self._either(variable, lambda value: _PROMQL_SPECIAL.sub(r"\\\\\1", value.replace("\\", "\\\\\\\\")))

    def _either(self, variable: str, escape: Callable[[str], str]) -> str:
        values = (self.chosen or {}).get(variable)
        if values is None:
            return ALL
        escaped = [escape(value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def promql(expr: str, view: View) -> str:
    """An expression as the Prometheus data source gets it."""
    made = expr.replace("$__rate_interval", view.rate_interval).replace("$__interval", view.interval)
    made = made.replace("$__range", f"{max(1, int(view.until - view.since))}s")
    for name in ("job", "operation", "model", "user"):
        made = made.replace(f'"${name}"', f'"{view.matcher(name)}"')
    assert not re.search(r"\$(?!\d)", made), made  # a label_replace has its own $1
    return made


def sql(query: str, view: View) -> str:
    """A statement as the PostgreSQL data source sends it."""
    made = query.replace("${zone}", view.zone)
    made = re.sub(r"\$\{(\w+):regex\}", lambda found: view.regex(found[1]), made)
    for macro, moment in (("$__timeFrom()", view.since), ("$__timeTo()", view.until)):
        at = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = made.replace(macro, f"'{at}'")
    assert "$__" not in made, made
    assert "${" not in made, made
    return made


def targets(dashboard: Json) -> Iterator[tuple[Json, Json]]:
    """Every query of a dashboard with the panel that asks it; those that show another panel's answers left out."""
    for panel in each_panel(dashboard):
        for target in panel["targets"]:
            if "panelId" not in target:
                yield panel, target
