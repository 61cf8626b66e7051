"""All SQL of the project: what the programs send, and what is shipped for people and for Grafana to send.

`python -m tests.statements` writes the list into the documentation; with `--check` it says whether that is up to date.
"""

import ast
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from dashboards.render import each_panel
from tests.support import ROOT

_BEGINS = re.compile(
    r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|COPY|BEGIN|COMMIT|ROLLBACK|SHOW|SET|EXPLAIN|ANALYZE|CREATE|ALTER|GRANT|REINDEX|VACUUM)\b"
)
_BLOCK = re.compile(r"^```sql[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"([a-z_][a-z0-9_]*)\s*\(")
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|%\([a-z_]+\)s|%s|%%|\{[^}]*\}", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """A text in SQL, or a part of one, and where it stands: a file and a line."""

    file: str
    line: int
    text: str


@cache
def in_python() -> tuple[Statement, ...]:
    """The SQL in the exporter's modules; not that of the state, which is SQLite's."""
    return tuple(_in_modules())


def _in_modules() -> Iterator[Statement]:
    for path in sorted((ROOT / "exporter").rglob("*.py")):
        tree = ast.parse(path.read_text())
        if _imports(tree, "sqlite3"):
            continue
        skipped, parts = _docstrings(tree), _parts(tree)
        for node in sorted(ast.walk(tree), key=lambda node: getattr(node, "lineno", 0)):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in skipped:
                continue
            if _BEGINS.match(node.value) or node in parts:
                yield Statement(str(path.relative_to(ROOT)), node.lineno, node.value.strip())


def printed(folder: str = "exporter") -> Iterator[Statement]:
    """The queries in the midst of what is said to people, as a fix."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or _BEGINS.match(node.value):
                continue
            for found in re.finditer(r"\bSELECT [^;]* FROM [^;]*;", node.value):
                yield Statement(str(path.relative_to(ROOT)), node.lineno, found[0])


def in_files() -> Iterator[Statement]:
    """The files of SQL that people run."""
    for path in sorted((ROOT / "deploy" / "sql").rglob("*.sql")):
        yield Statement(str(path.relative_to(ROOT)), 1, path.read_text())


def in_docs() -> Iterator[Statement]:
    """The blocks of SQL in the documentation."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text()
        for found in _BLOCK.finditer(text):
            yield Statement(str(path.relative_to(ROOT)), text.count("\n", 0, found.start()) + 1, found[1])


def in_scripts() -> Iterator[Statement]:
    """What shell scripts send by psql."""
    for path in sorted((ROOT / "deploy").rglob("*.sh")):
        text = path.read_text()
        for found in re.finditer(r"<<'SQL'\n(.*?)^SQL$", text, re.MULTILINE | re.DOTALL):
            yield Statement(str(path.relative_to(ROOT)), text.count("\n", 0, found.start()) + 1, found[1])


def in_panels() -> Iterator[Statement]:
    """What the panels of the dashboards ask PostgreSQL, with Grafana's variables."""
    for path in sorted((ROOT / "dashboards" / "generated").glob("*.json")):
        for panel in each_panel(json.loads(path.read_text())):
            for target in panel["targets"]:
                if "rawSql" in target:
                    yield Statement(str(path.relative_to(ROOT)), panel["id"], target["rawSql"])


def without_texts(text: str) -> str:
    """A text in SQL without what is in quotes, comments and placeholders."""
    return _QUOTED.sub(" ", text)


def functions(statements: Iterable[Statement]) -> set[str]:
    """The names before a parenthesis, those of functions among them."""
    return {name for each in statements for name in _CALL.findall(without_texts(each.text))}


def operators(statements: Iterable[Statement]) -> set[str]:
    """The operators, with some that are parts of others."""
    return {name for each in statements for name in _OPERATOR.findall(without_texts(each.text).replace("::", " "))}


def _imports(tree: ast.Module, name: str) -> bool:
    return any(
        name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else node.module == name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def _parts(tree: ast.Module) -> set[ast.AST]:
    """The texts in `sql.SQL(…)`, which may be parts of statements."""
    return {part for node in ast.walk(tree) if _is_part(node) for part in ast.walk(node)}


def _is_part(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "SQL":
        return False
    return isinstance(node.func.value, ast.Name) and node.func.value.id == "sql"


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    """What stands alone as a statement."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


PAGE = ROOT / "docs" / "statements.md"
_HEAD = """# Statements

Generated by `make build`. This is all SQL that the programs send, in the order of the modules; parts in braces are put
in when it is sent, quoted as names or values. What it means for security is in [security.md](security.md).
"""


def page() -> str:
    """The documentation's list of statements."""
    parts = [_HEAD]
    file = ""
    for each in in_python():
        if len(each.text.split()) < 2:
            continue
        if each.file != file:
            file = each.file
            parts.append(f"## {file}\n")
        text = textwrap.dedent(each.text).replace("\n       ", "\n  ")
        parts.append(f"```text\n{text}\n```\n")
    parts.append("## Shipped files\n")
    parts += [f"- [{each.file}](../{each.file})" for each in in_files()]
    parts.append("\n## What the panels ask PostgreSQL\n")
    parts += [f"Panel {each.line} of {each.file}:\n\n```text\n{each.text}\n```\n" for each in in_panels()]
    return "\n".join(parts).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; returns the exit code."""
    if "--check" not in arguments:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not up to date: make build")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
