"""What the tests of `check` share: databases that it finds in order, and its report as printed."""

import contextlib
import io
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from exporter.catalog import USUAL_OPERATIONS
from exporter.config import Config
from exporter.demo.rows import TIME_COLUMN
from exporter.demo.schema import Layout
from exporter.preflight import run_check
from tests.support import ROOT
from tests.support.servers import PostgresServer

FOLDER = ROOT / "deploy" / "sql"
PASSWORD = "p4ss-of-the-reader"
MODELS = ("deepseek-v3.2", "gemini-2.0-flash", "claude-opus-4.5")
TABLES: Mapping[Layout, tuple[str, ...]] = {
    "success": ("ai_operation_log", "cost_budgets", "ai_model_routes", "helix_recommendations"),
    "status": ("ai_operation_log", "cost_budgets", "ai_model_routes", "approval_gates"),
}
Admin = psycopg.Connection[Any]


@dataclass(frozen=True)
class Entry:
    """One finding as printed."""

    mark: str
    detail: str
    hint: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What a run printed, by the names of the findings, and its exit code."""

    code: int
    text: str

    @property
    def findings(self) -> list[tuple[str, Entry]]:
        found: list[tuple[str, Entry]] = []
        for line in self.text.split("\n\n")[0].splitlines():
            if line.startswith(" " * 8):
                found[-1][1].hint.append(line[8:])
            else:
                found.append((line[6:36].strip(), Entry(line[:6].strip(), line[36:])))
        return found

    @property
    def entries(self) -> dict[str, Entry]:
        """The first finding of each name."""
        return dict(reversed(self.findings))

    def marked(self, mark: str) -> set[str]:
        return {name for name, entry in self.findings if entry.mark == mark}


def check(url: str, state: Path, **settings: Any) -> Report:
    """Run the command's work; settings as in the configuration file."""
    out = io.StringIO()
    config = Config.model_validate({"state_dir": str(state), **settings})
    # the tests' own folder may hold secrets
    code = run_check(config, {"DATABASE_URL": url, "SECRETS_DIR": str(state / "no-secrets")}, out)
    return Report(code, out.getvalue())


def populate(admin: Admin, layout: Layout, ago: str = "1 minute") -> None:
    """Calls of every expected operation, by every model, some time ago."""
    outcome = ("success", "true") if layout == "success" else ("status", "'success'")
    kind = ("operation_type,", "'chat',") if layout == "success" else ("", "")
    statement = f"""
        INSERT INTO ai_operation_log ({kind[0]} operation_id, model_used, cost_usd, latency_ms, {outcome[0]},
                                      {TIME_COLUMN[layout]})
        SELECT {kind[1]} operation, model, 0.01, 100, {outcome[1]}, now() AT TIME ZONE 'UTC' - '{ago}'::interval
        FROM unnest(%s::text[]) AS operation, unnest(%s::text[]) AS model
    """
    admin.execute(statement.encode(), (list(USUAL_OPERATIONS), list(MODELS)))


def add_route(admin: Admin, primary: str, fallback: str | None = None) -> None:
    admin.execute(
        "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model, fallback_model)"
        " VALUES (%s, 'x', %s, %s)",
        (secrets.token_hex(4), primary, fallback),
    )


USED = (
    "operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd, latency_ms, success, "
    "error_message, created_at"
)


@dataclass(frozen=True)
class Bench:
    """A database of the layout "success", and a role that reads it as it should."""

    admin: Admin
    role: str
    url: str
    state: Path

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.admin.execute(statement.encode())

    def check(self, **settings: Any) -> Report:
        return check(self.url, self.state, **settings)

    def hint(self, name: str, **settings: Any) -> Report:
        """Do what the report says of a finding, each line on its own, and check again."""
        hints = [line for found, entry in self.check(**settings).findings if found == name for line in entry.hint]
        assert hints
        self.run(*hints)
        return self.check(**settings)


@contextlib.contextmanager
def open_bench(url: str, server: PostgresServer, state: Path) -> Iterator[Bench]:
    """Set a log without rows, of the layout "success", up as it should be, for a role of its own."""
    role = f"reader_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as admin:
        populate(admin, "success")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN BYPASSRLS PASSWORD {}").format(sql.Identifier(role), PASSWORD))
        bench = Bench(admin, role, server.url(admin.info.dbname, role, PASSWORD), state)
        bench.run(
            f"GRANT SELECT ({USED}) ON ai_operation_log TO {role}",
            f"GRANT SELECT ON cost_budgets, ai_model_routes, helix_recommendations TO {role}",
        )
        try:
            yield bench
        finally:
            bench.run(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
