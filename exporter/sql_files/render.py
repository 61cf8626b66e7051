"""The text of each file, for a configuration: templates filled with roles of columns, bounds and rules for labels."""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from exporter.config import LABEL_LENGTH, UPPER_BOUNDS, Config, QualifiedName
from exporter.config.expressions import Expression
from exporter.config.names import BREAKS, SURROGATES, UNSEEN
from exporter.config.sections import DisplayNames
from exporter.database.display_names import USER_NAMES
from exporter.database.labels import READ_LENGTH
from exporter.database.layout import (
    BUDGET_ROLES,
    LOG_ROLES,
    OUTCOMES,
    RECOMMENDATION_COMPARED,
    RECOMMENDATION_WRITTEN,
    ROLES,
    WRITTEN_ROLES,
    Role,
    roles_of,
)
from exporter.database.names import quoted
from exporter.database.values import KEPT_DECIMALS, NUMBER_FORMS, TEXT_FORMS
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN
from exporter.ledger.users import OTHER_USERS

_TEMPLATES = files(__package__) / "templates"
_GAP = re.compile(r"\{\{([a-z_]+)\}\}")
_WIDTH: Final = 120

_SEVERAL_USERS = ", ".join(f"'{name}'" for name in (OTHER_USERS, UNATTRIBUTED))
# as labels.user_name, by the label of the user's name
_USER_LABEL = (
    f"CASE WHEN btrim(%1$s, '\"') IN ({_SEVERAL_USERS}) THEN '\"' || (%1$s) || '\"'"
    f" ELSE coalesce(%1$s, '{UNATTRIBUTED}') END"
)

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
            IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = found AND polname = 'ai_exporter_reads') THEN
                EXECUTE format('CREATE POLICY ai_exporter_reads ON %s FOR SELECT TO ai_exporter USING (true)', found);
            END IF;""",
    },
}


def render(config: Config) -> dict[str, str]:
    """The files by name. What the configuration leaves open is found when a file is run.

    There is no view for Grafana of a log that is computed.
    """
    common = {"path": _path(config), "log_table": _literal(config.tables.log.name)}
    roles = {"wanted": _indented(_wanted(config), 8)} | common
    view = {} if config.columns.log.is_computed else {"dashboards.sql": _fill("dashboards.sql", common | _view(config))}
    return {
        **view,
        **{name: _fill("role.sql", roles | {"file": name, **parts}) for name, parts in _ROLE_FILES.items()},
        **{name: _fill(name, common | parts) for name, parts in _recommendations(config).items()},
    }


def _fill(template: str, values: Mapping[str, str]) -> str:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return _GAP.sub(lambda match: values[match[1]], text)


def _path(config: Config) -> str:
    """The schemas to look in: those that the configuration names, before those of the search path."""
    schemas = dict.fromkeys(name.schema for name in _tables(config).values() if name.schema is not None)
    own = f"ARRAY[{', '.join(map(_literal, schemas))}]::pg_catalog.name[] OPERATOR(pg_catalog.||) " if schemas else ""
    return f"{own}pg_catalog.current_schemas(false)"


def _tables(config: Config) -> dict[str, QualifiedName]:
    names = {section: getattr(config.tables, section) for section in ("log", *ROLES)}
    if config.users.names is not None:
        names[USER_NAMES] = config.users.names.table
    return {section: name for section, name in names.items() if name is not None}


def _names(config: Config, section: str, roles: Mapping[str, Role]) -> dict[str, list[str]]:
    """What each role's column may be called: as the configuration has it, or as it is known."""
    columns = config.columns
    explicit: Mapping[str, Any] = (
        columns.budgets.named if section == "budgets" else getattr(columns, section).model_dump()
    )
    return {
        role: _columns(explicit[role]) if explicit.get(role) else list(known.names) for role, known in roles.items()
    }


def _columns(written: str) -> list[str]:
    return list(written.columns) if isinstance(written, Expression) else [written]


def _columns_of_names(names: DisplayNames | None) -> list[list[str]]:
    return [] if names is None else [[names.key], _columns(names.name)]


def _wanted(config: Config) -> str:
    tables: dict[QualifiedName, list[str]] = {}
    for section, name in _tables(config).items():
        if section == USER_NAMES:
            known: Iterable[list[str]] = _columns_of_names(config.users.names)
        else:
            roles = LOG_ROLES if section == "log" else roles_of(section, config.columns)[0]
            known = _names(config, section, roles).values()
        where = config.columns.log.where if section == "log" else None
        tables[name] = _distinct([tables.get(name, []), *known, where.columns if where else ()])
    return _literal("[\n" + ",\n".join(f"    {_wrapped(table, names)}" for table, names in tables.items()) + "\n]")


def _distinct(names: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for each in names for name in each))


def _wrapped(table: QualifiedName, names: Iterable[str]) -> str:
    """Schema, table and columns in JSON, on lines that are not too long below the template's own indentation."""
    start = f"[{_json(table.schema)}, {_json(table.name)}, ["
    margin = " " * (len(start) + 4)
    lines = [""]
    for name in names:
        word = f"{_json(name)}, "
        if lines[-1] and 8 + len(margin) + len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += word
    return start + f"\n{margin}".join(line.rstrip() for line in lines).rstrip(",") + "]]"


def _view(config: Config) -> dict[str, str]:
    log = {role: names for role, names in _names(config, "log", LOG_ROLES).items() if names and role != "free"}
    log["time"].reverse()  # a "status" table that also has a created_at is read by executed_at
    required = [role for role, known in LOG_ROLES.items() if known.required]
    # the view has daily and monthly limits
    budgets = config.tables.budgets if config.columns.budgets.period is None else None
    budget_names = _names(config, "budgets", BUDGET_ROLES)
    return {
        **_names_of_users(config.users.names),
        "log_names": _indented(_mapping(log), 4),
        "required": _array(required),
        "budget_names": _indented(_mapping(budget_names), 4),
        "log_schema": _optional(config.tables.log.schema),
        "budget_schema": _optional(None if budgets is None else budgets.schema),
        "budget_table": _optional(None if budgets is None else budgets.name),
        "zone": _literal(config.log_time_zone),
        "zone_name": config.log_time_zone,
        "uuid": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "several_users": _SEVERAL_USERS.replace("'", "''"),
        "aliases": _literal(_json(dict(config.models.aliases))),
        "breaks": _codes(BREAKS),
        "unseen": _codes(UNSEEN),
        "read_length": str(READ_LENGTH),
        "label_length": str(LABEL_LENGTH),
        "unknown": UNKNOWN,
        "unattributed": UNATTRIBUTED,
        "user_label": _literal(_USER_LABEL),
        "text_form": _by_type(TEXT_FORMS),
        "number_form": _by_type(NUMBER_FORMS),
        "by_status": "'\n             '".join(
            f" WHEN ''{status}'' THEN ''{shown}''" for status, shown in OUTCOMES.items()
        ),
        "decimals": str(KEPT_DECIMALS),
        **{f"most_{measure}": str(most) for measure, most in UPPER_BOUNDS.items()},
    }


def _names_of_users(names: DisplayNames | None) -> dict[str, str]:
    if names is None:
        return dict.fromkeys(("names_schema", "names_table", "names_key", "names_form"), "NULL")
    form = names.name.sql if isinstance(names.name, Expression) else quoted(names.name)
    return {
        "names_schema": _optional(names.table.schema),
        "names_table": _literal(names.table.name),
        "names_key": _literal(names.key),
        "names_form": _literal(form),
    }


def _by_type(forms: Mapping[str, str]) -> str:
    cases = " ".join(f"WHEN {_literal(kind)} THEN {_literal(form)}" for kind, form in forms.items() if kind)
    return f"CASE kind {cases} ELSE {_literal(forms[''])} END"


def _mapping(names: Mapping[str, list[str]]) -> str:
    return _literal("{\n" + ",\n".join(f"    {_json(role)}: {_json(each)}" for role, each in names.items()) + "\n}")


def _codes(points: Iterable[range]) -> str:
    """Characters as hexadecimal bytes of UTF-8; a surrogate has none."""
    characters = (chr(point) for each in points for point in each if point not in SURROGATES)
    lines = textwrap.wrap(" ".join(character.encode().hex() for character in characters), 100)
    return "\n        ".join(_literal(line + " " * (line is not lines[-1])) for line in lines)


def _array(words: Iterable[str]) -> str:
    return f"'{{{','.join(words)}}}'"


def _indented(text: str, spaces: int) -> str:
    return text.replace("\n", "\n" + " " * spaces)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _recommendations(config: Config) -> dict[str, dict[str, str]]:
    """The file of the role that writes, and what it is filled with; nothing where the table is switched off."""
    table = config.tables.recommendations
    if table is None:
        return {}
    names = _names(config, "recommendations", WRITTEN_ROLES)
    columns = {
        "compared": _distinct(names[role] for role in RECOMMENDATION_COMPARED),
        "written": _distinct(names[role] for role in RECOMMENDATION_WRITTEN),
    }
    lists = {part: f"ARRAY[{', '.join(map(_literal, found))}]" for part, found in columns.items()}
    return {"role_recommendations.sql": {"schema": _optional(table.schema), "table": _literal(table.name), **lists}}


def _optional(text: str | None) -> str:
    return "NULL" if text is None else _literal(text)


def _literal(text: str) -> str:
    """A text in SQL, also within dollar quotes."""
    quoted = text.replace("'", "''")
    if "\\" not in quoted and "$$" not in quoted:
        return f"'{quoted}'"
    escaped = quoted.replace("\\", "\\\\").replace("$", "\\x24")
    return f"E'{escaped}'"
