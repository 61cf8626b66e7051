"""What the alerts did, of what Prometheus answers."""

from typing import Any

import pytest

from exporter.digest.fired import SPAN, STEP, fired, read_fired
from exporter.digest.model import FiredAlert
from exporter.verify.web import Part, UnansweredError

NOW = 1_780_000_000


def row(name: str, severity: str, *spans: tuple[int, int]) -> dict[str, Any]:
    """A series that is there from and until so many steps before now."""
    moments = [NOW - STEP * ago for begun, ended in spans for ago in range(begun, ended - 1, -1)]
    return {"metric": {"alertname": name, "severity": severity}, "values": [[at, "1"] for at in moments]}


def test_times_length_and_order() -> None:
    rows = [
        row("calm", "info", (9, 9)),
        row("slow", "warning", (100, 91), (80, 71)),
        row("down", "critical", (3, 0)),
        row("steady", "warning", (400, 0)),
    ]
    assert fired(rows, NOW) == (
        FiredAlert("down", "critical", 1, 60, still=True),
        FiredAlert("steady", "warning", 1, 401 * STEP, still=True),
        FiredAlert("slow", "warning", 2, 300, still=False),
        FiredAlert("calm", "info", 1, 15, still=False),
    )
    assert fired([], NOW) == ()


def test_the_query_covers_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answer(self: Part, path: str, query: Any = None) -> Any:
        asked.append((path, query))
        return {"data": {"result": [row("down", "critical", (3, 0))]}}

    monkeypatch.setattr(Part, "json", answer)
    assert read_fired(Part("http://prometheus"), NOW) == (FiredAlert("down", "critical", 1, 60, still=True),)
    ((path, query),) = asked
    assert path == "/api/v1/query_range"
    assert int(query["end"]) - int(query["start"]) == SPAN
    assert SPAN / int(query["step"]) < 11_000  # points, past which Prometheus refuses
    assert 'alertstate="firing"' in query["query"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"data": []},
        {"data": {"result": [{"metric": {}, "values": []}]}},
        {"data": {"result": [{"metric": None, "values": [[1, "1"]]}]}},
        {"data": {"result": [{"metric": "x", "values": [[1, "1"]]}]}},
        {"data": {"result": [{"metric": {}, "values": [["inf", "1"]]}]}},
        {"data": {"result": [{"metric": {}, "values": [["nan", "1"]]}]}},
    ],
)
def test_an_answer_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(Part, "json", lambda *_: answer)
    with pytest.raises(UnansweredError, match="does not answer with the result"):
        read_fired(Part("http://prometheus"), NOW)
