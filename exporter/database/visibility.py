"""Whether every row of a table or view can be seen: judged from the catalog, for each role whose rights count.

Reading with `row_security = off` turns rows that a policy hides into an error. That net has holes: a materialized view
holds what its owner saw, a foreign table what another server shows, and a function may do anything. So the catalog is
walked from the relation down to whatever it reads, in one statement.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from exporter.config import QualifiedName
from exporter.database.errors import MissingGrant, NotVisible, hidden_rows, policy_sql
from exporter.database.foresight import CatalogReader
from exporter.database.layout import Relation
from exporter.database.names import quoted, table_sql

_MOST = 100
"""Findings that are looked at; a single one that is not accepted decides."""

_SESSION_FUNCTIONS = (
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "getpgusername",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_function_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_table_privilege",
    "has_type_privilege",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "pg_backend_pid",
    "pg_has_role",
    "pg_show_all_settings",
    "pg_stat_get_activity",
    "pg_table_is_visible",
    "row_security_active",
    "session_user",
    "system_user",
)
"""Built-in functions whose result depends on who asks."""

_OPAQUE_FUNCTIONS = (
    "cursor_to_xml",
    "database_to_xml",
    "lo_get",
    "loread",
    "pg_ls_dir",
    "pg_read_binary_file",
    "pg_read_file",
    "pg_stat_file",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "schema_to_xml",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
)
"""Built-in functions that read what the catalog does not know of."""

_RANDOM_FUNCTIONS = ("random", "random_normal")
"""Built-in functions that may choose other rows each time."""

_POLICIES = """
  LEFT JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid AND p.polcmd IN ('r', '*')
    AND EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS of(role)
                WHERE CASE of.role WHEN 0 THEN true ELSE pg_catalog.pg_has_role({role}, of.role, 'USAGE') END)
"""
_SHOW_ALL = """
         coalesce(pg_catalog.bool_or(p.polpermissive AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'), false)
         AND NOT coalesce(pg_catalog.bool_or(NOT p.polpermissive), false)
"""

# Children that are tables, and have none themselves, are read as the table above them.
_BRANCHES = """
  SELECT i.inhrelid
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid AND (k.relkind = 'f' OR k.relhassubclass)
  WHERE i.inhparent = c.oid AND c.relhassubclass
"""

# A table that reads nothing else needs no walk: to plan that takes longer than to read a small log.
_TABLE = f"""
SELECT c.relkind IN ('r', 'p') AND NOT EXISTS ({_BRANCHES}), pg_catalog.row_security_active(c.oid),
       {_SHOW_ALL}, current_user::text
FROM pg_catalog.pg_class c {_POLICIES.format(role="current_user")}
WHERE c.oid = %(oid)s::oid
GROUP BY c.oid
"""  # noqa: S608

# What is read, and by whose rights. A view reads by its owner's, unless it is a `security_invoker` one: that reads by
# the rights of whoever asks, below other views too. A materialized view asked when it was filled, as its owner.
# Of a parent and its children, the policies of the one that is named apply.
_READS = f"""
me AS MATERIALIZED (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
),
reads(oid, role, invoker, copy, is_child) AS (
  SELECT %(oid)s::oid, me.oid, me.oid, 0::oid, false FROM me
  UNION
  SELECT n.oid, n.role, n.invoker, n.copy, n.is_child
  FROM reads x
  JOIN pg_catalog.pg_class c ON c.oid = x.oid
  CROSS JOIN LATERAL (
    SELECT b.oid, x.role, x.invoker, x.copy, true FROM ({_BRANCHES}) AS b(oid)
    UNION ALL
    SELECT d.refobjid,
           CASE WHEN c.relkind = 'v' AND EXISTS (
                  SELECT FROM pg_catalog.unnest(c.reloptions) AS o
                  WHERE pg_catalog.split_part(o, '=', 1) = 'security_invoker'
                    AND pg_catalog.split_part(o, '=', 2)::pg_catalog.bool)
                THEN x.invoker ELSE c.relowner END,
           CASE c.relkind WHEN 'm' THEN c.relowner ELSE x.invoker END,
           CASE c.relkind WHEN 'm' THEN c.oid ELSE x.copy END,
           false
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> c.oid
    WHERE c.relkind IN ('v', 'm') AND w.ev_class = c.oid AND w.ev_type = '1'
  ) AS n(oid, role, invoker, copy, is_child)
)
"""  # noqa: S608

# Row-level security does not apply to superusers, to roles that bypass it, and to owners unless it is forced.
_GUARDED = f"""
guarded AS (
  SELECT CASE WHEN {_SHOW_ALL} THEN 'policy' ELSE 'hidden' END AS what,
         x.oid, x.role, x.copy, NULL::text AS first, NULL::text AS second
  FROM reads x
  JOIN pg_catalog.pg_class c ON c.oid = x.oid
  JOIN pg_catalog.pg_roles r ON r.oid = x.role
  {_POLICIES.format(role="x.role")}
  WHERE c.relrowsecurity AND NOT x.is_child AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(x.role, c.relowner, 'USAGE'))
  GROUP BY x.oid, x.role, x.copy
)
"""  # noqa: S608

# The exporter's own rights on the relation itself are another matter: `check` looks at them column by column.
_GRANTED = """
denied AS (
  SELECT 'grant', x.oid, x.role, x.copy, NULL::text, NULL::text
  FROM reads x
  JOIN pg_catalog.pg_class c ON c.oid = x.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  WHERE x.oid <> %(oid)s::oid AND x.copy = 0 AND NOT x.is_child
    AND NOT pg_catalog.has_any_column_privilege(x.role, x.oid, 'SELECT')
)
"""

_FOREIGN = """
distant AS (
  SELECT 'foreign', x.oid, x.role, x.copy, s.srvname::text,
         (SELECT pg_catalog.split_part(o, '=', 2)
          FROM pg_catalog.pg_user_mappings m, pg_catalog.unnest(m.umoptions) AS o
          WHERE m.srvid = s.oid AND m.umuser IN (x.role, 0) AND pg_catalog.split_part(o, '=', 1) = 'user'
          ORDER BY m.umuser DESC LIMIT 1)
  FROM reads x
  JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = x.oid
  JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
)
"""

# A view's query as the catalog holds it, without the list of columns of its outermost level: a function there changes
# values, and takes no row away.
_QUERIES = """
queries AS (
  SELECT x.oid, x.role, x.copy, w.oid AS rule,
         pg_catalog.regexp_replace(w.ev_action::text, '^(.*) :targetList .*? :override', '\\1') AS tree
  FROM reads x
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = x.oid AND w.ev_type = '1'
  JOIN pg_catalog.pg_class c ON c.oid = x.oid AND c.relkind IN ('v', 'm')
)
"""

_FUNCTIONS = """
functions AS (
  SELECT DISTINCT 'function', q.oid, q.role, q.copy, pg_catalog.format('%%I.%%I', n.nspname, p.proname), NULL::text
  FROM queries q
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = q.rule
   AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
  LEFT JOIN pg_catalog.pg_operator o
    ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
  JOIN pg_catalog.pg_proc p ON p.oid = coalesce(o.oprcode::oid, d.refobjid)
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM pg_catalog.pg_depend e
                   WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid
                     AND e.deptype = 'e') AS shipped
  ) AS extension
  WHERE CASE WHEN p.proretset THEN p.provolatile <> 'i' OR NOT extension.shipped
             ELSE (p.provolatile = 'v' OR p.provolatile = 's' AND NOT extension.shipped)
              AND q.tree ~ pg_catalog.format(' :(funcid|opno) %%s ', d.refobjid) END
  UNION
  SELECT b.what, q.oid, q.role, q.copy, p.proname::text, NULL
  FROM queries q
  CROSS JOIN (SELECT 'function', name FROM pg_catalog.unnest(%(opaque)s::pg_catalog.text[]) AS o(name)
              UNION ALL
              SELECT 'session', name FROM pg_catalog.unnest(%(session)s::pg_catalog.text[]) AS s(name)
              UNION ALL
              SELECT 'sample', name FROM pg_catalog.unnest(%(random)s::pg_catalog.text[]) AS r(name)) AS b(what, name)
  JOIN pg_catalog.pg_proc p
    ON p.proname = b.name AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND pg_catalog.strpos(q.tree, pg_catalog.format(' :funcid %%s ', p.oid)) > 0
  UNION
  SELECT 'session', q.oid, q.role, q.copy, 'current_user', NULL
  FROM queries q WHERE q.tree ~ 'SQLVALUEFUNCTION :op (9|10|11|12) '
  UNION
  SELECT 'session', q.oid, q.role, q.copy, 'current_schema', NULL
  FROM queries q WHERE pg_catalog.strpos(q.tree, 'SQLVALUEFUNCTION :op 14 ') > 0
  UNION
  SELECT 'sample', q.oid, q.role, q.copy, 'TABLESAMPLE', NULL
  FROM queries q WHERE pg_catalog.strpos(q.tree, ' :tablesample {') > 0
)
"""

_FINDINGS = f"""
WITH RECURSIVE {_READS}, {_GUARDED}, {_GRANTED}, {_FOREIGN}, {_QUERIES}, {_FUNCTIONS}
SELECT f.what, n.nspname::text, c.relname::text, pg_catalog.pg_get_userbyid(f.role)::text,
       m.nspname::text, m.relname::text, f.first, f.second
FROM (TABLE guarded UNION ALL TABLE denied UNION ALL TABLE distant UNION ALL TABLE functions)
     AS f(what, oid, role, copy, first, second)
JOIN pg_catalog.pg_class c ON c.oid = f.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT k.oid, k.relname, s.nspname
           FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace s ON s.oid = k.relnamespace) AS m ON m.oid = f.copy
ORDER BY (f.what IN ('grant', 'hidden', 'policy') AND f.copy = 0) DESC, 1, 2, 3, 4, 7
LIMIT {_MOST}
"""  # noqa: S608


@dataclass(frozen=True)
class Doubt:
    """Why it cannot be proven that every row is visible, and what to do about it."""

    reason: str
    hint: str


@dataclass(frozen=True)
class Visibility:
    """How row-level security meets whoever reads: not at all, or `by_policy` through ones that show every row.

    `doubts` are left where it cannot be told.
    """

    by_policy: bool
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A row of the walk: `relation` as read by `role`, and the materialized view that was filled from it, if any.

    What `first` and `second` name depends on `what`: server and remote user, or a function.
    """

    what: str
    relation: QualifiedName
    role: str
    copy: QualifiedName | None
    first: str
    second: str | None


def look_for_hidden_rows(catalog: CatalogReader, relation: Relation) -> Visibility:
    """What the catalog says of the rows of a relation, for the role that is logged in.

    A policy shows every row when it is permissive, for SELECT, for the role whose rights count, `true`, and no
    restrictive one stands beside it. Raises `NotVisible` where rows that are read live are hidden, and `MissingGrant`
    where what a view reads may not be read, both with the SQL for the role whose rights count.
    """
    table = catalog.execute(_TABLE, {"oid": relation.oid}).fetchone()
    if table is None or table[0]:
        return _plain(relation, *(table or (True, False, True, ""))[1:])
    return _walk(catalog, relation)


def _plain(relation: Relation, guarded: bool, shows_all: bool, role: str) -> Visibility:
    if guarded and not shows_all:
        raise hidden_rows(table_sql(relation.name), quoted(role))
    return Visibility(by_policy=guarded)


def _walk(catalog: CatalogReader, relation: Relation) -> Visibility:
    parameters = {
        "oid": relation.oid,
        "session": list(_SESSION_FUNCTIONS),
        "opaque": list(_OPAQUE_FUNCTIONS),
        "random": list(_RANDOM_FUNCTIONS),
    }
    found = [
        _Found(
            what,
            QualifiedName(schema, name),
            role,
            None if copy is None else QualifiedName(copy_schema, copy),
            first or "",
            second,
        )
        for what, schema, name, role, copy_schema, copy, first, second in catalog.execute(_FINDINGS, parameters)
    ]
    for each in found:
        if each.what == "grant":
            raise _denied(each, relation)
        if each.what == "hidden" and each.copy is None:
            raise _hidden(each, relation)
    return Visibility(any(each.what == "policy" and each.copy is None for each in found), tuple(_doubts(found)))


def refuse_doubts(visibility: Visibility, relation: Relation, table: str, accepted: Collection[str]) -> None:
    """Raise `NotVisible` where it cannot be proven that every row is visible, unless that is accepted for the table.

    `table` is its place in the configuration: `log`, or that of an optional table.
    """
    if visibility.doubts and table not in accepted:
        doubt = visibility.doubts[0]
        raise NotVisible(
            f"it cannot be proven that every row of {relation.name} is visible: {doubt.reason}",
            f"{doubt.hint} -- then, or if you know that it shows every row: tables.accept_unproven: [{table}]",
        )


def _denied(found: _Found, relation: Relation) -> MissingGrant:
    table, role = table_sql(found.relation), quoted(found.role)
    message = f"{role} may not read {table}, and its rights count when {table_sql(relation.name)} is read"
    return MissingGrant(message, f"GRANT SELECT ON {table} TO {role};")


def _hidden(found: _Found, relation: Relation) -> NotVisible:
    if found.relation == relation.name:
        return hidden_rows(table_sql(found.relation), quoted(found.role))
    through = f", whose rights count when {table_sql(relation.name)} is read"
    return hidden_rows(table_sql(found.relation), quoted(found.role), through)


def _doubts(found: Iterable[_Found]) -> Iterable[Doubt]:
    for each in found:
        name, role = table_sql(each.relation), quoted(each.role)
        if each.what == "hidden" and each.copy is not None:
            copy = table_sql(each.copy)
            yield Doubt(
                f"materialized view {copy} was filled by {role}, from whom row-level security hides rows of {name}",
                f"{policy_sql(name, role)}; then: REFRESH MATERIALIZED VIEW {copy};",
            )
        elif each.what == "foreign":
            remote = f"role {quoted(each.second)}" if each.second else f"the role that {role} is mapped to"
            yield Doubt(
                f"{name} is a foreign table: what {remote} sees on server {quoted(each.first)} is not known here",
                f"give {remote} every row there, as deploy/sql/role_policies.sql does",
            )
        elif each.what == "function":
            yield Doubt(
                f"{name} takes rows from function {each.first}, or chooses them by it, and what it reads is not known",
                "in the configuration (tables), name a view that reads the table itself",
            )
        elif each.what == "sample":
            yield Doubt(
                f"{name} shows a random choice of rows: {each.first}",
                "name a view that shows every row in the configuration: tables",
            )
        elif each.what == "session":
            yield Doubt(
                f"{name} chooses rows by {each.first}: what it shows depends on who asks",
                f"let it show every row to {role}, or name another view in the configuration: tables",
            )
