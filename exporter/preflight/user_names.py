"""Check the table of users' names: that it can be read, cheaply, and knows the users of the newest calls."""

from psycopg import sql

from exporter.catalog import USER_NAMES
from exporter.database.display_names import SETTING, find_names, read_user_names
from exporter.database.labels import user_name
from exporter.database.log_table import name_column
from exporter.database.tables import Table
from exporter.findings import Finding, failed, ok, warn
from exporter.ledger.calendar import DAY
from exporter.ledger.model import UNATTRIBUTED
from exporter.preflight.access import evaluate_grants, evaluate_writes, read_access
from exporter.preflight.context import CheckContext
from exporter.preflight.table_index import check_served

_WEEK = 7 * DAY

_NEWEST = sql.SQL("""
SELECT DISTINCT username FROM (
  SELECT {user} AS username FROM {table} WHERE {time} >= %(from)s ORDER BY {time} DESC LIMIT 500
) AS newest
""")


def check_user_names(context: CheckContext) -> list[Finding]:
    """Check the table that `users.names` sets; nothing if it is not set."""
    names = context.config.users.names
    if names is None:
        return []
    table = find_names(context.session, context.config, names, SETTING, USER_NAMES)
    if table is None:
        found = f"no table {names.table}: users are shown by their ids"
        return [warn(USER_NAMES, found, f"correct {SETTING}.table, or set {SETTING} to null")]
    access = read_access(context.session, table.relation)
    grants = evaluate_grants(USER_NAMES, table.relation, table.columns, access)
    if failed([grants]):
        return [grants]
    users = _newest_users(context)
    known = read_user_names(context.session, context.config, users)
    by_key = Table(table.relation, {"key": table.key})
    served = check_served(context, USER_NAMES, by_key, table.statement(users), ["key"])
    columns = f"{table.relation.name} ({table.key.name}, {table.name.shown})"
    found = f"{columns}; {len(known)} of {len(users)} users of the newest calls have a name"
    finding = ok(USER_NAMES, found)
    if users and not known:
        hint = f"set {SETTING}.key to the column of {names.table} that has the log's ids of users"
        finding = warn(USER_NAMES, f"{found}: they are shown by their ids", hint)
    return [finding, served, *evaluate_writes(table.relation, table.columns, access)]


def _newest_users(context: CheckContext) -> list[str]:
    log = context.log
    if "user" not in log.columns:
        return []
    context.session.prove_visible(context.relation)
    statement = _NEWEST.format(user=name_column(log, "user"), table=log.source(), time=log.column("time"))
    users = {user_name(user) for (user,) in context.session.run(statement, context.last(_WEEK))}
    return sorted(users - {UNATTRIBUTED})
