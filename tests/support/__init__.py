"""What the tests share: servers, programs, logs to write to, and what must hold of them."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The folder of the project."""
