"""What other parts of the project know, as a digest says it: one function for each."""

from collections.abc import Callable
from typing import TypeVar

import psycopg

from exporter.advisor.advise import advise
from exporter.config import Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError
from exporter.database.session import Session
from exporter.digest.model import Advice, LeftOut
from exporter.ledger.aggregate import money_units

T = TypeVar("T")


def part(session: Session, name: str, read: Callable[[], T]) -> T | LeftOut:
    """What a function reads in the session, whose failure costs only this part of the digest.

    Raises the driver's error where the connection is lost.
    """
    try:
        with session.savepoint():
            return read()
    except psycopg.Error as error:
        if session.lost:
            raise
        return LeftOut(f"{name} ({session.translate(error).detail})")
    except DatabaseError as error:
        return LeftOut(f"{name} ({error.detail})")


def read_recommendations(session: Session, info: ConnInfo, config: Config) -> tuple[Advice, ...]:
    """What should change, by the last week: what saves most comes first. Raises `DatabaseError`."""
    found = advise(session, info, config)
    return tuple(Advice(each.title, money_units(each.saving) or None) for each in found)
