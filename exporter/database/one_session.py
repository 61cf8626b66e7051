"""The session of a command that reads the database once."""

import contextlib
from collections.abc import Iterator

from exporter.config import Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import PlanOutdated
from exporter.database.session import Session
from exporter.database.transactions import Database


@contextlib.contextmanager
def one_session(
    config: Config, info: ConnInfo, command: str, seconds: float, statement_seconds: float | None = None
) -> Iterator[Session]:
    """A transaction on a connection of its own, which is then closed; `command` goes into the application's name.

    It lasts `seconds` at most, and each statement `statement_seconds`. Raises `DatabaseError`.
    """
    name, accepted = f"ai-operation-exporter-{command}", config.tables.accept_unproven
    database = Database(info, config.database.connect_timeout, name, accepted)
    try:
        with contextlib.closing(database), database.session(seconds, statement_seconds) as session:
            yield session
    except PlanOutdated as error:
        raise type(error)(error.message, "run the command again") from None
