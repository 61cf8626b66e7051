"""Check the free space on the volume of the state."""

import os
from pathlib import Path

from exporter.findings import Finding, fail, ok, warn
from exporter.state.store import FILE_NAME

SPACE = "state space"

ROOMY = 64 * 2**20
"""Bytes that the state of 200 busy series needs: 14 MiB for the last 48 hours, as much again for the users of a large
team, 33 MiB for the hourly history of both, and the journal."""

LEAST = 512 * 2**10
"""Bytes that must be free for the next commits."""


def check_space(folder: Path) -> Finding:
    """Check that the state can grow on the volume of the folder, which need not exist yet."""
    try:
        nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
        volume = os.statvfs(nearest)
        kept = sum(path.stat().st_size for path in folder.glob(f"{FILE_NAME}*"))
    except OSError as error:
        return warn(SPACE, f"{folder}: {error.strerror}", "make the folder readable for this user")
    no_files = volume.f_files > 0 and volume.f_favail == 0
    return evaluate_space(nearest, volume.f_bavail * volume.f_frsize, kept, no_files=no_files)


def evaluate_space(folder: Path, free: int, kept: int, *, no_files: bool) -> Finding:
    """Evaluate `free` bytes on the volume of a state that already takes `kept` bytes."""
    detail = f"{_size(free)} free at {folder}"
    if no_files:
        return fail(
            SPACE, f"{detail}, and no file can be created there (no free inodes)", "delete files on that volume"
        )
    if free < LEAST:
        return fail(
            SPACE,
            f"{detail}: the state cannot grow, and counters freeze when it is full",
            "enlarge the volume, or free some space",
        )
    if free + kept < ROOMY:
        return warn(
            SPACE,
            f"{detail}; 200 busy series need up to {_size(ROOMY)}",
            "enlarge the volume, or lower max_series",
        )
    return ok(SPACE, detail)


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count // 1024} KiB"
