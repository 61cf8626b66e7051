"""`check`: a look at everything the exporter relies on, before it is started."""

from exporter.findings import Finding, Level
from exporter.preflight.run import run_check

__all__ = ["Finding", "Level", "run_check"]
