"""What Python and the C library do with memory that is free."""

import contextlib
import ctypes
import gc

_YOUNG = 10_000
"""Objects that have been made and are still there before Python looks for those that only refer to each other.

Its own 700 are as many as a scrape has at a time, of which none is left once it is done.
"""


def spare_what_stays() -> None:
    """Have Python look for garbage less often, and not among what is there now, which stays until this comes again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


_LARGE = 1024 * 1024
"""Bytes from which on a block has pages of its own, which the system gets back as soon as the block is free."""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_IMPOSSIBLE = (AttributeError, OSError, TypeError)
"""What another library than glibc answers with."""


def keep_little() -> None:
    """Let glibc keep less for itself, before the first thread starts.

    By itself, it takes larger and larger blocks from the common heap, where one that stays holds back all that is
    below it, and gives each thread a heap of its own.
    """
    with contextlib.suppress(*_IMPOSSIBLE):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give the system what is free of the C library's memory, where the library can: glibc keeps it otherwise."""
    with contextlib.suppress(*_IMPOSSIBLE):
        ctypes.CDLL(None).malloc_trim(0)
