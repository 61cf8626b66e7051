"""A lint: which SQL of the project could call what somebody else has put on the search path. `python -m tests.hijack`.

A statement is safe in one of three ways: it names the schema of all that it calls; or it is sent by a session that has
locked its search path; or it stands in a file, or a block of the documentation, that begins by locking it.
"""

import ast
import re
import sys
from collections.abc import Iterator

from tests.statements import Statement, in_docs, in_files, in_python, in_scripts, printed, without_texts
from tests.support import ROOT

LOCK = "SET search_path = pg_catalog, pg_temp;"
"""How a block of the documentation begins."""

LOCK_IN_FILE = "PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);"
"""What a file of SQL does before anything else."""

OPENERS = {
    "exporter/database/connection.py": "behind `Database`, whose sessions lock",
    "exporter/demo/postgres.py": "asks whether the server answers, and sends nothing",
    "exporter/demo/run.py": "makes the demo's own database, where nobody else is",
    "exporter/demo/data.py": "sends inside of `locked`",
    "exporter/demo/traffic.py": "sends inside of `locked`",
}
"""The modules that may open a connection."""

SENDERS = {
    "exporter/database/opening.py": "locks",
    "exporter/database/session.py": "locks again before each statement",
    "exporter/database/transactions.py": "asks which server it is before a session locks, and sends BEGIN and its end",
    "exporter/database/connection.py": "sends what a session or `foresight` hands it",
    "exporter/database/foresight.py": "sends behind the statement that locks, in one transaction with it",
    "exporter/database/catalog.py": "is called by a session",
    "exporter/database/visibility_walk.py": "is called by a session",
    "exporter/database/replication.py": "asks before a session locks, and names the schema of all that it calls",
    "exporter/database/writing.py": "locks",
    "exporter/demo/locked.py": "locks",
    "exporter/demo/run.py": "makes the demo's own database, where nobody else is",
    "exporter/demo/schema.py": "makes the demo's own tables, where nobody else is",
    "exporter/demo/rows.py": "sends inside of `locked`",
    "exporter/demo/data.py": "sends inside of `locked`",
    "exporter/demo/traffic.py": "sends inside of `locked`",
}
"""The modules that may send a statement otherwise than by a `Session`."""

LOCKERS = (
    "exporter/database/opening.py",
    "exporter/database/session.py",
    "exporter/database/transactions.py",
    "exporter/database/replication.py",
    "exporter/database/rewrites.py",
    "exporter/database/writing.py",
    "exporter/demo/locked.py",
)
"""The modules whose statements run where the search path may be another: they name the schema of all that they call."""

ADVISERS = ("exporter/advisor/calls.py", "exporter/database/views.py")
"""The modules whose SQL is only printed, and locks the search path of whoever sends it."""

_SENDING = ("execute", "execute_numbered", "executemany", "stream", "copy")
_FOLDERS = ("exporter", "dashboards", "alert_rules", "deploy")

# What the grammar gives a meaning of its own, so that no function or type is looked up.
_GRAMMAR = {
    "extract",
    "coalesce",
    "exists",
    "values",
    "row",
    "filter",
    "over",
    "operator",
    "format",
    "into",
    "on",
    "as",
}
# What the grammar turns into an operator that is looked up.
_HIDDEN = re.compile(
    r"\b(IN|BETWEEN|I?LIKE|SIMILAR|ANY|ALL|SOME|NULLIF|CAST)\b|\bDISTINCT FROM\b"
    r"|\bJOIN [^;]*?\bUSING\b|\bCASE (?!WHEN)",
    re.IGNORECASE,
)
_QUALIFIED_OPERATOR = re.compile(r"\bOPERATOR\s*\(\s*pg_catalog\.[^)]*\)", re.I)
_SETTING = re.compile(r"(?:^|;|\bALTER (?:ROLE|DATABASE) \S+)\s*SET\s+(?:LOCAL\s+)?\w+\s*(?:=|TO)[^;]*", re.I)
_CALL = re.compile(r"([\w.]+)\s*\(")
_CAST = re.compile(r"::\s*([\w.]+)")
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_DECLARED = re.compile(r"^\s*(\w+) +(?:CONSTANT +)?([\w.]+)(?:\[\])?(?: *:=|;)", re.M)
_UTILITY = re.compile(r"\s*(GRANT|REVOKE|CREATE INDEX|ALTER (TABLE|ROLE|DATABASE)|INSERT INTO)\b", re.I)


def looked_up(text: str) -> list[str]:
    """What of a text in SQL PostgreSQL would look up on the search path: functions, operators and types."""
    rest = _SETTING.sub(" ", _QUALIFIED_OPERATOR.sub(" ", without_texts(text)))
    found = [
        name for name in _CALL.findall(rest) if not name.startswith("pg_catalog.") and name.lower() not in _GRAMMAR
    ]
    found += [name for name in _CAST.findall(rest) if not name.startswith("pg_catalog.")]
    found += [match[0].strip() for match in _HIDDEN.finditer(rest)]
    bare = _CAST.sub(" ", re.sub(r"\(\s*\*\s*\)|\.\*|:=", " ", rest))
    return found + _OPERATOR.findall(bare)


def problems_of_file(statement: Statement) -> Iterator[str]:
    """A file of SQL is one DO statement that locks before it calls anything, and no role that it makes is left open."""
    text = statement.text
    code = re.sub(r"--[^\n]*", "", text).strip()
    if not re.fullmatch(r"DO \$\$.*\$\$;", code, re.DOTALL) or code.count("$$") != 2:
        yield f"{statement.file}: is not one DO statement, after which the search path would be open again"
    before, lock, after = code.partition(LOCK_IN_FILE)
    if not lock:
        yield f"{statement.file}: does not lock the search path: {LOCK_IN_FILE}"
    before = re.sub(r"^DO \$\$", "", before)
    for name in looked_up(re.sub(r"\[\]", "", before)):
        yield f"{statement.file}: looks {name} up before the search path is locked"
    for section in re.findall(r"\bDECLARE\b(.*?)\bBEGIN\b", without_texts(code), re.DOTALL):
        for variable, kind in _DECLARED.findall(section):
            if not kind.startswith("pg_catalog."):
                yield f"{statement.file}: the type of {variable} is looked up before the search path is locked: {kind}"
    if "set_config('search_path'" in after:
        yield f"{statement.file}: sets the search path a second time"
    for role in re.findall(r"CREATE ROLE (\w+)", code):
        if not re.search(rf"ALTER ROLE {role} SET search_path = pg_catalog, (%s, )?pg_temp", code):
            yield f"{statement.file}: leaves {role} with the database's search path"


def problems_of_block(statement: Statement) -> Iterator[str]:
    """A block that calls anything begins with `LOCK`; one that only grants or alters need not."""
    text = statement.text.strip()
    if text.startswith(LOCK) or not (found := looked_up(text)):
        return
    if _UTILITY.match(text) and set(found) <= _utility_words(text):
        return
    yield f"{statement.file}:{statement.line}: looks {found[0]} up on the search path; begin with {LOCK}"


def _utility_words(text: str) -> set[str]:
    """Tables with a list of columns, which look like a call; and ALL."""
    return set(re.findall(r"(?:INTO|ON|VALUES) ([\w.]*) ?\(", text, re.I)) | {"ALL", "VALUES", "SELECT"}


def problems_of_module(file: str, source: str) -> Iterator[str]:
    """A module sends by a `Session`, unless it is one of those above."""
    tree = ast.parse(source)
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    if "sqlite3" in modules:
        return
    by_session = any(module.startswith(("psycopg", "exporter.database")) for module in modules)
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
        if name != "connect" and name not in _SENDING:
            continue
        of = ast.unparse(call.func).rpartition(".")[0]
        if of == "psycopg" and name == "connect" and file not in OPENERS:
            yield f"{file}:{call.lineno}: opens a connection whose search path nobody locks; use `Database`"
        if by_session and name in _SENDING and file not in SENDERS and not of.endswith("session"):
            yield f"{file}:{call.lineno}: sends a statement past `Session`, which locks the search path"


def problems() -> Iterator[str]:
    """All that is wrong in the project."""
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from problems_of_module(str(path.relative_to(ROOT)), path.read_text())
    for statement in in_python():
        if statement.file in LOCKERS:
            for name in looked_up(statement.text):
                yield f"{statement.file}:{statement.line}: looks {name} up before the search path is locked"
        elif "search_path" in statement.text and statement.file not in ADVISERS:
            yield f"{statement.file}:{statement.line}: touches the search path, which a session has locked"
    for statement in printed():
        for name in looked_up(statement.text):
            yield f"{statement.file}:{statement.line}: tells people to send what looks {name} up on their search path"
    for statement in in_files():
        yield from problems_of_file(statement)
    for statement in (*in_docs(), *in_scripts()):
        yield from problems_of_block(statement)


def main() -> int:
    """Print what is wrong; returns 1 where anything is."""
    found = list(problems())
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
