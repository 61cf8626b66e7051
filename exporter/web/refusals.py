"""Refused logins: counted by reason, and logged so that strangers cannot fill the log."""

import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from enum import StrEnum

_log = logging.getLogger(__name__)
_MOST_NETWORKS = 1000  # that are told apart within one summary


class Reason(StrEnum):
    """Why a login is refused; the value is the metric's label."""

    MISSING = "missing"  # no name and password, or unreadable ones
    WRONG = "wrong"
    BUSY = "busy"  # too many others were waiting: not checked, it may have been right


_WORDS = {
    Reason.MISSING: "no name and password",
    Reason.WRONG: "wrong name or password",
    Reason.BUSY: "not checked, too many at once",
}


class Refusals:
    """Counts for the metrics, from any thread, and a few lines a minute for the log.

    The first refusal for each reason is logged at once. ``summary``, called once a minute, logs a summary of the
    others. The name is never logged: people type passwords into the wrong field.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = Counter(dict.fromkeys(Reason, 0))
        self._since: Counter[Reason] = Counter()  # the last line
        self._networks: Counter[str] = Counter()
        self._said: set[Reason] = set()

    def note(self, reason: Reason, network: str) -> None:
        """Count a refused login from this network."""
        with self._lock:
            self._total[reason] += 1
            first = reason not in self._said
            self._said.add(reason)
            if not first:
                self._since[reason] += 1
                if network in self._networks or len(self._networks) < _MOST_NETWORKS:
                    self._networks[network] += 1
        if first:
            words = _WORDS[reason]
            _log.log(_level([reason]), "refused a login from %s: %s; more are summed up every minute", network, words)

    def summary(self) -> None:
        """Log what was refused since the last line. After a quiet minute, the next refusal is logged at once."""
        with self._lock:
            since, networks = self._since, self._networks
            self._since, self._networks = Counter(), Counter()
            self._said = set(since)
        if since:
            ((network, most),) = networks.most_common(1)
            parts = ", ".join(f"{since[reason]} {words}" for reason, words in _WORDS.items() if since[reason])
            total = since.total()
            _log.log(_level(since), "refused %d more logins: %s; %d of them from %s", total, parts, most, network)

    def totals(self) -> Mapping[str, int]:
        """How many were refused since the start, by reason, including reasons with none."""
        with self._lock:
            return {reason.value: count for reason, count in self._total.items()}


def _level(reasons: Collection[Reason]) -> int:
    # Every browser first asks without a password.
    return logging.INFO if set(reasons) == {Reason.MISSING} else logging.WARNING
