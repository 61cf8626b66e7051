"""Preflight checks of everything the exporter relies on: the command `check`."""

from exporter.findings import Finding, Level
from exporter.preflight.run import run_check

__all__ = ["Finding", "Level", "run_check"]
