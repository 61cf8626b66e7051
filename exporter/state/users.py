"""How users are named in the state, and what happens to those names when the setting changes."""

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


def purge_ids(store: Store, pseudonyms: Pseudonyms) -> None:
    """Remove every trace of ids from the file, once after they have been replaced."""
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
        log.warning("%s may still contain traces of deleted user ids (%s)", store.path, error)
    if old := sorted(path.name for path in store.set_aside):
        log.warning("files that were set aside as damaged may contain user ids, delete them: %s", ", ".join(old))


def forget_users(state: State) -> Changes:
    """Forget all users: their names cannot be turned into others, so they must be read from the log again."""
    return Changes(
        slices={start: replace(item, users={}) for start, item in state.slices.items() if item.users},
        slice_users=dict.fromkeys(state.slices),
        user_days=dict.fromkeys(state.user_days),
        shown_users=dict.fromkeys(state.shown_users),
    )
