"""What docs/monitoring-guide.md has people do in the demo's database."""

import psycopg

from exporter.demo.schema import load_schema
from tests.unit.docs.blocks import SAID


def test_the_costly_call_of_the_guide_is_one_that_counts(embedded_database: str) -> None:
    (statement,) = (
        command.words[-1]
        for command in SAID
        if command.page == "docs/monitoring-guide.md" and command.words[-1].startswith("INSERT")
    )
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "success")
        connection.execute(statement.encode())
        recent = "created_at > now() AT TIME ZONE 'UTC' - interval '1 minute'"
        spent = f"SELECT sum(cost_usd) FROM ai_operation_log WHERE {recent}"
        assert connection.execute(spent.encode()).fetchall() == [(250,)]
