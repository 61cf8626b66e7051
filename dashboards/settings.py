"""What differs between two teams' dashboards, and is chosen when they are built."""

from dataclasses import dataclass

from dashboards.alerts import AlertLines


@dataclass(frozen=True)
class Settings:
    """`zone` is the budget's time zone, an IANA name: days are cut there.

    `runbooks` is the address of the folder with the alerts' pages; without one, nothing links to them. `api_job` and
    `postgres_job` are the names of Prometheus' jobs that probe the user's API and ask postgres_exporter, regular
    expressions. With `choose_job`, the dropdown for the exporter's job is shown.
    """

    alerts: AlertLines
    zone: str = "UTC"
    runbooks: str = ""
    api_job: str = "blackbox"
    postgres_job: str = "postgres"
    choose_job: bool = False
