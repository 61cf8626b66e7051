"""Preflight checks of everything the exporter relies on: the command `check`."""

from exporter.preflight.run import run_check

__all__ = ["run_check"]
