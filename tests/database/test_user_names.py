"""What users are called: looked up in a table of names, and never at the cost of a figure."""

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exporter.config import Config
from exporter.reports.budgets import run_budget
from exporter.reports.recent import Wanted, run_operations
from tests.support.harness import Log, Running, fixed_layout, running, wait_for
from tests.support.scraped import Scraped

layout = fixed_layout("success")

ANNA, BEN, CARL = (UUID(int=number) for number in (0xA << 120, 0xB << 120, 0xC << 120))
NAMES = {"table": "people", "key": "id", "name": "email"}
OTHERS = {"log", "budgets", "routes", "recommendations", "approvals"}


def people(log: Log, *rows: tuple[Any, ...], columns: str = "id uuid, email text") -> None:
    log.execute("DROP TABLE IF EXISTS people")
    log.execute(f"CREATE TABLE people ({columns})")
    for row in rows:
        log.execute(f"INSERT INTO people VALUES ({', '.join(['%s'] * len(row))})", *row)


def spend(log: Log, *users: Any) -> None:
    for user in users:
        log.insert(1, user=user)


def named(scraped: Scraped) -> dict[str, str]:
    """What each user is called; each has one name."""
    found = [dict(labels) for _, labels in scraped.having("ai_user_info")]
    names = {each["user"]: each["name"] for each in found}
    assert len(names) == len(found)
    return names


def wait_for_names(exporter: Running, wanted: dict[str, str]) -> Scraped:
    """Scrape until users are called so."""
    seen: list[Scraped] = []

    def called() -> bool:
        seen.append(exporter.scrape())
        return named(seen[-1]) == wanted

    wait_for(called, lambda: f"{named(seen[-1])} {seen[-1].collectors}", 60)
    return seen[-1]


def test_users_are_named_and_stay_the_same_series(log: Log, tmp_path: Path) -> None:
    people(log, (ANNA, "anna@example.com"), (BEN, None), (UUID(int=9), "nobody@example.com"))
    spend(log, ANNA, BEN, CARL, None)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        scraped = wait_for_names(exporter, {str(ANNA): "anna@example.com"})
        users = scraped.labels("ai_user_spend_today_usd", "user")
        assert set(users) == {str(ANNA), str(BEN), str(CARL), "unattributed", "other"}
        log.execute("UPDATE people SET email = 'anna.b@example.com' WHERE id = %s", ANNA)
        log.execute("UPDATE people SET email = 'ben@example.com' WHERE id = %s", BEN)
        scraped = wait_for_names(exporter, {str(ANNA): "anna.b@example.com", str(BEN): "ben@example.com"})
        assert scraped.labels("ai_user_spend_today_usd", "user") == users
        log.execute("DELETE FROM people")
        wait_for_names(exporter, {})


def test_without_the_setting_nothing_is_read(log: Log, tmp_path: Path) -> None:
    people(log, (ANNA, "anna@example.com"))
    spend(log, ANNA)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        scraped = exporter.scrape()
        assert scraped.collectors["user_names"] == 1
        assert not scraped.has("ai_user_info")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (("Anna", "Anna"), ("Anna (0a000000)", "Anna (0b000000)")),
        (("Anna", "anna"), ("Anna", "anna")),
        (("Anna ", "\tAnna"), ("Anna (0a000000)", "Anna (0b000000)")),
        (("Anna\nB.", "\u200b"), ("Anna B.", None)),
        (("other", "unattributed"), ('"other"', '"unattributed"')),
        (('O\'Brien "%s" \\ {{x}} $1', "100%"), ('O\'Brien "%s" \\ {{x}} $1', "100%")),
        (("x" * 500, "y" * 500), ("x" * 128, "y" * 128)),
        (("x" * 500, "x" * 600), ("x" * 117 + " (0a000000)", "x" * 117 + " (0b000000)")),
        (("", None), (None, None)),
    ],
)
def test_a_name_is_a_label_and_no_two_users_have_the_same(
    log: Log, tmp_path: Path, stored: tuple[str | None, ...], shown: tuple[str | None, ...]
) -> None:
    people(log, *zip((ANNA, BEN), stored, strict=True), (CARL, "Carl"))
    spend(log, ANNA, BEN, CARL)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        both = {str(user): name for user, name in zip((ANNA, BEN), shown, strict=True) if name is not None}
        wait_for_names(exporter, {**both, str(CARL): "Carl"})


def test_users_who_are_called_alike_and_have_ids_that_begin_alike_are_told_apart(log: Log, tmp_path: Path) -> None:
    users = [UUID(int=number) for number in (1, 2, 0xA << 120)]
    people(log, *((user, "Anna") for user in users))
    spend(log, *users)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        wanted = {str(users[0]): f"Anna ({users[0]})", str(users[1]): f"Anna ({users[1]})"}
        wait_for_names(exporter, {**wanted, str(users[2]): "Anna (0a000000)"})


def test_of_several_rows_for_a_user_always_the_same_counts(log: Log, tmp_path: Path) -> None:
    people(log, (ANNA, "Zoe"), (ANNA, "Anna"), (ANNA, None))
    spend(log, ANNA)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        wait_for_names(exporter, {str(ANNA): "Anna"})
        log.execute("UPDATE people SET email = email")
        assert named(exporter.scrape()) == {str(ANNA): "Anna"}


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("id uuid, first text, last text", {"name": "=first || ' ' || last"}),
        ("id uuid, profile jsonb, x int", {"name": "=profile ->> 'name'"}),
        ("id uuid, profile jsonb, x int", {"name": "=coalesce(nullif(profile ->> 'name', ''), id::text)"}),
        ("id text, first varchar(50), key text", {"name": "first"}),
        ("id varchar(36), first text, asked text", {"name": "=upper(left(first, 1)) || substr(first, 2)"}),
        ("id uuid PRIMARY KEY, first citext_like, x text", {"name": "first"}),
    ],
)
def test_a_name_may_be_computed_and_the_key_be_of_any_type(
    log: Log, tmp_path: Path, columns: str, names: dict[str, str]
) -> None:
    log.execute("CREATE DOMAIN citext_like AS varchar(40)")
    people(log, columns=columns)
    second = {"jsonb": '\'{"name": "Anna Bo"}\''}.get(columns.split(",")[1].split()[1], "'Anna Bo'")
    log.execute(f"INSERT INTO people VALUES ('{ANNA}', {second}, NULL), ('{BEN}', NULL, NULL)")
    if "last" in columns:
        log.execute("UPDATE people SET first = 'Anna', last = 'Bo'")
        log.execute("DELETE FROM people WHERE id = %s", BEN)
    if "coalesce" in names["name"]:
        log.execute("DELETE FROM people WHERE id::text = %s", str(BEN))
    spend(log, ANNA, BEN)
    with running(log.url, tmp_path, users={"names": {"table": "people", "key": "id", **names}}) as exporter:
        exporter.wait_ready()
        wait_for_names(exporter, {str(ANNA): "Anna Bo"})


@pytest.mark.parametrize("kind", ["bigint", "integer", "numeric(20)", "text"])
def test_users_may_be_numbers(log: Log, tmp_path: Path, kind: str) -> None:
    log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE text")
    log.execute("DROP TABLE cost_budgets")
    people(log, columns=f"id {kind}, email text")
    log.execute("INSERT INTO people VALUES ('7', 'seven'), ('-8', 'eight')")
    for user in ("7", "-8", "seven", "99999999999999999999999", "0x1", "07", ""):
        log.insert(1)
        log.execute("UPDATE ai_operation_log SET user_id = %s WHERE user_id IS NULL", user)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        assert wait_for_names(exporter, {"7": "seven", "-8": "eight"} | _zeros(kind)).up == 1


def _zeros(kind: str) -> dict[str, str]:
    # to a number, 07 is 7: who logs both has two users, of whom each is found
    return {"07": "seven (07)", "7": "seven (7)"} if kind in ("bigint", "integer") else {}


BREAKING = {
    "dropped": ("DROP TABLE people", 1),
    "a column less": ("ALTER TABLE people DROP email", 0),
    "another type": ("ALTER TABLE people DROP id; ALTER TABLE people ADD id timestamptz", 0),
    "hidden rows": (
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY; ALTER TABLE people FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY mine ON people USING (false)",
        1,
    ),
}


@pytest.mark.parametrize("how", BREAKING)
def test_a_table_of_names_that_cannot_be_read_costs_only_the_names(log: Log, tmp_path: Path, how: str) -> None:
    statement, success = BREAKING[how]
    people(log, (ANNA, "Anna"))
    spend(log, ANNA)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        wait_for_names(exporter, {str(ANNA): "Anna"})
        log.execute(statement)
        # a superuser sees hidden rows
        scraped = wait_for_names(exporter, {str(ANNA): "Anna"} if how == "hidden rows" else {})
        assert scraped.up == 1
        assert scraped.collectors["user_names"] == success
        assert {scraped.collectors[name] for name in OTHERS} == {1}
        assert scraped.one("ai_user_spend_today_usd", user=str(ANNA)) == pytest.approx(0.010001)


def test_a_locked_table_of_names_does_not_hold_up_the_figures(log: Log, tmp_path: Path) -> None:
    people(log, (ANNA, "Anna"))
    spend(log, ANNA)
    with running(log.url, tmp_path, users={"names": NAMES}) as exporter:
        exporter.wait_ready()
        with log.connection.transaction():
            log.execute("LOCK TABLE people")
            scraped = exporter.scrape()
            assert scraped.up == 1
            assert {scraped.collectors[name] for name in OTHERS} == {1}
            assert scraped.has("ai_user_spend_today_usd")
        wait_for_names(exporter, {str(ANNA): "Anna"})


def test_only_users_that_are_shown_are_looked_up(log: Log, tmp_path: Path) -> None:
    people(log, *((UUID(int=number), f"user {number}") for number in range(1, 30)))
    spend(log, *(UUID(int=number) for number in range(1, 30)))
    with running(log.url, tmp_path, users={"names": NAMES, "top": 3, "max_series": 3}) as exporter:
        exporter.wait_ready()
        wait_for(lambda: len(named(exporter.scrape())) == 3, lambda: str(named(exporter.last)), 60)


def test_reports_say_what_users_are_called(log: Log) -> None:
    people(log, (ANNA, "Anna Bo"))
    spend(log, ANNA, BEN)
    config = Config.model_validate({"database": {"url": log.url}, "users": {"names": NAMES}})

    def told(report: Any, *arguments: Any, **options: Any) -> Any:
        out = io.StringIO()
        assert report(config, {}, *arguments, out, **options) == 0
        return json.loads(out.getvalue()) if options["as_json"] else out.getvalue()

    users = told(run_budget, None, as_json=True)["users"]
    assert {each["user"]: each.get("name") for each in users} == {str(ANNA): "Anna Bo", str(BEN): None}
    assert told(run_budget, "Anna Bo", as_json=True)["users"] == told(run_budget, str(ANNA), as_json=True)["users"]
    table = told(run_budget, None, as_json=False)
    assert "Anna Bo" in table
    assert str(ANNA) not in table
    calls = told(run_operations, Wanted(), as_json=True)
    assert {each["user_id"]: each.get("user_name") for each in calls} == {str(ANNA): "Anna Bo", str(BEN): None}
    table = told(run_operations, Wanted(), as_json=False)
    assert "Anna Bo" in table
    assert str(BEN) in table
    assert str(ANNA) not in table


def test_reports_go_on_without_names(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    people(log, (ANNA, "Anna"))
    log.execute("ALTER TABLE people DROP email")
    spend(log, ANNA)
    config = Config.model_validate({"database": {"url": log.url}, "users": {"names": NAMES}})
    out = io.StringIO()
    assert run_budget(config, {}, None, out, as_json=False) == 0
    assert str(ANNA) in out.getvalue()
    assert "users are shown by their ids: table public.people: no column email" in capsys.readouterr().err
