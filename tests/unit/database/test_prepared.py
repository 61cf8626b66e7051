"""Statements that are kept from one read to the next: one that could not be composed is not taken for the last one."""

from types import SimpleNamespace
from typing import Any

import pytest

from exporter.config import Config
from exporter.database import changes, window
from exporter.database.encoding import UTF8


@pytest.mark.parametrize(
    ("module", "reader", "more"), [(changes, changes.ChangeReader(), ("proof",)), (window, window.WindowReader(), ())]
)
def test_a_statement_that_could_not_be_composed_is_composed_the_next_time(
    monkeypatch: pytest.MonkeyPatch, module: Any, reader: Any, more: tuple[str, ...]
) -> None:
    composed: list[Any] = []

    def encoded(statement: str) -> bytes:
        composed.append(statement)
        if len(composed) == 2:
            raise OSError
        return statement.encode()

    monkeypatch.setattr(module, "span_statement", lambda log, *_, **__: f"read {log}")
    session, by = SimpleNamespace(charset=UTF8, encoded=encoded), Config().classification()
    reader._prepare(session, "one", by, *more)
    for _ in range(2):
        try:
            reader._prepare(session, "two", by, *more)
        except OSError:
            continue
    assert composed == ["read one", "read two", "read two"]
