"""The text of each file, for a configuration."""

from collections.abc import Mapping

from exporter.config import Config
from exporter.database.layout import LOG_ROLES, RECOMMENDATION_COMPARED, RECOMMENDATION_WRITTEN, ROLES, WRITTEN_ROLES
from exporter.sql_files.columns import column_names, distinct, read_tables, search_path, wanted_columns
from exporter.sql_files.filling import array, fill, indented, json_text, literal, optional
from exporter.sql_files.views import view_parts

_ROLE_FILES: Mapping[str, Mapping[str, str]] = {
    "role_bypassrls.sql": {
        "about": """\
-- A role for the exporter that reads the columns it needs and nothing else, and sees every row: BYPASSRLS.
--
-- Needs a superuser (from PostgreSQL 16 also a role with CREATEROLE and BYPASSRLS). Where that cannot be had, as
-- with most hosted databases, use role_policies.sql instead.""",
        "attributes": " BYPASSRLS",
        "who": "a superuser (from PostgreSQL 16 also a role with CREATEROLE and BYPASSRLS), or use role_policies.sql",
        "or_else": " BYPASSRLS itself needs a superuser (from PostgreSQL 16 a role that has BYPASSRLS): elsewhere use "
        "role_policies.sql.",
        "policy": "",
    },
    "role_policies.sql": {
        "about": """\
-- A role for the exporter that reads the columns it needs and nothing else, and sees every row by a policy: for
-- hosted databases, where BYPASSRLS cannot be granted.
--
-- Needs CREATEROLE and the ownership of the tables. The policies are permissive: where a table also has a
-- RESTRICTIVE policy for all roles, that one still hides rows, and the exporter refuses to read.""",
        "attributes": "",
        "who": "a role with CREATEROLE that owns the tables",
        "or_else": "",
        "policy": """
            -- a view has no policies: what counts are those of the tables behind it, which `check` names
            IF kind IN ('r', 'p')
               AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = found AND polname = 'ai_exporter_reads') THEN
                EXECUTE format('CREATE POLICY ai_exporter_reads ON %s FOR SELECT TO ai_exporter USING (true)', found);
            END IF;""",
    },
}


def render(config: Config) -> dict[str, str]:
    """The files by name. What the configuration leaves open is found when a file is run."""
    common = {"path": search_path(config), "log_table": literal(config.tables.log.name)}
    roles = {"wanted": indented(wanted_columns(config), 8)} | common
    return {
        "dashboards.sql": fill("dashboards.sql", common | view_parts(config)),
        **{name: fill("role.sql", roles | {"file": name, **parts}) for name, parts in _ROLE_FILES.items()},
        **{name: fill(name, common | parts) for name, parts in (_recommendations(config) | _indexes(config)).items()},
        "role_postgres_exporter.sql": fill("role_postgres_exporter.sql", {}),
    }


def _recommendations(config: Config) -> dict[str, dict[str, str]]:
    """The file of the role that writes, and what it is filled with; nothing where the table is switched off."""
    table = config.tables.recommendations
    if table is None:
        return {}
    names = column_names(config, "recommendations", WRITTEN_ROLES)
    columns = {
        "compared": distinct(names[role] for role in RECOMMENDATION_COMPARED),
        "written": distinct(names[role] for role in RECOMMENDATION_WRITTEN),
    }
    lists = {part: array(found) for part, found in columns.items()}
    return {"role_recommendations.sql": {"schema": optional(table.schema), "table": literal(table.name), **lists}}


def _indexes(config: Config) -> dict[str, dict[str, str]]:
    """The file of indexes, and what it is filled with; nothing where all tables have what is needed.

    A log that is computed is somebody else's table: it has an index on its time, and nothing looks up by more.
    """
    tables = read_tables(config)
    time = column_names(config, "log", LOG_ROLES)["time"][::-1]
    wanted = []
    if not config.columns.log.is_computed:
        names = column_names(config, "log", LOG_ROLES)
        wanted += [("log", f"_{role}_time_idx", [names[role], time]) for role in ("user", "model")]
    for section, suffix, roles in (
        ("recommendations", "_open_idx", ("type", "status", "savings")),
        ("approvals", "_status_idx", ("status",)),
    ):
        names = column_names(config, section, ROLES[section])
        wanted.append((section, suffix, [names[role] for role in roles]))
    indexes = [
        (tables[section].schema, tables[section].name, suffix, columns)
        for section, suffix, columns in wanted
        if section in tables
    ]
    if not indexes:
        return {}
    lines = ",\n".join(f"        {json_text(index)}" for index in indexes)
    return {
        "indexes.sql": {"wanted": literal(f"[\n{lines}\n    ]"), "time_names": f"{literal(json_text(time))}::jsonb"}
    }
