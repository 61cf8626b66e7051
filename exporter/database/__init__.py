"""The connection to PostgreSQL, and its failures in words that are safe to print."""

from exporter.database.connection import Connection, connect
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import (
    DatabaseError,
    DatabaseUnavailable,
    IdentityMismatch,
    LoginRefused,
    MissingGrant,
    NotVisible,
    QueryTimeout,
    SchemaProblem,
    scrub,
    translate,
)

__all__ = [
    "ConnInfo",
    "Connection",
    "DatabaseError",
    "DatabaseUnavailable",
    "IdentityMismatch",
    "LoginRefused",
    "MissingGrant",
    "NotVisible",
    "QueryTimeout",
    "SchemaProblem",
    "connect",
    "resolve_conninfo",
    "scrub",
    "translate",
]
