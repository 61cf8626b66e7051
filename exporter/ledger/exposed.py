"""What a state shows: the counters as they may be exposed, and the gauges that follow from the slices."""

from collections.abc import Mapping
from dataclasses import replace

from exporter.ledger.aggregate import ZERO, Aggregate
from exporter.ledger.calendar import day_of, month_days
from exporter.ledger.model import EXPOSED, Admission, LedgerSettings, Phase, Series, State, Waiting
from exporter.ledger.slices import join_waiting


def restart_zero_hold(state: State, settings: LedgerSettings) -> dict[Series, Admission]:
    """The admissions to change when a state is loaded: of series whose zero had not been shown for long enough.

    Nobody sees a zero while no process runs, so only the time up to the last read counts. A process that has shown the
    zero at all counts for a quarter of the time: else a restart loop in which each process is scraped once would keep
    the series at zero for ever.
    """
    return {
        series: replace(
            admission,
            first_exposed_at=None,
            exposed_seconds=admission.exposed_seconds
            + max(state.progress.now - admission.first_exposed_at, settings.zero_hold // 4),
        )
        for series, admission in state.admitted.items()
        if admission.first_exposed_at not in (EXPOSED, None)
    }


def counters(state: State) -> dict[Series, Aggregate]:
    """The counters of every admitted series.

    None before the ledger has caught up for the first time. A new series is at 0 for `LedgerSettings.zero_hold`, so
    that every scraper sees the 0 from which it rises.
    """
    if state.progress.phase != Phase.RUNNING:
        return {}
    return {
        series: state.totals.get(series, ZERO) if admission.first_exposed_at == EXPOSED else ZERO
        for series, admission in state.admitted.items()
    }


def spend_today(state: State, settings: LedgerSettings) -> dict[Series, int]:
    """Money units of the present calendar day for every admitted series."""
    today = _today(state, settings)
    return {series: state.days.get((today, series), 0) for series in state.admitted}


def spend_month(state: State, settings: LedgerSettings) -> dict[Series, int]:
    """Money units of the present calendar month for every admitted series."""
    # once the clock was set back there may be sums of days that are still to come
    days = month_days(_today(state, settings))
    result = dict.fromkeys(state.admitted, 0)
    for (day, series), units in state.days.items():
        if day in days:
            result[series] += units
    return result


def user_spend_today(state: State, settings: LedgerSettings) -> dict[str, int]:
    """Money units of the present calendar day by user."""
    today = _today(state, settings)
    return {user: units for (day, user), units in state.user_days.items() if day == today}


def in_progress(state: State) -> Mapping[str, Waiting]:
    """Rows in progress by status, those of closed slices as last read."""
    return join_waiting(s.waiting for s in state.slices.values())


def started_ratio(state: State) -> float:
    """How much of the first reading is done, 0 to 1."""
    progress = state.progress
    if progress.phase == Phase.RUNNING:
        return 1.0
    whole = max(1, progress.now - progress.began)
    return min(1.0, (progress.position - progress.began) / whole)


def _today(state: State, settings: LedgerSettings) -> int:
    return day_of(state.progress.now, settings.zone)
