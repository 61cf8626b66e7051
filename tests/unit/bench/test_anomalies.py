"""The detector of anomalies is better than its rivals, on histories that its constants were not chosen by."""

import pytest

from bench.anomalies import AVERAGE, OWN, STATIC, STATIC_EACH, Score, compared, in_all, score
from bench.labelled import Incident
from exporter.ledger.calendar import HOUR

# the tracer would triple the time
pytestmark = [pytest.mark.slow, pytest.mark.unmeasured]


def test_precision_and_recall_are_better_than_those_of_both_rivals() -> None:
    scores = {name: in_all(of) for name, of in compared(["tests 1", "tests 2"]).items()}
    own = scores[OWN]
    assert own.incidents > 100
    for rival in (AVERAGE, STATIC):
        assert own.precision > scores[rival].precision
        assert own.recall > scores[rival].recall
    # and better on the whole than a threshold that knows each history in hindsight
    assert own.f1 > scores[STATIC_EACH].f1
    assert min(own.precision, own.recall) > 0.9


def test_an_alarm_is_right_if_it_begins_in_an_incident_or_soon_after() -> None:
    incident = Incident("chat", "loop", 10 * HOUR, 12 * HOUR)
    assert score([11 * HOUR], [incident], []) == Score(1, 1, 1, 1, (60,))
    assert score([14 * HOUR], [incident], []).true == 1
    assert score([15 * HOUR], [incident], []) == Score(1, 0, 1, 0)
    # one that fires already finds nothing
    assert score([9 * HOUR, 10 * HOUR, 11 * HOUR], [incident], []) == Score(1, 0, 1, 0)
    assert score([9 * HOUR], [incident], [(8 * HOUR, 10 * HOUR)]) == Score(1, 0, 0, 0)
