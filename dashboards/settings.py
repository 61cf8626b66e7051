"""What differs between two teams' dashboards, and is chosen when they are built."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """`zone` is the budget's time zone (an IANA name): days are cut there. `runbooks` is where the"
    " alerts' pages lie."""

    zone: str = "UTC"
    runbooks: str = "https://github.com/ai-operation-exporter/ai-operation-exporter/blob/main/docs/runbooks"

    def runbook(self, alert: str) -> str:
        """The address of an alert's page; may hold Grafana's variables."""
        return f"{self.runbooks.rstrip('/')}/{alert}.md"
