"""What `check` says of the table of users' names."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.preflight import Bench

ANNA = UUID(int=0xA << 120)
NAMES = {"table": "people", "key": "id", "name": "email"}


@pytest.fixture
def people(bench: Bench) -> Bench:
    bench.run(
        "CREATE TABLE people (id uuid PRIMARY KEY, email text, other uuid)",
        f"INSERT INTO people VALUES ('{ANNA}', 'anna@example.com', gen_random_uuid())",
        f"UPDATE ai_operation_log SET user_id = '{ANNA}' WHERE operation_id = 'email-compose'",
        "UPDATE ai_operation_log SET user_id = gen_random_uuid() WHERE operation_id = 'email-classify'"
        " AND model_used = 'deepseek-v3.2'",
    )
    return bench


def allowed(people: Bench) -> Bench:
    people.run(f"GRANT SELECT (id, email, other) ON people TO {people.role}")
    return people


def test_without_the_setting_nothing_is_said(people: Bench) -> None:
    assert "user_names" not in people.check().entries


def test_a_missing_grant_is_fixed_by_the_statement_that_is_said(people: Bench) -> None:
    before = people.check(users={"names": NAMES}).entries["user_names"]
    assert before.mark == "FAIL"
    assert "cannot read columns email, id of public.people" in before.detail
    after = people.hint("user_names", users={"names": NAMES})
    assert after.entries["user_names"].mark == "ok"
    assert after.code == 0


def test_users_with_a_name_are_counted(people: Bench) -> None:
    entry = allowed(people).check(users={"names": NAMES}).entries["user_names"]
    assert (entry.mark, entry.detail) == (
        "ok",
        "public.people (id, email); 1 of 2 users of the newest calls have a name",
    )


@pytest.mark.parametrize(
    ("names", "mark", "said"),
    [
        ({"key": "other"}, "warn", "0 of 2 users of the newest calls have a name: they are shown by their ids"),
        ({"table": "nobody"}, "warn", "no table nobody: users are shown by their ids"),
        ({"key": "ident"}, "FAIL", "table public.people: no column ident; columns seen: id, email, other"),
        ({"name": "mail"}, "FAIL", "no column mail"),
        ({"name": "=lower(mail)"}, "FAIL", "no column mail"),
        ({"name": "=lower(id)"}, "FAIL", "users.names.name: PostgreSQL refuses '=lower(id)'"),
        ({"name": "=lower(email)"}, "ok", "public.people (id, =lower(email)); 1 of 2 users"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(people: Bench, names: dict[str, Any], mark: str, said: str) -> None:
    entry = allowed(people).check(users={"names": {**NAMES, **names}}).entries["user_names"]
    assert entry.mark.lower() == mark.lower()
    assert said in entry.detail


def test_hidden_rows_are_found(people: Bench) -> None:
    allowed(people).run(
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        f"ALTER ROLE {people.role} NOBYPASSRLS",
        f"CREATE POLICY seen ON ai_operation_log FOR SELECT TO {people.role} USING (true)",
    )
    entry = people.check(users={"names": NAMES}).entries["user_names"]
    assert entry.mark == "FAIL"
    assert "row-level security" in entry.detail


def test_a_large_table_without_an_index_on_the_key_is_said(people: Bench) -> None:
    allowed(people).run(
        "ALTER TABLE people DROP CONSTRAINT people_pkey",
        "INSERT INTO people SELECT gen_random_uuid(), 'someone ' || n FROM generate_series(1, 120000) AS n",
        "ANALYZE people",
    )
    before = people.check(users={"names": NAMES}).entries["user_names index"]
    assert before.mark.lower() == "warn"
    assert before.hint[0].endswith("ON public.people (id);")
    people.run("CREATE INDEX ON people (id)", "ANALYZE people")
    assert people.check(users={"names": NAMES}).entries["user_names index"].mark == "ok"
