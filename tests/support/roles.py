"""Roles that the SQL files make, which all databases of a server share."""

from typing import Any

import psycopg
from psycopg import sql


def drop_role(admin: "psycopg.Connection[Any]", name: str) -> None:
    """Remove a role and its rights in this database, if it is there."""
    if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None:
        admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
