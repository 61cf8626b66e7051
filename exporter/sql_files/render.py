"""The text of each file, for a configuration: templates filled with roles of columns, bounds and rules for labels."""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from exporter.catalog import USER_NAMES
from exporter.config import LABEL_LENGTH, UPPER_BOUNDS, Config, QualifiedName
from exporter.config.expressions import Expression
from exporter.config.names import BREAKS, SURROGATES, UNSEEN
from exporter.config.sections import DisplayNames, LogColumns
from exporter.database.columns import Column
from exporter.database.currency import in_dollars
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
from exporter.database.log_time import FAR, PER_SECOND
from exporter.database.mapping import FORMS
from exporter.database.names import quoted
from exporter.database.values import KEPT_DECIMALS, NUMBER_FORMS, TEXT_FORMS
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN
from exporter.ledger.users import OTHER_USERS

_TEMPLATES = files(__package__) / "templates"
_GAP = re.compile(r"\{\{([a-z_]+)\}\}")
_FORM = re.compile(r"set_config\('(\w+)', '([^']*)'")
_WIDTH: Final = 120

_SEVERAL_USERS = ", ".join(f"'{name}'" for name in (OTHER_USERS, UNATTRIBUTED))
# as labels.user_name, by the label of the user's name
_USER_LABEL = (
    f"CASE WHEN btrim(%1$s, '\"') IN ({_SEVERAL_USERS}) THEN '\"' || (%1$s) || '\"'"
    f" ELSE coalesce(%1$s, '{UNATTRIBUTED}') END"
)

_LACKING: Final = {
    "name": "NULL",
    "kind": "",
    "text": "NULL::text",
    "number": "NULL::numeric",
    "same": "NULL::text",
    "type": "text",
}
"""What `dashboards.sql` knows of the column of a role, where the log has no such value."""

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
    common = {"path": _path(config), "log_table": _literal(config.tables.log.name)}
    roles = {"wanted": _indented(_wanted(config), 8)} | common
    return {
        "dashboards.sql": _fill("dashboards.sql", common | _view(config)),
        **{name: _fill("role.sql", roles | {"file": name, **parts}) for name, parts in _ROLE_FILES.items()},
        **{name: _fill(name, common | parts) for name, parts in (_recommendations(config) | _indexes(config)).items()},
        "role_postgres_exporter.sql": _fill("role_postgres_exporter.sql", {}),
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
    explicit: Mapping[str, Any] = roles_of(section, columns)[1] if section in ROLES else columns.log.model_dump()
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
    settings, names = config.columns.log, _view_names(config)
    names["time"].reverse()  # a "status" table that also has a created_at is read by executed_at
    required = [role for role, known in LOG_ROLES.items() if known.required and role not in settings.lacking]
    # the view has daily and monthly limits
    budgets = config.tables.budgets if config.columns.budgets.period is None else None
    budget_names = _names(config, "budgets", BUDGET_ROLES)
    return {
        **_computed(settings, names),
        "log_names": _indented(_mapping(names), 4),
        **_names_of_users(config.users.names),
        "required": _array(required),
        "per_second": "NULL" if settings.time_unit == "timestamp" else str(PER_SECOND[settings.time_unit]),
        "far": str(FAR),
        "by_status": _by_status(settings),
        "budget_names": _indented(_mapping(budget_names), 4),
        "log_schema": _optional(config.tables.log.schema),
        "budget_schema": _optional(None if budgets is None else budgets.schema),
        "budget_table": _optional(None if budgets is None else budgets.name),
        "zone": _literal(config.log_time_zone),
        "zone_name": config.log_time_zone,
        "users": "'id'" if config.users.mode == "id" else "'off'",
        "users_shown": "with their ids" if config.users.mode == "id" else "so, too,",
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
        "decimals": str(KEPT_DECIMALS),
        **{f"most_{measure}": str(most) for measure, most in UPPER_BOUNDS.items()},
    }


def _view_names(config: Config) -> dict[str, list[str]]:
    """What the column of each role may be called in what the views read; that of an expression as `_computed` does."""
    settings = config.columns.log
    names = {
        role: [_made(role)] if role in _expressions(settings) else found
        for role, found in _names(config, "log", LOG_ROLES).items()
        if role not in ("free", "currency")
    }
    if "status" in settings.roles or settings.outcomes is not None:
        del names["success"]
    elif "success" in settings.roles:
        del names["status"]
    return {role: found for role, found in names.items() if found and role not in settings.lacking}


def _expressions(settings: LogColumns) -> dict[str, Expression]:
    """What is computed for roles: by the configuration, and costs in dollars."""
    roles = {role: each for role, each in settings.roles.items() if isinstance(each, Expression) and not each.is_null}
    if settings.currency is not None and "cost" not in settings.lacking:
        cost, currency = settings.cost or LOG_ROLES["cost"].names[0], settings.currency
        roles["cost"] = in_dollars(_column(cost), _column(currency), settings.currencies)
    return roles


def _column(written: str) -> Column:
    """A column of whatever type the table gives it."""
    return Column(written, "", "", expression=written if isinstance(written, Expression) else None)


def _made(role: str) -> str:
    """The column with what an expression computes; no column of a table is called so."""
    return f"={role}"


def _computed(settings: LogColumns, names: Iterable[str]) -> dict[str, str]:
    """What of the file is there only for a log that is more than its columns; `names` are the roles that are shown."""
    made = {role: written for role, written in _expressions(settings).items() if role in names}
    lacking = dict.fromkeys(sorted(settings.lacking), _LACKING)
    parts = {"lacking": f" || {_literal(_json(lacking))}::jsonb" if lacking else "", "role_forms": ""}
    if not made and settings.where is None:
        return {**parts, "source": "    source := log;"}
    read = _distinct(expression.columns for expression in (*made.values(), settings.where) if expression is not None)
    calls = {
        "read": f"ARRAY[{', '.join(map(_literal, read))}]",
        "forms": FORMS.strip().removeprefix("SELECT "),
        "made": _literal(", ".join(f"({written.sql}) AS {quoted(_made(role))}" for role, written in made.items())),
        "where": "''" if settings.where is None else _literal(f" WHERE ({settings.where.sql})"),
    }
    role_forms = "".join(f"\n    ALTER ROLE ai_grafana SET {name} = '{value}';" for name, value in _FORM.findall(FORMS))
    return {**parts, "source": _fill("calls.sql", calls).rstrip(), "role_forms": role_forms}


def _by_status(settings: LogColumns) -> str:
    """How a call ended, by the text of its status: an expression in SQL, in quotes."""
    outcomes = OUTCOMES if settings.outcomes is None else settings.outcomes.by_word
    cases = [
        f"WHEN l.status {'IS NULL' if word is None else f'= {_literal(word)}'} THEN '{shown}'"
        for word, shown in outcomes.items()
    ]
    return _literal("CASE " + "\n              ".join([*cases, "ELSE 'unknown' END"]))


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


def _indexes(config: Config) -> dict[str, dict[str, str]]:
    """The file of indexes, and what it is filled with; nothing where all tables have what is needed.

    A log that is computed is somebody else's table: it has an index on its time, and nothing looks up by more.
    """
    tables = _tables(config)
    time = _names(config, "log", LOG_ROLES)["time"][::-1]
    wanted = []
    if not config.columns.log.is_computed:
        names = _names(config, "log", LOG_ROLES)
        wanted += [("log", f"_{role}_time_idx", [names[role], time]) for role in ("user", "model")]
    for section, suffix, roles in (
        ("recommendations", "_open_idx", ("type", "status", "savings")),
        ("approvals", "_status_idx", ("status",)),
    ):
        names = _names(config, section, ROLES[section])
        wanted.append((section, suffix, [names[role] for role in roles]))
    indexes = [
        (tables[section].schema, tables[section].name, suffix, columns)
        for section, suffix, columns in wanted
        if section in tables
    ]
    if not indexes:
        return {}
    lines = ",\n".join(f"        {_json(index)}" for index in indexes)
    return {"indexes.sql": {"wanted": _literal(f"[\n{lines}\n    ]"), "time_names": f"{_literal(_json(time))}::jsonb"}}


def _optional(text: str | None) -> str:
    return "NULL" if text is None else _literal(text)


def _literal(text: str) -> str:
    """A text in SQL, also within dollar quotes."""
    quoted = text.replace("'", "''")
    if "\\" not in quoted and "$$" not in quoted:
        return f"'{quoted}'"
    escaped = quoted.replace("\\", "\\\\").replace("$", "\\x24")
    return f"E'{escaped}'"
