"""Memory that the C library keeps for itself once much has been read."""

import contextlib
import ctypes

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
