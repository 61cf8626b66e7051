"""File systems of a test's own: one that can be frozen, and small ones. Skips where they cannot be mounted."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system in memory of so many KiB."""
    folder.mkdir()
    _run_or_skip("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextlib.contextmanager
def freezable_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], None], Callable[[], None]]]:
    """A file system of 8 MiB, with what freezes it and what thaws it; thawed in any case at the end."""
    image = folder.with_suffix(".img")
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * 2**20)
    _run_or_skip("mkfs.ext4", "-q", "-F", str(image))
    _run_or_skip("mount", "-o", "loop", str(image), str(folder))
    frozen = False

    def freeze() -> None:
        nonlocal frozen
        _run_or_skip("fsfreeze", "--freeze", str(folder))
        frozen = True

    def thaw() -> None:
        nonlocal frozen
        if frozen:
            frozen = False
            subprocess.run(["fsfreeze", "--unfreeze", str(folder)], check=True, capture_output=True)

    try:
        yield folder, freeze, thaw
    finally:
        thaw()
        _unmount(folder)


def _run_or_skip(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"needs {command[0]}")
    if done.returncode:
        pytest.skip(f"cannot {' '.join(command[:3])}: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # what has just been closed may be busy for a moment more
    for _ in range(100):
        if subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
