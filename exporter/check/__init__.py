"""`check`: a look at everything the exporter relies on, before it is started."""

from exporter.check.run import run_check
from exporter.finding import Finding, Level

__all__ = ["Finding", "Level", "run_check"]
