"""The labels of users, and what they are called, by the setting `users`."""

import sys
from collections.abc import Iterable, Mapping
from functools import cache

import psycopg

from exporter.config import Config, read_hmac_key
from exporter.database.display_names import read_user_names
from exporter.database.errors import DatabaseError
from exporter.database.session import Session
from exporter.pseudonyms import Pseudonyms


def pseudonyms(config: Config) -> Pseudonyms:
    """The same labels as in /metrics. Raises `ConfigError` if the key cannot be read."""
    return Pseudonyms(read_hmac_key(config) if config.users.mode == "hmac" else None)


def names_if_read(session: Session, config: Config, users: Iterable[str]) -> Mapping[str, str]:
    """What users are called, by their labels; a table that cannot be read costs only the names, and is said.

    Raises `psycopg.Error` if the connection is lost.
    """
    users = list(users)
    if config.users.names is None or not users:
        return {}
    try:
        with session.savepoint():
            return read_user_names(session, config, users)
    except (DatabaseError, psycopg.Error) as error:
        if session.lost:
            raise
        told = session.translate(error) if isinstance(error, psycopg.Error) else error
        _say_once(f"users are shown by their ids: {told}")
        return {}


@cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)
