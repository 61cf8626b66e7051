"""Tests of ai-operation-exporter."""

import pytest

# so that failed assertions in helpers show what differs
pytest.register_assert_rewrite("tests.support")
