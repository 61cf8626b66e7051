"""Statements with numbered parameters are those that the driver makes of named ones."""

from hypothesis import given
from hypothesis import strategies as st
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

from exporter.database.encoding import Numbered

PARTS = st.sampled_from(
    ["SELECT ", "%%", " LIKE 'a%%'", "%(a)s", "%(b_1)s", "%(a)s::text", '"Ä"', "'$1'", " = ", "(x)"]
)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_it_is_what_the_driver_sends(statement: str) -> None:
    values = {"a": 1, "b_1": "x"}
    named = PostgresQuery(Transformer())
    named.convert(statement, {name: value for name, value in values.items() if f"%({name})s" in statement})
    numbered = Numbered.of(statement.encode())
    assert numbered.text == named.query
    assert len(numbered.names) == len(named.params or ())
    assert sorted(numbered.names) == sorted(name for name in values if f"%({name})s" in statement)


def test_each_parameter_has_one_number_however_often_it_is_used() -> None:
    numbered = Numbered.of(b"SELECT %(to)s, %(from)s, %(to)s, 5 %% 2")
    assert numbered == (b"SELECT $1, $2, $1, 5 % 2", ("to", "from"))
