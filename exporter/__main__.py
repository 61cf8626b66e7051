"""The command `ai-operation-exporter`, also as `python -m exporter`."""

import sys

from exporter.process.signals import hold_signals


def main() -> int:
    """Run the command of this process; returns its exit code."""
    if sys.argv[1:2] == ["serve"]:
        # a stop during the imports waits: as a container's first process it would be lost otherwise
        hold_signals()
    from exporter.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
