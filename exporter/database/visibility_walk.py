"""The walk through the catalog, from a relation down to whatever it reads, in one statement.

Each row that it finds is a fact that counts against "every row is visible". What the facts mean is judged elsewhere.
"""

from collections.abc import Collection
from dataclasses import dataclass

from exporter.config import QualifiedName
from exporter.database.foresight import CatalogReader, Question

_MOST = 100
"""Facts that are looked at; a single one that is not accepted decides."""

_SESSION_FUNCTIONS = tuple(
    """
    current_query current_schema current_schemas current_setting current_user getpgusername has_any_column_privilege
    has_column_privilege has_database_privilege has_function_privilege has_schema_privilege has_sequence_privilege
    has_table_privilege has_type_privilege inet_client_addr inet_client_port inet_server_addr inet_server_port
    pg_backend_pid pg_has_role pg_show_all_settings pg_stat_get_activity pg_table_is_visible row_security_active
    session_user system_user
    """.split()
)
"""Built-in functions whose result depends on who asks."""

_OPAQUE_FUNCTIONS = tuple(
    """
    cursor_to_xml database_to_xml lo_get loread pg_ls_dir pg_read_binary_file pg_read_file pg_stat_file query_to_xml
    query_to_xml_and_xmlschema schema_to_xml table_to_xml table_to_xml_and_xmlschema
    """.split()
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
SELECT c.oid::bigint, NOT EXISTS ({_BRANCHES}), pg_catalog.row_security_active(c.oid),
       {_SHOW_ALL}, current_user::text
FROM pg_catalog.pg_class c {_POLICIES.format(role="current_user")}
WHERE c.oid = ANY(%(oids)s::oid[])
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

# A view's query as the catalog holds it: nodes in braces. Those directly below the query are taken apart, so that the
# entries of its list of columns can be told from the rest. A name may hold a brace, with a backslash before it.
_NODES = """
queries AS MATERIALIZED (
  SELECT x.oid, x.role, x.copy, w.oid AS rule, w.ev_action::text AS tree
  FROM reads x
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = x.oid AND w.ev_type = '1'
  JOIN pg_catalog.pg_class c ON c.oid = x.oid AND c.relkind IN ('v', 'm')
),
pieces AS (
  SELECT q.rule, s.n, s.piece,
         sum(CASE pg_catalog.left(s.piece, 1) WHEN '{' THEN 1 WHEN '}' THEN -1 ELSE 0 END)
           OVER (PARTITION BY q.rule ORDER BY s.n) AS depth
  FROM (SELECT DISTINCT rule, replace(replace(tree, '\\{', '('), '\\}', ')') AS tree FROM queries) AS q
  CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.string_to_array(
    replace(replace(q.tree, '{', E'\\x01{'), '}', E'\\x01}'), E'\\x01')) WITH ORDINALITY AS s(piece, n)
),
nodes AS (
  SELECT rule, pg_catalog.string_agg(piece, '' ORDER BY n) AS tree,
         pg_catalog.bool_or(depth = 2 AND pg_catalog.left(piece, 12) = '{TARGETENTRY') AS is_column
  FROM (SELECT *, count(*) FILTER (WHERE depth = 2 AND pg_catalog.left(piece, 1) = '{')
                    OVER (PARTITION BY rule ORDER BY n) AS node FROM pieces) AS numbered
  GROUP BY rule, node
),
"""

# The parts that count: of the columns only those that are read, and of those of a view below, which the one above
# names. A column that rows are grouped or made distinct by counts as the rest of the query, for which `made` is NULL.
_PARTS = """
parts AS (
  SELECT q.oid, q.role, q.copy, q.rule, a.attname::text AS made, n.is_column, n.tree
  FROM queries q
  JOIN nodes n ON n.rule = q.rule
  CROSS JOIN LATERAL (
    SELECT CASE WHEN n.is_column THEN
      pg_catalog.regexp_match(n.tree, '^.*:resno (\\d+) .*:ressortgroupref 0 .*:resjunk false') END AS found
  ) AS entry
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = q.oid AND a.attnum = entry.found[1]::int
  WHERE entry.found IS NULL
     OR CASE WHEN q.oid = %(oid)s::oid THEN a.attname = ANY(%(columns)s::pg_catalog.text[])
             ELSE EXISTS (SELECT FROM queries above
                          JOIN pg_catalog.pg_depend d
                            ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = above.rule
                           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = q.oid
                          WHERE d.refobjsubid = a.attnum
                             OR d.refobjid <> above.oid AND pg_catalog.strpos(above.tree, ':varattno 0 ') > 0) END
),
"""

_FUNCTIONS = """
builtins AS MATERIALIZED (
  SELECT b.what, p.oid, p.proname::text AS name
  FROM (SELECT 'function', name FROM pg_catalog.unnest(%(opaque)s::pg_catalog.text[]) AS o(name)
        UNION ALL
        SELECT 'session', name FROM pg_catalog.unnest(%(session)s::pg_catalog.text[]) AS s(name)
        UNION ALL
        SELECT 'sample', name FROM pg_catalog.unnest(%(random)s::pg_catalog.text[]) AS r(name)) AS b(what, name)
  JOIN pg_catalog.pg_proc p ON p.proname = b.name AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
),
called AS (
  SELECT q.oid, q.role, q.copy, q.made, q.is_column, pg_catalog.format('%%I.%%I', n.nspname, p.proname) AS name,
         p.proretset, p.provolatile, extension.shipped,
         q.tree ~ pg_catalog.format(' :(funcid|opno) %%s ', d.refobjid) AS is_here,
         NOT extension.shipped AND (p.prosrc ~* %(asking)s OR body.tree ~ 'SQLVALUEFUNCTION :op (9|10|11|12|14) '
           OR EXISTS (SELECT FROM builtins b WHERE b.what = 'session'
                      AND pg_catalog.strpos(body.tree, pg_catalog.format(' :funcid %%s ', b.oid)) > 0)) AS asks
  FROM parts q
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
  CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.to_jsonb(p) ->> 'prosqlbody', '') AS tree) AS body
),
functions AS (
  SELECT 'function', oid, role, copy, name, NULL::text
  FROM called
  WHERE CASE WHEN proretset THEN provolatile <> 'i' OR NOT shipped
             ELSE NOT is_column AND is_here AND (provolatile = 'v' OR provolatile = 's' AND NOT shipped) END
  UNION
  SELECT 'session', oid, role, copy, name, made FROM called WHERE is_here AND asks
  UNION
  SELECT b.what, q.oid, q.role, q.copy, b.name, q.made
  FROM parts q JOIN builtins b ON pg_catalog.strpos(q.tree, pg_catalog.format(' :funcid %%s ', b.oid)) > 0
  WHERE q.made IS NULL OR b.what <> 'sample'
  UNION
  SELECT 'session', q.oid, q.role, q.copy, v.name, q.made
  FROM parts q
  JOIN (VALUES ('(9|10|11|12)', 'current_user'), ('14', 'current_schema')) AS v(op, name)
    ON q.tree ~ pg_catalog.format('SQLVALUEFUNCTION :op %%s ', v.op)
  UNION
  SELECT 'sample', q.oid, q.role, q.copy, 'TABLESAMPLE', NULL
  FROM parts q WHERE pg_catalog.strpos(q.tree, ' :tablesample {') > 0
)
"""

_FACTS = f"""
WITH RECURSIVE {_READS}, {_GUARDED}, {_GRANTED}, {_FOREIGN}, {_NODES} {_PARTS} {_FUNCTIONS}
SELECT f.what, n.nspname::text, c.relname::text, pg_catalog.pg_get_userbyid(f.role)::text,
       m.nspname::text, m.relname::text, f.first, f.second
FROM (TABLE guarded UNION ALL TABLE denied UNION ALL TABLE distant UNION ALL TABLE functions)
     AS f(what, oid, role, copy, first, second)
JOIN pg_catalog.pg_class c ON c.oid = f.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT k.oid, k.relname, s.nspname
           FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace s ON s.oid = k.relnamespace) AS m ON m.oid = f.copy
ORDER BY (f.what IN ('grant', 'hidden', 'policy') AND f.copy = 0) DESC, 1, 2, 3, 4, 7, 8
LIMIT {_MOST}
"""  # noqa: S608


@dataclass(frozen=True)
class TableState:
    """How row-level security meets the role that reads a table.

    `is_alone` says whether it reads nothing but itself, so that no walk is needed; `guarded` whether row-level security
    applies, and `shows_all` whether its policies show every row.
    """

    is_alone: bool
    guarded: bool
    shows_all: bool
    role: str


@dataclass(frozen=True)
class Fact:
    """A row of the walk: `relation` as read by `role`, and the materialized view that was filled from it, if any.

    What `first` and `second` name depends on `what`: server and remote user; or a function, and the column that is
    made with it, None where it decides about rows.
    """

    what: str
    relation: QualifiedName
    role: str
    copy: QualifiedName | None
    first: str
    second: str | None


def state_question(oid: int) -> Question:
    """What `table_state` asks."""
    return Question(_TABLE, {"oids": [oid]}, "oids")


def table_state(catalog: CatalogReader, oid: int) -> TableState:
    """How row-level security meets the role that is logged in, for a table."""
    _, *state = catalog.execute(*state_question(oid)).fetchone() or (oid, True, False, True, "")
    return TableState(*state)


def walk(catalog: CatalogReader, oid: int, columns: Collection[str]) -> list[Fact]:
    """The facts that count against a relation of which these columns are read, `grant` and `hidden` ones first."""
    parameters = {
        "oid": oid,
        "columns": sorted(columns),  # the same each time, so that they can be asked ahead
        "session": list(_SESSION_FUNCTIONS),
        "opaque": list(_OPAQUE_FUNCTIONS),
        "random": list(_RANDOM_FUNCTIONS),
        "asking": rf"\m({'|'.join((*_SESSION_FUNCTIONS, 'current_role'))})\M",
    }
    return [
        Fact(
            what,
            QualifiedName(schema, name),
            role,
            None if copy is None else QualifiedName(copy_schema, copy),
            first or "",
            second,
        )
        for what, schema, name, role, copy_schema, copy, first, second in catalog.execute(_FACTS, parameters)
    ]
