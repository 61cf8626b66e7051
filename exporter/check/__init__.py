"""`check`: a look at everything the exporter relies on, before it is started."""

from exporter.check.finding import Finding, Level
from exporter.check.run import run_check

__all__ = ["Finding", "Level", "run_check"]
