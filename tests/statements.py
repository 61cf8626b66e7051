"""All SQL of the project: what the programs send, and what is shipped for people and for Grafana to send."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dashboards.render import each_panel

ROOT = Path(__file__).parents[1]

_BEGINS = re.compile(
    r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|COPY|BEGIN|COMMIT|ROLLBACK|SHOW|SET|EXPLAIN|ANALYZE|CREATE|ALTER|GRANT|REINDEX|VACUUM)\b"
)
_BLOCK = re.compile(r"^```sql[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"([a-z_][a-z0-9_]*)\s*\(")
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|%\([a-z_]+\)s|%s|%%|::|\{[^}]*\}", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """A text in SQL, or a part of one, and where it stands: a file and a line."""

    file: str
    line: int
    text: str


def in_python(folder: str = "exporter") -> Iterator[Statement]:
    """The SQL in the modules of a folder; not that of the state, which is SQLite's."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        if _imports(tree, "sqlite3"):
            continue
        skipped, parts = _docstrings(tree), _parts(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in skipped:
                continue
            if _BEGINS.match(node.value) or node in parts:
                yield Statement(str(path.relative_to(ROOT)), node.lineno, node.value.strip())


def in_files() -> Iterator[Statement]:
    """The files of SQL that people run."""
    for path in sorted((ROOT / "deploy" / "sql").glob("*.sql")):
        yield Statement(str(path.relative_to(ROOT)), 1, path.read_text())


def in_docs() -> Iterator[Statement]:
    """The blocks of SQL in the documentation."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text()
        for found in _BLOCK.finditer(text):
            yield Statement(str(path.relative_to(ROOT)), text.count("\n", 0, found.start()) + 1, found[1])


def in_panels() -> Iterator[Statement]:
    """What the panels of the dashboards ask PostgreSQL, with Grafana's variables."""
    for path in sorted((ROOT / "dashboards" / "generated").glob("*.json")):
        for panel in each_panel(json.loads(path.read_text())):
            for target in panel["targets"]:
                if "rawSql" in target:
                    yield Statement(str(path.relative_to(ROOT)), panel["id"], target["rawSql"])


def functions(statements: Iterator[Statement]) -> set[str]:
    """The names before a parenthesis, those of functions among them."""
    return {name for each in statements for name in _CALL.findall(_QUOTED.sub(" ", each.text))}


def operators(statements: Iterator[Statement]) -> set[str]:
    """The operators, with some that are parts of others."""
    return {name for each in statements for name in _OPERATOR.findall(_QUOTED.sub(" ", each.text))}


def _imports(tree: ast.Module, name: str) -> bool:
    return any(
        name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else node.module == name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def _parts(tree: ast.Module) -> set[ast.AST]:
    """The texts in `sql.SQL(…)`, which may be parts of statements."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "sql.SQL")
    return {part for call in calls for part in ast.walk(call)}


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    """What stands alone as a statement."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
