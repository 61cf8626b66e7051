"""A state that a clock three days ahead has closed, as version 0.1 left it."""

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger.calendar import QUARTER_HOUR, floor_to
from exporter.ledger.model import TimeRange
from exporter.ledger.rewind import rewind
from tests.support.ledger_driver import START, Exporter, started
from tests.support.model_log import Log

DAY = 86400


def poisoned(log: Log) -> Exporter:
    """One dollar is counted, then every clock is three days ahead for one read."""
    exporter = started(log)
    log.insert(START + 5, cost=USD)
    exporter.run(600)
    exporter.clock += 3 * DAY
    exporter.scrape()
    exporter.work()
    exporter.clock -= 3 * DAY
    assert exporter.state.progress.compacted > exporter.clock
    return exporter


def test_rows_that_a_poisoned_state_does_not_see_count_once_it_is_rewound() -> None:
    log = Log()
    exporter = poisoned(log)
    log.insert(exporter.clock + 30, cost=10 * USD)
    exporter.run(3600)
    assert exporter.count(Figure.COST) == USD
    lo = floor_to(int(exporter.state.progress.newest), QUARTER_HOUR)
    read = exporter.read(TimeRange(lo, int(exporter.state.progress.newest) + 1))
    exporter.commit(rewind(exporter.state, read, exporter.settings))
    exporter.restart()
    exporter.run(3600)
    assert exporter.count(Figure.COST) == 11 * USD
    assert exporter.count(Figure.CALLS) == 2
    assert not any(exporter.state.corrections.values())
