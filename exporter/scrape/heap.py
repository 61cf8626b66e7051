"""Memory that the C library keeps for itself once much has been read."""

import contextlib
import ctypes


def give_back() -> None:
    """Give the system what is free of the C library's memory, where the library can: glibc keeps it otherwise."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
