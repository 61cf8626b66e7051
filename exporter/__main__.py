"""The command `ai-operation-exporter`, also as `python -m exporter`."""

import sys
from types import TracebackType

from exporter.process.signals import hold_signals


def main() -> int:
    """Run the command of this process; returns its exit code."""
    if sys.argv[1:2] == ["serve"]:
        # a stop during the imports waits: as a container's first process it would be lost otherwise
        hold_signals()
    sys.excepthook = _pass_over_ctrl_c
    from exporter.cli import main as run

    return run()


def _pass_over_ctrl_c(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error, but no traceback for Ctrl-C during the imports."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    sys.exit(main())
