"""What Python and the C library do with memory that is free."""

import contextlib
import ctypes
import gc

_YOUNG = 10_000
"""How many new objects may be alive before Python looks for those that only refer to each other.

Its default, 700, is about what a scrape has alive at a time, and none of it outlives the scrape.
"""


def spare_what_stays() -> None:
    """Have Python look for garbage less often, and not among the objects that exist now until this is called again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


_LARGE = 1024 * 1024
"""Bytes from which a block has pages of its own, which go back to the system as soon as the block is free."""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_UNSUPPORTED = (AttributeError, OSError, TypeError)
"""What is raised where the C library is not glibc."""


def keep_little() -> None:
    """Let glibc keep less for itself, before the first thread starts.

    Left alone, it takes ever larger blocks from the common heap, where one that stays holds back all free memory below
    it, and it gives each thread a heap of its own.
    """
    with contextlib.suppress(*_UNSUPPORTED):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give free memory of the C library back to the system, where the library can: glibc keeps it otherwise."""
    with contextlib.suppress(*_UNSUPPORTED):
        ctypes.CDLL(None).malloc_trim(0)
