"""Tests of ai-operation-exporter."""

import pytest

# so that failed assertions in helpers show what differs
pytest.register_assert_rewrite(
    "tests.support.harness", "tests.support.scraped", "tests.support.programs", "tests.support.ledger_driver"
)
