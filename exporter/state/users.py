"""How users are named in the state, and what happens to those names when the setting changes."""

import contextlib
import logging
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.config import Config, read_hmac_key
from exporter.ledger.model import Changes, State, TimeRange
from exporter.pseudonyms import Pseudonyms
from exporter.state.store import Store

log = logging.getLogger(__name__)

KEY = "users_key"
"""The name in `meta` of the key for `users.mode: off`, in hexadecimal digits."""

PURGE_PAUSE = 60.0
"""Seconds after a failed purge before the next attempt."""

_PURGED = "users_purged"
_KEY_BYTES = 32


def pseudonyms_for(config: Config, store: Store) -> Pseudonyms:
    """How users are named in the state. Raises `ConfigError` where the key cannot be read.

    With `users.mode: off`, budgets are still compared with what each user spent. The names for that are made with a
    random key, which is stored next to them: it hides ids, but not from somebody who has the state and knows an id.
    """
    if config.users.mode == "id":
        return Pseudonyms(None)
    if config.users.mode == "hmac":
        return Pseudonyms(read_hmac_key(config))
    key: str | None = store.meta(KEY)
    if key is None:
        key = secrets.token_hex(_KEY_BYTES)
        # if it cannot be stored, the next start makes another one and reads users again
        with contextlib.suppress(sqlite3.Error, OSError):
            store.commit(Changes(), {KEY: key})
    return Pseudonyms(bytes.fromhex(key))


def hide_users(store: Store, pseudonyms: Pseudonyms, meta: Mapping[str, object]) -> bool:
    """Replace the ids in the state with names, and store `meta` with them; False if they cannot be written."""
    try:
        store.rename_users(pseudonyms, meta)
    except (sqlite3.Error, OSError) as error:
        log.warning(
            "the users' ids in %s cannot be replaced (%s): users are read from the log again", store.path, error
        )
        return False
    log.info("users are hidden: their ids in %s have been replaced", store.path)
    return True


class Purge:
    """Removes every trace of ids from the file, once after they have been replaced.

    `attempt` runs in the thread of the disk, `is_due` may be asked in any other.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._hidden = bool(pseudonyms.scheme)
        self._again: float | None = None
        self._said = False

    @property
    def has_failed(self) -> bool:
        """Whether another attempt will be due."""
        return self._again is not None

    def is_due(self) -> bool:
        """Whether an attempt has failed, and it is time for another one; once for each."""
        if self._again is None or time.monotonic() < self._again:
            return False
        self._again = None
        return True

    def attempt(self, store: Store) -> None:
        """Purge the file, unless that was done. A failure is logged once, and makes another attempt due."""
        try:
            purged = store.meta(_PURGED)
            if self._hidden and not purged:
                self._purge(store)
            elif not self._hidden and purged is not None:
                store.commit(Changes(), {_PURGED: None})
        except (sqlite3.Error, OSError) as error:
            if self._hidden and not self._said:
                log.warning("%s may still contain traces of deleted user ids (%s): trying again", store.path, error)
            self._said = True
            self._again = time.monotonic() + PURGE_PAUSE
        else:
            if self._hidden and self._said:
                log.info("%s contains no trace of deleted user ids any more", store.path)

    def _purge(self, store: Store) -> None:
        if not self._said and (old := sorted(path.name for path in store.set_aside)):
            log.warning("files that were set aside as damaged may contain user ids, delete them: %s", ", ".join(old))
        store.purge()
        store.commit(Changes(), {_PURGED: True})


def forget_users(state: State, hours: Iterable[int], past: Iterable[TimeRange] = ()) -> Changes:
    """Forget all users: their names cannot be turned into others, so they must be read from the log again.

    So must the hours of the history, which begin at these times, past stretches of budgets, and what groups have
    spent: slices hold both.
    """
    return Changes(
        hours=dict.fromkeys(hours),
        past_spend=dict.fromkeys(past),
        slices={start: replace(item, users={}) for start, item in state.slices.items() if item.users},
        slice_users=dict.fromkeys(state.slices),
        user_days=dict.fromkeys(state.user_days),
        group_days=dict.fromkeys(state.group_days),
        shown_users=dict.fromkeys(state.shown_users),
    )
