"""Checks of all running parts, from the table to the message: the command `verify`."""

from exporter.verify.built import Built, no_files, not_built
from exporter.verify.endpoints import DEFAULTS, Endpoints, endpoints_from
from exporter.verify.run import run_verify

__all__ = ["DEFAULTS", "Built", "Endpoints", "endpoints_from", "no_files", "not_built", "run_verify"]
