"""What differs between two teams' dashboards, and is chosen when they are built."""

from dataclasses import dataclass

from dashboards.alerts import AlertLines


@dataclass(frozen=True)
class Settings:
    """`zone` is the budget's time zone, an IANA name: days are cut there.

    `runbooks` is the address of the folder with the alerts' pages; without one, pages are named but not linked.
    """

    alerts: AlertLines
    zone: str = "UTC"
    runbooks: str = ""

    def runbook(self, alert: str) -> str:
        """The address of an alert's page; `alert` may be one of Grafana's variables."""
        return f"{self.runbooks.rstrip('/')}/{alert}.md"
