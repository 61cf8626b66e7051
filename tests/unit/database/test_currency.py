"""Costs in other currencies, as expressions in SQL."""

from decimal import Decimal

import pytest

from exporter.config import Config, ConfigError
from exporter.config.expressions import Expression, parse_expression
from exporter.database.columns import Column
from exporter.database.currency import in_dollars, known

COST, CURRENCY = Column("price", "numeric", "N"), Column('the "currency"', "text", "S")
RATES = {"RMB": Decimal("0.14"), "€": Decimal("1.08")}


def test_what_is_made_is_an_expression_of_these_columns() -> None:
    sum_of_two = Column("=cost", "numeric", "N", expression=Expression("=a + b"))
    for cost, names in ((COST, ("price",)), (sum_of_two, ("a", "b"))):
        made = in_dollars(cost, CURRENCY, RATES)
        assert parse_expression(made) == made
        assert made.columns == (*names, 'the "currency"')
        assert "* 0.14" in made


def test_a_condition_takes_the_column_by_its_name() -> None:
    made = Column("=currency", "text", "S", expression=Expression("=lower(a)"))
    assert known(made, RATES).as_string(None).startswith('upper(btrim("=currency"::text)) IN (')


@pytest.mark.parametrize(
    ("currencies", "said"),
    [
        ({"RMB": 0}, "dollars, like 0.14"),
        ({"RMB": -1}, "dollars, like 0.14"),
        ({"RMB": "0.123456789"}, "eight decimal places"),
        ({"RMB": True}, "amount in dollars"),
        ({"RMB": "nan"}, "RMB"),
        ({"R'MB": 0.1}, "without blanks and quotes"),
        ({"": 0.1}, "without blanks and quotes"),
        ({"R MB": 0.1}, "without blanks and quotes"),
        ({"RMB": None}, "RMB"),
    ],
)
def test_rates_that_cannot_be_meant_are_refused(currencies: dict[str, object], said: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=said):
        Config.model_validate({"columns": {"log": {"currency": "currency", "currencies": currencies}}})


def test_rates_without_a_currency_are_refused() -> None:
    with pytest.raises(ValueError, match="which says the currency of each cost"):
        Config.model_validate({"columns": {"log": {"currencies": {"RMB": 0.14}}}})


def test_a_changed_rate_changes_how_rows_count() -> None:
    prints = set()
    for rate in (0.14, "0.14", 0.15, 1):
        log = {"currency": "currency", "currencies": {" rmb ": rate}}
        classification = Config.model_validate({"columns": {"log": log}}).classification()
        assert classification.log_columns.currencies == {"RMB": Decimal(str(rate))}
        again = type(classification).model_validate_json(classification.model_dump_json())
        assert again.fingerprint == classification.fingerprint
        prints.add(classification.fingerprint)
    assert len(prints) == 3
