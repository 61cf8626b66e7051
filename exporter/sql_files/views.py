"""What fills `dashboards.sql`, the views that Grafana reads."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from exporter.config import LABEL_LENGTH, UPPER_BOUNDS, Config
from exporter.config.columns import LogColumns
from exporter.config.expressions import Expression
from exporter.config.names import BREAKS, SURROGATES, UNSEEN
from exporter.config.sections import DisplayNames
from exporter.database.columns import Column
from exporter.database.currency import in_dollars
from exporter.database.labels import READ_LENGTH
from exporter.database.layout import BUDGET_ROLES, LOG_ROLES, OUTCOMES
from exporter.database.log_time import FAR, PER_SECOND
from exporter.database.mapping import FORMS
from exporter.database.names import quoted
from exporter.database.values import KEPT_DECIMALS, NUMBER_FORMS, TEXT_FORMS
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN
from exporter.ledger.users import OTHER_USERS
from exporter.sql_files.columns import column_names, distinct
from exporter.sql_files.filling import array, fill, indented, json_text, literal, optional

_FORM = re.compile(r"set_config\('(\w+)', '([^']*)'")

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


def view_parts(config: Config) -> dict[str, str]:
    """What each gap of the template is filled with."""
    settings, names = config.columns.log, _view_names(config)
    names["time"].reverse()  # a "status" table that also has a created_at is read by executed_at
    required = [role for role, known in LOG_ROLES.items() if known.required and role not in settings.lacking]
    # the view has daily and monthly limits
    budgets = config.tables.budgets if config.columns.budgets.period is None else None
    budget_names = column_names(config, "budgets", BUDGET_ROLES)
    return {
        **_computed(settings, names),
        "log_names": indented(_mapping(names), 4),
        **_names_of_users(config.users.names),
        "required": f"'{{{','.join(required)}}}'",
        "per_second": "NULL" if settings.time_unit == "timestamp" else str(PER_SECOND[settings.time_unit]),
        "far": str(FAR),
        "by_status": _by_status(settings),
        "budget_names": indented(_mapping(budget_names), 4),
        "log_schema": optional(config.tables.log.schema),
        "budget_schema": optional(None if budgets is None else budgets.schema),
        "budget_table": optional(None if budgets is None else budgets.name),
        "zone": literal(config.log_time_zone),
        "zone_name": config.log_time_zone,
        "users": "'id'" if config.users.mode == "id" else "'off'",
        "users_shown": "with their ids" if config.users.mode == "id" else "so, too,",
        "uuid": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "several_users": _SEVERAL_USERS.replace("'", "''"),
        "aliases": literal(json_text(dict(config.models.aliases))),
        "breaks": _codes(BREAKS),
        "unseen": _codes(UNSEEN),
        "read_length": str(READ_LENGTH),
        "label_length": str(LABEL_LENGTH),
        "unknown": UNKNOWN,
        "unattributed": UNATTRIBUTED,
        "user_label": literal(_USER_LABEL),
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
        for role, found in column_names(config, "log", LOG_ROLES).items()
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
    parts = {"lacking": f" || {literal(json_text(lacking))}::jsonb" if lacking else "", "role_forms": ""}
    if not made and settings.where is None:
        return {**parts, "source": "    source := log;"}
    read = distinct(expression.columns for expression in (*made.values(), settings.where) if expression is not None)
    calls = {
        "read": array(read),
        "forms": FORMS.strip().removeprefix("SELECT "),
        "made": literal(", ".join(f"({written.sql}) AS {quoted(_made(role))}" for role, written in made.items())),
        "where": "''" if settings.where is None else literal(f" WHERE ({settings.where.sql})"),
    }
    role_forms = "".join(f"\n    ALTER ROLE ai_grafana SET {name} = '{value}';" for name, value in _FORM.findall(FORMS))
    return {**parts, "source": fill("calls.sql", calls).rstrip(), "role_forms": role_forms}


def _by_status(settings: LogColumns) -> str:
    """How a call ended, by the text of its status: an expression in SQL, in quotes."""
    outcomes = OUTCOMES if settings.outcomes is None else settings.outcomes.by_word
    cases = [
        f"WHEN l.status {'IS NULL' if word is None else f'= {literal(word)}'} THEN '{shown}'"
        for word, shown in outcomes.items()
    ]
    return literal("CASE " + "\n              ".join([*cases, "ELSE 'unknown' END"]))


def _names_of_users(names: DisplayNames | None) -> dict[str, str]:
    if names is None:
        return dict.fromkeys(("names_schema", "names_table", "names_key", "names_form"), "NULL")
    form = names.name.sql if isinstance(names.name, Expression) else quoted(names.name)
    return {
        "names_schema": optional(names.table.schema),
        "names_table": literal(names.table.name),
        "names_key": literal(names.key),
        "names_form": literal(form),
    }


def _by_type(forms: Mapping[str, str]) -> str:
    cases = " ".join(f"WHEN {literal(kind)} THEN {literal(form)}" for kind, form in forms.items() if kind)
    return f"CASE kind {cases} ELSE {literal(forms[''])} END"


def _mapping(names: Mapping[str, list[str]]) -> str:
    return literal(
        "{\n" + ",\n".join(f"    {json_text(role)}: {json_text(each)}" for role, each in names.items()) + "\n}"
    )


def _codes(points: Iterable[range]) -> str:
    """Characters as hexadecimal bytes of UTF-8; a surrogate has none."""
    characters = (chr(point) for each in points for point in each if point not in SURROGATES)
    lines = textwrap.wrap(" ".join(character.encode().hex() for character in characters), 100)
    return "\n        ".join(literal(line + " " * (line is not lines[-1])) for line in lines)
