"""The outlooks that forecasts are made by: anew when an hour or a day has ended, or other users are shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.forecast.outlook import History, Outlook
from exporter.ledger.calendar import day_of
from exporter.ledger.model import Phase
from exporter.scrape.hourly import HourlyTotals
from exporter.scrape.ledger_service import LedgerService

MOST_USERS = 100
"""Users of whom there are forecasts, at most."""


@dataclass(frozen=True)
class Outlooks:
    """Those of the team and of users; None, or left out, where too little is known."""

    team: Outlook | None = None
    users: Mapping[str, Outlook] = field(default_factory=dict)


NO_OUTLOOKS = Outlooks()


class Forecaster:
    """Makes outlooks. For the thread of the background reader, but for `outlooks`, which any thread may read."""

    def __init__(self, ledger: LedgerService) -> None:
        self._ledger = ledger
        self._made_of: tuple[int, int, frozenset[str]] | None = None
        self.outlooks = NO_OUTLOOKS

    def refresh(self, totals: HourlyTotals) -> None:
        """Make the outlooks anew, unless they are of the same."""
        with self._ledger.reading():
            state, zone = self._ledger.present, self._ledger.settings.zone
            if state is None or state.progress.phase != Phase.RUNNING:
                return
            now, shown = state.progress.now, frozenset(state.shown_users)
        made_of = totals.number, day_of(now, zone), shown
        if made_of == self._made_of:
            return
        self._made_of = made_of
        history = History(totals.lo, totals.hi, now, zone)
        team = history.outlook({start: hour.figures.cost for start, hour in totals.hours.items()})
        users = {}
        for user, (lo, units) in _of_users(totals, sorted(shown)[:MOST_USERS]).items():
            known = History(lo, totals.hi, now, zone) if lo > totals.lo else history
            if (outlook := known.outlook(units, errors=False)) is not None:
                users[user] = outlook
        self.outlooks = Outlooks(team, users)


def _of_users(totals: HourlyTotals, users: Iterable[str]) -> dict[str, tuple[int, dict[int, int]]]:
    """Since when all hours of each user are known, and their units."""
    found: dict[str, dict[int, int]] = {user: {} for user in users}
    known = set(found)
    for start in sorted(totals.hours, reverse=True):
        if not known:
            break
        spent = totals.hours[start].users()
        for user in tuple(known):
            if (units := spent.of(user)) is None:
                known.remove(user)
            else:
                found[user][start] = units
    return {user: (min(units, default=totals.hi), units) for user, units in found.items()}
