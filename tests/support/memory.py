"""A temporary folder in memory for a run of the tests: a database on a disk costs more than what is asked of it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

MEMORY = Path("/dev/shm")
"""Where Linux has a file system in memory."""

NEEDED = 4 << 30
"""Bytes that must be free in that file system, and available in memory."""

_PREFIX = "ai-test-run-"


@dataclass
class MemoryFolder:
    """A folder in memory. It is locked for as long as the process lives that made it."""

    path: Path
    lock: int
    kept: bool = False

    def close(self) -> None:
        """Remove it, unless it is to be looked at: then the next run removes it."""
        if not self.kept:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def use_memory(memory: Path = MEMORY) -> MemoryFolder | None:
    """Put the temporary files of this process, and of those that it starts, into memory.

    Returns None, and leaves them where they always are, where there is no memory to spare.
    """
    for folder in memory.glob(f"{_PREFIX}*"):
        _remove_if_left_over(folder)
    if not _has_room(memory):
        return None
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
    # as the usual one: some servers run under accounts of their own
    path.chmod(0o1777)
    lock = os.open(path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ["TMPDIR"] = tempfile.tempdir = str(path)
    return MemoryFolder(path, lock)


def _remove_if_left_over(folder: Path) -> None:
    """Remove a folder whose process was killed, or whose failures have been looked at by now."""
    with contextlib.suppress(OSError):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _has_room(memory: Path) -> bool:
    """Whether files can be kept there, programs among them, and enough of them."""
    with contextlib.suppress(OSError):
        found = os.statvfs(memory)
        words = Path("/proc/meminfo").read_text().split()
        available = int(words[words.index("MemAvailable:") + 1]) * 1024
        usable = os.access(memory, os.W_OK) and not found.f_flag & os.ST_NOEXEC
        return usable and min(found.f_bavail * found.f_frsize, available) >= NEEDED
    return False
