"""Keeps the state private: its folder and files are closed to all users but their owner."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_ACCESS = 0o7777
_NOT_OURS_TO_JUDGE = ("lost+found",)


def make_folder(folder: Path) -> None:
    """Create the folder, closed to others whatever the umask is. Raises `OSError`."""
    try:
        folder.mkdir(FOLDER_MODE, parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        folder.chmod(FOLDER_MODE)


def make_file(path: Path) -> None:
    """Create an empty file, closed to others whatever the umask is, unless it exists. Raises `OSError`.

    SQLite gives the files that it creates next to it the same mode.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a new file, closed to others and on the disk before this returns. Raises `OSError`."""
    path.unlink(missing_ok=True)
    make_file(path)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def tighten(folder: Path, names: tuple[str, ...]) -> None:
    """Close to others what belongs to this user, and log it; warn if others can still write.

    The names of the state's files begin with one of `names`. A folder that holds anything else (`--state-dir .`) is
    left as it is. So is one that belongs to another user, such as a volume that a container can access by its group.
    """
    closed = [path for path in (*_files(folder, names), *_whole(folder, names)) if _close(path)]
    if closed:
        log.info("closed to other users: %s", ", ".join(map(str, closed)))
    if writable_by_others(folder):
        log.warning(
            "state folder %s can be written by every user of this machine, who could replace the state: "
            "chmod o-w it, or give it to this user",
            folder,
        )


def writable_by_others(folder: Path) -> bool:
    """Whether users who are neither the folder's owner nor in its group can create files in it."""
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def readable_by_others(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The state's files that users other than the owner can read."""
    return [path for path in _files(folder, names) if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)]


def _files(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name.startswith(names) and path.is_file())


def _whole(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The folder, where nothing but the state is in it."""
    return (
        [folder.resolve()]
        if all(path.name.startswith((*names, *_NOT_OURS_TO_JUDGE)) for path in folder.iterdir())
        else []
    )


def _close(path: Path) -> bool:
    """Remove the access of others, if the path is ours; returns whether there was any."""
    try:
        found = path.lstat()
        # a folder with the sticky bit, such as /tmp, is meant to be shared
        if found.st_uid != os.geteuid() or stat.S_ISLNK(found.st_mode) or found.st_mode & stat.S_ISVTX:
            return False
        access = found.st_mode & _ACCESS
        wanted = access & (FOLDER_MODE if stat.S_ISDIR(found.st_mode) else FILE_MODE)
        if access != wanted:
            path.chmod(wanted)
    except OSError:
        # some file systems have no modes, and a file may just have been deleted
        return False
    return access != wanted
