"""By which names users are kept in the state, and what becomes of the names that are there when that changes."""

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from exporter.config import Config, read_hmac_key
from exporter.ledger.model import Changes, State
from exporter.pseudonyms import Pseudonyms
from exporter.state.store import Store

log = logging.getLogger(__name__)

KEY = "users_key"
"""The name in `meta` of the key for `users.mode: off`, in hexadecimal digits."""

_PURGED = "users_purged"
_KEY_BYTES = 32


def pseudonyms_for(config: Config, store: Store) -> Pseudonyms:
    """How users are named in the state. Raises `ConfigError` where the key cannot be read.

    With `users.mode: off` budgets are still compared with what each user spent. The names for that are made with a
    random key, which is kept beside them: it hides ids, but not from somebody who holds the state and knows an id.
    """
    if config.users.mode == "id":
        return Pseudonyms(None)
    if config.users.mode == "hmac":
        return Pseudonyms(read_hmac_key(config))
    key: str | None = store.meta(KEY)
    if key is None:
        key = secrets.token_hex(_KEY_BYTES)
        # one that cannot be kept is replaced at the next start, and users are then read anew
        with contextlib.suppress(sqlite3.Error, OSError):
            store.commit(Changes(), {KEY: key})
    return Pseudonyms(bytes.fromhex(key))


def hide_users(store: Store, pseudonyms: Pseudonyms, meta: Mapping[str, object]) -> bool:
    """Replace the ids in the state by names, and keep `meta` with them; False where the disk does not let us."""
    try:
        store.rename_users(pseudonyms, meta)
    except (sqlite3.Error, OSError) as error:
        log.warning("the users' ids in %s cannot be replaced (%s): users are read anew", store.path, error)
        return False
    log.info("users are hidden: their ids in %s have been replaced", store.path)
    return True


def purge_ids(store: Store, pseudonyms: Pseudonyms) -> None:
    """See that ids which once were in the file leave no trace in it, once after they have been replaced."""
    if not pseudonyms.scheme:
        if store.meta(_PURGED) is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                store.commit(Changes(), {_PURGED: None})
        return
    if store.meta(_PURGED):
        return
    try:
        store.purge()
        store.commit(Changes(), {_PURGED: True})
    except (sqlite3.Error, OSError) as error:
        log.warning("%s may still hold ids of users that were deleted in it (%s)", store.path, error)
    if old := sorted(path.name for path in store.set_aside):
        log.warning("files set aside as damaged may hold users' ids, delete them: %s", ", ".join(old))


def forget_users(state: State) -> Changes:
    """What removes all that is known of users, whose names cannot be turned into others; it is to be read anew."""
    return Changes(
        slices={start: replace(item, users={}) for start, item in state.slices.items() if item.users},
        slice_users=dict.fromkeys(state.slices),
        user_days=dict.fromkeys(state.user_days),
        shown_users=dict.fromkeys(state.shown_users),
    )
