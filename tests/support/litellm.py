"""LiteLLM's own schema: its published migrations as they are, and partitions as its operators make them."""

from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import psycopg
from litellm_proxy_extras.request_log_indexes import REQUEST_LOG_INDEXES

PACKAGE = "litellm-proxy-extras"
Admin = psycopg.Connection[Any]


def migrations() -> dict[str, bytes]:
    """All migrations in order, by their names."""
    folder = files("litellm_proxy_extras") / "migrations"
    names = sorted(each.name for each in folder.iterdir() if each.is_dir())
    return {name: (folder / name / "migration.sql").read_bytes() for name in names}


def migrate(admin: Admin, until: str | None = None) -> None:
    """Apply the migrations, up to the one that begins with `until` or all, and then the indexes that follow them."""
    for name, statements in migrations().items():
        admin.execute(statements)
        if until is not None and name.startswith(until):
            return
    for index in REQUEST_LOG_INDEXES:
        admin.execute(f'CREATE INDEX "{index.name}" ON "{index.table}" {index.definition}'.encode())


def partition(admin: Admin, days: range) -> None:
    """Turn the empty spend log into one with a partition for each of these days from today, and a default one.

    The time becomes part of the primary key, as partitions want it; all other indexes are made again.
    """
    found = admin.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = '\"LiteLLM_SpendLogs\"'::regclass AND NOT indisprimary"
    ).fetchall()
    admin.execute('ALTER TABLE "LiteLLM_SpendLogs" RENAME TO before_partitions')
    admin.execute(
        'CREATE TABLE "LiteLLM_SpendLogs" (LIKE before_partitions INCLUDING DEFAULTS) PARTITION BY RANGE ("startTime")'
    )
    admin.execute("DROP TABLE before_partitions")
    admin.execute('ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id, "startTime")')
    for (definition,) in found:
        admin.execute(definition.encode())
    admin.execute('CREATE TABLE "LiteLLM_SpendLogs_pdefault" PARTITION OF "LiteLLM_SpendLogs" DEFAULT')
    today = datetime.now(UTC).date()
    for day in days:
        first, last = today + timedelta(days=day), today + timedelta(days=day + 1)
        admin.execute(
            f'CREATE TABLE "{partition_of(first)}" PARTITION OF "LiteLLM_SpendLogs"'
            f" FOR VALUES FROM ('{first}') TO ('{last}')".encode()
        )


def partition_of(day: date) -> str:
    """The name of a day's partition."""
    return f"LiteLLM_SpendLogs_p{day:%Y%m%d}"


def version_in_use() -> str:
    """The version of the package with the migrations."""
    return version(PACKAGE)
