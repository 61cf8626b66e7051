"""The documents of alerts: nothing in them that does not run, and nothing left out."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from alert_rules.compiler.compiling import compile_alerts
from alert_rules.language.loading import parse_alerts
from alert_rules.language.spec import AlertSpec
from alert_rules.output.building import Sources, compile_sources
from alert_rules.quantities.definitions import QUANTITIES
from alert_rules.quantities.promql import selectors
from exporter import catalog
from exporter.demo.history import history
from exporter.demo.profiles import USERS
from exporter.demo.rows import fill
from exporter.demo.schema import Layout, load_schema
from tests.database.test_exact_budgets import BUDGETS
from tests.support import ROOT
from tests.support.generate import generated_groups, scenarios
from tests.support.scenario import Scenario

PAGES = sorted((ROOT / "docs/runbooks").glob("*.md"))
LANGUAGE = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
RULES = [rule for group in generated_groups() for rule in group["rules"]]

# Metrics of others, and the labels that a runbook may use of them.
OTHERS = {
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate"},
    "alertmanager_notifications_failed_total": {"integration", "reason", "receiver_name"},
    "prometheus_rule_evaluation_failures_total": {"rule_group"},
}


def blocks(page: Path, kind: str) -> list[tuple[str, str]]:
    """What stands behind the kind, and the text, of every block of that kind."""
    text = page.read_text(encoding="utf-8")
    return [(m[1].strip(), m[2]) for m in re.finditer(rf"^```{kind}\b(.*)\n((?s:.*?))^```$", text, re.MULTILINE)]


PROMQL = [
    pytest.param(text, id=f"{page.stem}-{i}") for page in PAGES for i, (_, text) in enumerate(blocks(page, "promql"))
]
SQL = [(f"{page.stem}: {text}", text) for page in PAGES for _, text in blocks(page, "sql")]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", LANGUAGE, re.MULTILINE | re.DOTALL)


def known() -> dict[str, set[str]]:
    """Every name that an expression may use, with its labels."""
    names = {name: set(labels) for name, labels in OTHERS.items()}
    for metric in catalog.ALL.values():
        suffixes = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        for suffix in suffixes:
            names[metric.name + suffix] = {*metric.labels, "job", "instance"} | (
                {"le"} & {suffix.replace("_bucket", "le")}
            )
    for rule in RULES:
        if "record" in rule:
            names[rule["record"]] = set(re.findall(r"error_class|[^_]+", rule["record"].split(":")[0]))
    return names


def test_every_alert_has_its_page_and_every_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == {rule["alert"] for rule in RULES if "alert" in rule}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_to_do_first_and_has_the_sections(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [line[:2] for line in text.splitlines()[:3]] == ["1.", "2.", "3."]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert re.findall(r"^# (.*)$", text, re.MULTILINE) == [page.stem]
    assert blocks(page, "promql")


@pytest.mark.parametrize("expression", PROMQL)
def test_promql_parses_and_names_what_exists(expression: str) -> None:
    names = known()
    found = selectors(expression)
    assert found
    for selector in found:
        assert selector.name in names, selector.name
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= names[selector.name], selector.name
    available = set().union(*(names[selector.name] for selector in found))
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expression)
    assert {label.strip() for labels in grouped for label in labels.split(",")} <= available


@pytest.fixture(params=BUDGETS)
def connection(
    request: pytest.FixtureRequest, layout: Layout, embedded_database: str
) -> Iterator["psycopg.Connection[Any]"]:
    """A log with a failed call of a user with a limit, and the views; all in one transaction, which is rolled back."""
    columns, values = BUDGETS[request.param]
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, layout)
        fill(connection, layout, history(layout, 1, datetime.now(UTC).replace(hour=12), Random(1), per_day=1_700))
        connection.execute(f"DROP TABLE cost_budgets; CREATE TABLE cost_budgets ({columns})".encode())
        connection.execute(f"INSERT INTO cost_budgets VALUES {values}".encode(), [USERS[0]])
        connection.execute((ROOT / "deploy/sql/dashboards.sql").read_bytes())
        yield connection
        connection.rollback()


def test_sql_runs_in_both_layouts_and_each_spelling_of_the_budgets(connection: "psycopg.Connection[Any]") -> None:
    assert SQL
    for where, statements in SQL:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statements.encode())
        except psycopg.Error as error:
            pytest.fail(f"{where}{error}")


def test_the_users_in_the_log_stand_beside_their_limits_and_a_limit_can_be_raised(
    connection: "psycopg.Connection[Any]",
) -> None:
    users, raised, *_ = (text for where, text in SQL if where.startswith("budget_exceeded: "))

    def rows() -> dict[str, tuple[Decimal, Decimal | None]]:
        cursor = connection.execute(users.encode())
        while cursor.nextset():
            pass
        return {user: (spent, limit) for user, spent, limit in cursor.fetchall()}

    before = rows()
    assert before[str(USERS[0])][1] == 10
    spent = "SELECT user_id::text, sum(cost_usd) FROM public.ai_operation_log WHERE {} >= %s GROUP BY 1"
    time = "created_at" if "created_at" in _columns(connection) else "executed_at"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    assert {user: usd for user, (usd, _) in before.items()}.items() <= {
        user or "unattributed": usd for user, usd in connection.execute(spent.format(time).encode(), [midnight])
    }.items()
    connection.execute(raised.replace("00000000-0000-0000-0000-000000000000", str(USERS[0])).encode())
    assert rows()[str(USERS[0])][1] == 50


def _columns(connection: "psycopg.Connection[Any]") -> set[str]:
    found = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'public.ai_operation_log'::regclass AND attnum > 0"
    )
    return {row[0] for row in found}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_compiles(example: str) -> None:
    assert compile_alerts(parse_alerts(example.encode(), "docs/alerts.md"), ("discord", "oncall"))


def test_there_are_examples_and_the_shipped_alerts_are_among_the_documented() -> None:
    assert EXAMPLES
    sources = Sources(ROOT / "alert_rules/alerts.yaml", ROOT / "alert_rules/channels.yaml")
    for alert in compile_sources(sources).alerts:
        assert f"`{alert.name}`" in LANGUAGE


def test_the_message_of_an_anomaly_is_the_one_that_is_seen() -> None:
    text = (ROOT / "docs/anomalies.md").read_text()
    said = next(alert for scenario in scenarios("spend_anomaly") for alert in _told(scenario) if "$38.10" in str(alert))
    assert f"> {said['description']}" in text
    assert f"> {' · '.join(said['contributors'].splitlines())}" in text


def _told(scenario: Scenario) -> Iterator[Mapping[str, str]]:
    for look in scenario.written()["alert_rule_test"]:
        yield from (alert["exp_annotations"] for alert in look["exp_alerts"])


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_quantity_has_its_row(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|(.*)$", LANGUAGE, re.MULTILINE)
    cells = [cell.strip() for cell in row.strip(" |").split("|")]
    quantity = QUANTITIES[name]
    splits = [", ".join(split) if split else "none" for split in quantity.splits]
    assert cells[2].split("; ") == splits
    for other in quantity.limits:
        assert f"`{other}`" in cells[4]


@pytest.mark.parametrize("name", [field.alias or key for key, field in AlertSpec.model_fields.items()])
def test_every_field_has_its_row(name: str) -> None:
    assert re.search(rf"^\|.*`{name}`.*\|.*\|$", LANGUAGE, re.MULTILINE)
