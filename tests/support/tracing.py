"""When coverage's tracer is on: it makes all Python slower, and pytest's own code too."""

import contextlib
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Trace nothing meanwhile, in this thread and those that it starts.

    pytest-cov starts two collectors in a process of xdist. When it pauses the upper one, the lower one goes on: both
    are of one tracer, which goes away here.
    """
    before, before_in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before_in_threads)
