"""Changes of the state on their way to the disk, in order, even if the disk fails or hangs."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from exporter.database.errors import DatabaseError
from exporter.ledger.model import Changes
from exporter.state.disk_thread import DiskThread, answered
from exporter.state.shadow import ShadowWork
from exporter.state.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds to wait for a commit; without an answer by then, the disk counts as failing."""

READING = 1.0
"""Seconds to wait for a read of the file."""

FAREWELL = 2.0
"""Seconds to wait for the last commit and for closing the file."""

SHORT_FAREWELL = 0.5
"""The same, if the disk has not answered before."""


class DiskSilent(DatabaseError):  # noqa: N818
    """The state must be read, but its disk does not answer, or does not take what was written before.

    Handled like a failure of the database: it ends a read, and the read is tried again.
    """


@dataclass
class Batch:
    """Changes, values that are kept beside the state, and work on the shadow, for one transaction."""

    changes: Changes = field(default_factory=Changes)
    meta: dict[str, object] = field(default_factory=dict)
    shadow: ShadowWork | None = None

    def follow(self, later: "Batch") -> None:
        """Add what was planned on top of it."""
        self.changes.follow(later.changes)
        self.meta.update(later.meta)
        if self.shadow is None:
            self.shadow = later.shadow
        elif later.shadow is not None:
            self.shadow.follow(later.shadow)


class Journal:
    """What is on its way: one batch `sent` to the disk, and one `waiting` behind it. For one thread at a time.

    What fails is sent again with all that came after it, so that one commit carries everything.
    """

    def __init__(self, store: Store) -> None:
        self.folder: Path = store.folder
        self.failures = 0
        self._disk = DiskThread(store)
        self._waiting: Batch | None = None
        self._sent: tuple[Batch, Future[None]] | None = None
        self._reading: Future[dict[int, dict[str, int]]] | None = None
        self._said = False
        self._behind = False
        self._refused: str | None = None  # what the disk said last; None where it said nothing
        self._internal: BaseException | None = None

    @property
    def durable(self) -> bool:
        """Whether everything that was handed over is on the disk."""
        return self._sent is None and self._waiting is None

    @property
    def behind(self) -> bool:
        """Whether the last commit failed or was not answered in time, so that the newest changes are not durable."""
        return self._behind

    def commit(
        self, changes: Changes, meta: Mapping[str, object] | None = None, shadow: ShadowWork | None = None
    ) -> list[Changes]:
        """Hand over changes, wait for a moment, and return all that has become durable since, oldest first."""
        return self._advance(Batch(changes, dict(meta or {}), shadow))

    def retry(self) -> list[Changes]:
        """Send again what failed, and return what has become durable."""
        return [] if self.durable else self._advance(None)

    def slice_users(self, starts: Iterable[int]) -> dict[int, Mapping[str, int]]:
        """Money units by user of the slices that begin at these times. Raises `DiskSilent`."""
        handed_over: dict[int, Mapping[str, int] | None] = {}
        if self._sent is not None:
            handed_over.update(self._sent[0].changes.slice_users)
        if self._waiting is not None:
            handed_over.update(self._waiting.changes.slice_users)
        wanted = set(starts)
        found: dict[int, Mapping[str, int]] = {start: handed_over[start] or {} for start in wanted & handed_over.keys()}
        if missing := wanted - handed_over.keys():
            found.update(self._read_users(sorted(missing)))
        return found

    def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """What a function that reads the file brings, of all that is durable. Raises `DiskSilent`."""
        if not self._behind:
            answer = self._disk.submit(lambda store: store.read(query, *arguments))
            if answered(answer, READING):
                return answer.result()
        raise self._disk_silent()

    def later(self, work: Callable[[Store], None]) -> None:
        """Run work on the store after what was handed over. Nobody waits for it, so it must not raise."""
        self._disk.submit(work)

    def close(self) -> None:
        """Close the store. If the disk does not answer, log that and stop waiting."""
        if not self._disk.close(SHORT_FAREWELL if self._behind else FAREWELL):
            log.warning("the disk of the state in %s does not answer: stopping without it", self.folder)

    def _advance(self, added: Batch | None) -> list[Changes]:
        alone = self.durable
        landed = self._settle(0.0)
        if added is not None:
            if self._waiting is None:
                self._waiting = Batch()
            self._waiting.follow(added)
        if self._sent is None and self._waiting is not None:
            batch = self._waiting
            self._sent = batch, self._disk.submit(lambda store: store.commit(batch.changes, batch.meta, batch.shadow))
            self._waiting = None
            landed += self._settle(PATIENCE)
        if alone and self._internal is not None:
            # nothing builds on it yet: treat it as if it had never been handed over
            error, self._internal, self._waiting = self._internal, None, None
            raise error
        self._behind = not self.durable
        if self._sent is not None:
            self._refused = None
            self._fail("the disk does not answer")
        elif self.durable and self._said:
            self._said = False
            log.info("the state is written again")
        return landed

    def _settle(self, seconds: float) -> list[Changes]:
        """Handle the answer to what was sent, if it comes within so many seconds."""
        if self._sent is None or not answered(self._sent[1], seconds):
            return []
        (batch, answer), self._sent = self._sent, None
        error = answer.exception()
        self._internal = None
        if error is None:
            self._refused = None
            return [batch.changes]
        if self._waiting is not None:
            batch.follow(self._waiting)
        self._waiting = batch
        if isinstance(error, (sqlite3.Error, OSError)):
            self._refused = str(error)
        else:
            self._internal = error
            self._refused = f"internal error, {type(error).__name__}"
        self._fail(self._refused)
        return []

    def _fail(self, reason: str) -> None:
        self.failures += 1
        if not self._said:
            self._said = True
            log.error("the state in %s cannot be written (%s): counters are frozen until it can", self.folder, reason)

    def _read_users(self, starts: list[int]) -> dict[int, dict[str, int]]:
        # ask a hanging disk only once: more reads would pile up
        if not self._behind and (self._reading is None or self._reading.done()):
            self._reading = self._disk.submit(lambda store: store.slice_users(starts))
            if answered(self._reading, READING):
                return self._reading.result()
        raise self._disk_silent()

    def _disk_silent(self) -> DiskSilent:
        if self._behind and self._refused is not None:
            return DiskSilent(
                f"the state in {self.folder} cannot be written ({self._refused})",
                "free space, or make the folder writable; what was closed before is read again when it is written",
            )
        return DiskSilent(
            f"the disk of the state in {self.folder} does not answer",
            "see whether it hangs (dmesg, df); what was closed before is read again when it answers",
        )
