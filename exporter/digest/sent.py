"""On which day the last digest was sent: a small file, which outlives the service."""

import contextlib
import json
import os
from datetime import date
from pathlib import Path

from exporter.errors import UserError
from exporter.state.private import make_folder, write_file

FILE_NAME = "digest.json"
_HINT = "name one that can be written with --sent-file"


class SentFile:
    """The record of the last day. `day` is an ordinal, None where none is known.

    What cannot be written is remembered as long as the service runs: nothing is sent twice on that account.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, and prove that it can be written. Raises `UserError`."""
        self._path = path
        self.day = self._read()
        try:
            make_folder(path.parent)
            self._write(self.day)
        except OSError as error:
            raise UserError(f"--sent-file {path}: cannot be written ({error.strerror}) — {_HINT}") from None

    def remember(self, day: int) -> None:
        """Keep that a digest was sent on this day. Raises `OSError` where that is only kept in memory."""
        self.day = day
        self._write(day)

    def touch(self) -> None:
        """Leave on the file when the service was seen at work: a health check looks at that."""
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def _read(self) -> int | None:
        try:
            found = json.loads(self._path.read_bytes())["sent"]
            return None if found is None else date.fromisoformat(found).toordinal()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"--sent-file {self._path}: cannot be read ({error.strerror}) — {_HINT}") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"--sent-file {self._path}: holds no day of a digest — delete it, or name another file"
            ) from None

    def _write(self, day: int | None) -> None:
        """Replace the file as a whole, on the disk before this returns."""
        text = json.dumps({"sent": None if day is None else date.fromordinal(day).isoformat()})
        beside = self._path.with_name(f"{self._path.name}.new")
        write_file(beside, f"{text}\n".encode())
        beside.replace(self._path)
