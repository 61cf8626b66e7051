"""What a state exposes: counters as they may be shown, and the gauges that follow from the slices."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.ledger.aggregate import ZERO, Aggregate
from exporter.ledger.calendar import Window, day_of, day_window, month_days, month_window
from exporter.ledger.model import (
    EXPOSED,
    Admission,
    LedgerSettings,
    Phase,
    Progress,
    Series,
    SkippedValue,
    State,
    Waiting,
)
from exporter.ledger.period_spend import RecentDays, recent_days
from exporter.ledger.slices import join_waiting
from exporter.unchanged import kept_while_the_same

K = TypeVar("K")


@dataclass(frozen=True)
class Counters:
    """Counters as committed; money in ledger units."""

    series: Mapping[Series, Aggregate]
    corrections: Mapping[Series, int]
    skipped: Mapping[SkippedValue, int]
    progress: Progress


@dataclass(frozen=True)
class Gauges:
    """Gauges as last read, but for the time itself; money in ledger units, times in seconds since the epoch.

    `windows` are the calendar day and month that the spend is of. Before the first reading is done they are of the day
    alone, and what takes more than that to know is None. `group_spend` is None if the log has no groups. `recent`
    are the newest days, for budgets with a period.
    """

    newest: float
    windows: Mapping[str, Window]
    spend_today: Mapping[Series, int]
    spend_month: Mapping[Series, int] | None
    user_spend: Mapping[str, int]
    shown_users: frozenset[str]
    in_progress: Mapping[str, Waiting] | None
    seen_operations: Mapping[str, float]
    succeeded_models: Mapping[str, float]
    group_spend: Mapping[str, int] | None = None
    shown_groups: frozenset[str] = frozenset()
    recent: RecentDays = field(default_factory=RecentDays)


@dataclass(frozen=True)
class Snapshot:
    """What is exposed at one moment: no read or commit that comes later changes it.

    `counters` is None until the ledger has caught up for the first time, `gauges` until the current day has been read.
    `now` is the time of the gauges, in seconds since the epoch. `models` are those of the admitted series. As long as
    nothing changes, the parts are the same objects again.
    """

    counters: Counters | None = None
    gauges: Gauges | None = None
    now: int = 0
    models: frozenset[str] = frozenset()


def take_snapshot(
    durable: State | None, present: State | None, settings: LedgerSettings, today: State | None = None
) -> Snapshot:
    """What to expose of the state as committed (`durable`), and of the newest one (`present`).

    `today` is the ledger of the current day, which speaks for the log until the first reading is done.
    """
    gauges, now = None, 0
    if present is not None and present.progress.phase == Phase.RUNNING:
        now, newest, began = present.progress.now, present.progress.newest, present.progress.began
        gauges = _gauges_of_day(present, settings, present.stamp(), newest, began, day_of(now, settings.zone))
    elif present is not None and today is not None:
        gauges, now = _gauges_of_today(today, present, settings), today.progress.now
    return Snapshot(
        None if durable is None or durable.progress.phase != Phase.RUNNING else _counters(durable),
        gauges,
        now,
        frozenset() if durable is None else _models(durable.admitted, durable.stamp("admitted")),
    )


def _counters(state: State) -> Counters:
    # copies, since the state itself goes on changing
    return Counters(
        counters(state),
        _corrections(state.corrections, state.stamp("corrections")),
        _skipped(state.skipped, state.stamp("skipped")),
        state.progress,
    )


@kept_while_the_same
def _gauges_of_day(state: State, settings: LedgerSettings, *_may_change: object) -> Gauges:
    """The gauges of a state: the same again until one of its parts changes, or what else is passed.

    A gauge that depends on more of the progress needs that to be passed, too.
    """
    return _gauges(state, settings)


def _gauges(state: State, settings: LedgerSettings) -> Gauges:
    return Gauges(
        newest=state.progress.newest,
        windows={
            "day": day_window(state.progress.now, settings.zone),
            "month": month_window(state.progress.now, settings.zone),
        },
        spend_today=spend_today(state, settings),
        spend_month=spend_month(state, settings),
        user_spend=user_spend_today(state, settings),
        shown_users=frozenset(state.shown_users),
        in_progress=in_progress(state),
        seen_operations=dict(state.seen_operations),
        succeeded_models=dict(state.succeeded_models),
        group_spend=group_spend_today(state, settings) if settings.groups else None,
        shown_groups=frozenset(state.shown_groups),
        recent=recent_days(state, settings),
    )


def _gauges_of_today(today: State, present: State, settings: LedgerSettings) -> Gauges:
    return replace(
        _gauges(today, settings),
        windows={"day": day_window(today.progress.now, settings.zone)},
        spend_month=None,
        shown_users=frozenset(present.shown_users),
        shown_groups=frozenset(present.shown_groups),
        in_progress=None,
        seen_operations={},
        succeeded_models={},
        recent=recent_days(today, settings, only_today=True),
    )


def restart_zero_hold(state: State, settings: LedgerSettings) -> dict[Series, Admission]:
    """The admissions to change when a state is loaded: of series whose zero had not been shown for long enough.

    Nobody sees a zero while no process runs, so only the time up to the last read counts. A process that has shown the
    zero at all counts for a quarter of the time: else a restart loop in which each process is scraped once would keep
    the series at zero for ever.
    """
    return {
        series: replace(
            admission,
            # the next process begins its own turn
            first_exposed_at=None,
            exposed_seconds=admission.exposed_seconds
            + max(state.progress.now - admission.first_exposed_at, settings.zero_hold // 4),
        )
        for series, admission in state.admitted.items()
        if admission.first_exposed_at not in (EXPOSED, None)
    }


def counters(state: State) -> dict[Series, Aggregate]:
    """The counters of every admitted series: the same object again as long as they are the same.

    None before the ledger has caught up for the first time. A new series is at 0 for `LedgerSettings.zero_hold`, so
    that every scraper sees the 0 from which it rises.
    """
    if state.progress.phase != Phase.RUNNING:
        return {}
    return _shown(state.totals, state.stamp("totals"), state.admitted, state.stamp("admitted"))


# Parts of a state change in place, so each comes with its stamp: as long as that is the same, so is the part.


@kept_while_the_same
def _shown(
    totals: Mapping[Series, Aggregate], _totals: object, admitted: Mapping[Series, Admission], _admitted: object
) -> dict[Series, Aggregate]:
    return {
        series: totals.get(series, ZERO) if admission.first_exposed_at == EXPOSED else ZERO
        for series, admission in admitted.items()
    }


def _copied(counts: Mapping[K, int], _counts: object) -> Mapping[K, int]:
    return dict(counts)


_corrections, _skipped = kept_while_the_same(_copied), kept_while_the_same(_copied)


@kept_while_the_same
def _models(admitted: Mapping[Series, Admission], _admitted: object) -> frozenset[str]:
    return frozenset({series.model for series in admitted})


def _of_admitted(
    spend: Mapping[Series, int], admitted: Mapping[Series, Admission], _admitted: object
) -> dict[Series, int]:
    return {series: spend.get(series, 0) for series in admitted}


_today_of_admitted, _month_of_admitted = kept_while_the_same(_of_admitted), kept_while_the_same(_of_admitted)


def spend_today(state: State, settings: LedgerSettings) -> dict[Series, int]:
    """Money units of the present calendar day for every admitted series."""
    spend = state.days.on(_today(state, settings))
    return _today_of_admitted(spend, state.admitted, state.stamp("admitted"))


def spend_month(state: State, settings: LedgerSettings) -> dict[Series, int]:
    """Money units of the present calendar month for every admitted series."""
    # once the clock was set back there may be sums of days that are still to come
    spend = state.days.over(month_days(_today(state, settings)))
    return _month_of_admitted(spend, state.admitted, state.stamp("admitted"))


def user_spend_today(state: State, settings: LedgerSettings) -> Mapping[str, int]:
    """Money units of the present calendar day by user."""
    return state.user_days.on(_today(state, settings))


def group_spend_today(state: State, settings: LedgerSettings) -> Mapping[str, int]:
    """Money units of the present calendar day by group."""
    return state.group_days.on(_today(state, settings))


def in_progress(state: State) -> Mapping[str, Waiting]:
    """Rows in progress by status, those of closed slices as last read."""
    return join_waiting([s.waiting for s in state.slices.values() if s.waiting])


def started_ratio(progress: Progress) -> float:
    """How much of the first reading is done, 0 to 1."""
    if progress.phase == Phase.RUNNING:
        return 1.0
    # a first reading that begins at the present has nothing to read
    whole = max(1, progress.now - progress.began)
    return min(1.0, (progress.position - progress.began) / whole)


def _today(state: State, settings: LedgerSettings) -> int:
    return day_of(state.progress.now, settings.zone)
