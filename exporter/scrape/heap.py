"""What Python and the C library do with memory that is free."""

import contextlib
import ctypes
import gc

_YOUNG = 10_000
"""Objects that have been made and are still there before Python looks for those that only refer to each other.

Its own 700 are as many as a scrape has at a time, of which none is left once it is done.
"""


def spare_what_stays() -> None:
    """Have Python look for garbage less often, and not among what is there now, which stays as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def give_back() -> None:
    """Give the system what is free of the C library's memory, where the library can: glibc keeps it otherwise."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
