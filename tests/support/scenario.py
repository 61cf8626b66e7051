"""Scenarios for the rules: what exporters show over some hours, and which alerts must be seen when.

A scenario is written as a test for `promtool test rules`, whose time begins at 0: midnight in UTC is at 24h.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter import catalog
from exporter.catalog import Metric

JOB = "ai-operation-exporter"
MINUTE, HOUR, DAY = 60, 3600, 86400

Span = tuple[int, int]
"""Seconds from and until; the end is not in it."""

Value = float | Callable[[int], float | None]
"""A constant, or a figure by the second; None where there is none."""

CONFIGURED = (catalog.MODEL_TIMEOUT, catalog.DAILY_LIMIT, catalog.MONTHLY_LIMIT, catalog.STATE_COMMIT_FAILURES)
"""What an exporter shows whether or not it can read the database."""

FROM_BUDGETS = (
    catalog.USER_DAILY_LIMIT,
    catalog.BUDGET_USERS,
    catalog.PERIOD_LIMIT,
    catalog.PERIOD_SOFT_LIMIT,
    catalog.PERIOD_SPEND,
    catalog.PERIOD_RESET,
)
"""Gauges that are absent while the table of budgets cannot be read."""

FROM_GROUP_BUDGETS = (catalog.GROUP_DAILY_LIMIT, catalog.BUDGET_GROUPS)
"""As `FROM_BUDGETS`, of the table of groups' budgets."""


@dataclass(frozen=True)
class Window:
    """A calendar day or month."""

    start: int
    end: int


def steps(*changes: tuple[int, float | None]) -> Callable[[int], float | None]:
    """A figure that changes at the seconds given; None before the first."""

    def at(second: int) -> float | None:
        found = None
        for begins, value in changes:
            if second >= begins:
                found = value
        return found

    return at


def _within(spans: Sequence[Span], second: int) -> bool:
    # a generator would take three times as long, and this is asked millions of times
    for begins, ends in spans:  # noqa: SIM110
        if begins <= second < ends:
            return True
    return False


@dataclass
class Replica:
    """An exporter. In `down` it is not reached, in `unread` it cannot read the database.

    In `catching_up` it reads, but its figures are not current; in `no_log` only the log cannot be read, in `no_budgets`
    only the table of budgets, and in `no_group_budgets` only that of groups (None: there is no such table). One that
    `lingers` leaves no mark where it goes: for five minutes Prometheus takes its last samples for present ones.
    From the second `gone` on it is no target any more.
    """

    instance: str = "a:9867"
    job: str = JOB
    down: Sequence[Span] = ()
    unread: Sequence[Span] = ()
    catching_up: Sequence[Span] = ()
    no_log: Sequence[Span] = ()
    no_budgets: Sequence[Span] = ()
    no_group_budgets: Sequence[Span] | None = None
    lingers: bool = False
    gone: int | None = None

    def is_up(self, second: int) -> bool:
        """Whether Prometheus reaches it."""
        return not _within(self.down, second) and not self.is_gone(second)

    def is_gone(self, second: int) -> bool:
        """Whether Prometheus has no such target any more."""
        return self.gone is not None and second >= self.gone

    def reads(self, second: int) -> bool:
        """Whether its figures are current."""
        return self.is_up(second) and not _within((*self.unread, *self.no_log, *self.catching_up), second)


@dataclass(frozen=True)
class _Life:
    """How a replica fares at each step: whether it is up and reads, and when it has read last."""

    up: Sequence[bool]
    reads: Sequence[bool]
    has_budgets: Sequence[bool]
    has_group_budgets: Sequence[bool]
    has_read: Sequence[int | None]


def _life(replica: Replica, times: Sequence[int]) -> _Life:
    reads = [replica.reads(second) for second in times]
    budgets, of_groups = (
        [read and not _within(spans, second) for read, second in zip(reads, times, strict=True)]
        for spans in (replica.no_budgets, replica.no_group_budgets or ())
    )
    last, has_read = None, list[int | None]()
    for read, second in zip(reads, times, strict=True):
        last = second if read else last
        has_read.append(last)
    return _Life([replica.is_up(second) for second in times], reads, budgets, of_groups, has_read)


@dataclass
class Scenario:
    """One test. `does` states the behaviour; times are in seconds."""

    does: str
    length: int
    step: int = MINUTE
    _jobs: set[str] = field(default_factory=set)
    _lives: list[tuple[Replica, _Life]] = field(default_factory=list)
    _series: list[tuple[str, str]] = field(default_factory=list)
    _alerts: list[dict[str, Any]] = field(default_factory=list)
    _figures: list[dict[str, Any]] = field(default_factory=list)

    def replica(self, replica: Replica, *days: Window, months: Sequence[Window] = ()) -> Replica:
        """Add what an exporter shows of itself, and the calendar windows of its spend."""

        def flag(condition: Callable[[int], bool]) -> Callable[[int], float | None]:
            return lambda second: float(condition(second)) if replica.is_up(second) else None

        def windows(of: Sequence[Window], end: bool) -> Callable[[int], float | None]:
            def at(second: int) -> float | None:
                now = next((window for window in of if window.start <= second < window.end), None)
                return None if now is None or not replica.reads(second) else (now.end if end else now.start)

            return at

        of = {"job": replica.job, "instance": replica.instance}
        self._jobs.add(replica.job)

        def add(name: str, labels: Mapping[str, str], figure: Value) -> None:
            self.raw(name, {**of, **labels}, figure, lingers=replica.lingers)

        def is_up(second: int) -> float | None:
            unseen = replica.is_gone(second) or (replica.lingers and not replica.is_up(second))
            return None if unseen else float(replica.is_up(second))

        add("up", {}, is_up)
        add(catalog.LOG_UP.name, {}, flag(replica.reads))
        success = catalog.COLLECTOR_SUCCESS.name
        log = (*replica.unread, *replica.no_log)
        add(success, {"collector": "log"}, flag(lambda second: not _within(log, second)))
        budgets, of_groups = (
            (*replica.unread, *replica.no_budgets),
            (*replica.unread, *(replica.no_group_budgets or ())),
        )
        add(success, {"collector": "budgets"}, flag(lambda second: not _within(budgets, second)))
        if replica.no_group_budgets is not None:
            add(success, {"collector": "group_budgets"}, flag(lambda second: not _within(of_groups, second)))
        for name, known in (("day", days), ("month", months)):
            if known:
                for metric, end in ((catalog.WINDOW_START, False), (catalog.WINDOW_END, True)):
                    add(metric.name, {"window": name}, windows(known, end))
        return replica

    def show(self, replica: Replica, metric: Metric, value: Value, part: str = "", **labels: str) -> None:
        """Add a metric of an exporter; `part` is a histogram's suffix. Counters stand still while nothing is read."""
        figure, life = value if callable(value) else (lambda _: value), self._life(replica)
        read: Sequence[int | None] = self._times
        if metric in CONFIGURED:
            shown = life.up
        elif metric.kind == "gauge":
            # the budgets with a period of groups have the same metrics as those of users
            is_of_group = metric in FROM_GROUP_BUDGETS or (metric in FROM_BUDGETS and "group" in labels)
            of_groups = life.has_group_budgets if is_of_group else life.reads
            shown = life.has_budgets if metric in FROM_BUDGETS and not is_of_group else of_groups
        else:
            shown, read = life.up, life.has_read
        values = [figure(at) if is_shown and at is not None else None for is_shown, at in zip(shown, read, strict=True)]
        of = {"job": replica.job, "instance": replica.instance, **labels}
        self._add(metric.name + part, of, values, replica.lingers)

    def raw(self, name: str, labels: Mapping[str, str], value: Value, *, lingers: bool = False) -> None:
        """Add a series as it is; one that `lingers` ends without a mark."""
        times = self._times
        self._add(name, labels, [value(at) for at in times] if callable(value) else [value] * len(times), lingers)

    @property
    def _times(self) -> range:
        return range(0, self.length + 1, self.step)

    def _life(self, replica: Replica) -> _Life:
        for known, life in self._lives:
            if known is replica:
                return life
        self._lives.append((replica, _life(replica, self._times)))
        return self._lives[-1][1]

    def _add(self, name: str, labels: Mapping[str, str], values: Sequence[float | None], lingers: bool) -> None:
        matchers = ", ".join(f"{label}={quoted(text)}" for label, text in labels.items())
        written = notation(values)
        series = f"{name}{{{matchers}}}" if matchers else name
        self._series.append((series, written.replace("stale", "_") if lingers else written))

    def fires(self, at: int, name: str, *alerts: Mapping[str, Mapping[str, str]]) -> None:
        """Exactly these alerts of a name fire at the second; each has `labels` and `annotations`."""
        expected = [{"exp_labels": dict(a["labels"]), "exp_annotations": dict(a["annotations"])} for a in alerts]
        self._alerts.append({"eval_time": duration(at), "alertname": name, "exp_alerts": expected})

    def silent(self, name: str, *times: int) -> None:
        """No alert of a name fires at these seconds."""
        self._alerts += [{"eval_time": duration(at), "alertname": name, "exp_alerts": []} for at in times]

    def figure(self, at: int, expr: str, samples: Mapping[str, float]) -> None:
        """What an expression yields at the second: values by the series' name and labels."""
        expected = [{"labels": labels, "value": value} for labels, value in samples.items()]
        self._figures.append({"expr": expr, "eval_time": duration(at), "exp_samples": expected})

    def written(self) -> dict[str, Any]:
        """The test as promtool takes it."""
        series = [{"series": name, "values": values} for name, values in self._series]
        test: dict[str, Any] = {"name": self.does, "interval": duration(self.step), "input_series": series}
        if self._alerts:
            for alert in (alert for look in self._alerts for alert in look["exp_alerts"] if len(self._jobs) > 1):
                # told only where there are several
                if "job" in alert["exp_annotations"]:
                    alert["exp_annotations"]["job"] = alert["exp_labels"]["job"]
            ordered = sorted(self._alerts, key=lambda alert: seconds(alert["eval_time"]))
            test["alert_rule_test"] = ordered
        if self._figures:
            test["promql_expr_test"] = self._figures
        return test


def quoted(text: str) -> str:
    """A label's value as PromQL writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def duration(length: int) -> str:
    """Seconds as promtool reads them: `duration(3720) == "1h2m"`."""
    parts = ((length // HOUR, "h"), (length % HOUR // MINUTE, "m"), (length % MINUTE, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def seconds(written: str) -> int:
    """The other way round."""
    total, digits = 0, ""
    for character in written:
        if character.isdigit():
            digits += character
        else:
            total, digits = total + int(digits) * {"h": HOUR, "m": MINUTE, "s": 1}[character], ""
    return total


def notation(values: Sequence[float | None]) -> str:
    """Samples as promtool writes them: repeated, rising evenly, ended by `stale`, and gaps as `_`."""
    words: list[str] = []
    position = 0
    if len(values) > 1 and values[0] is not None and values.count(values[0]) == len(values):
        return f"{_number(values[0])}x{len(values) - 1}"
    while position < len(values):
        value = values[position]
        if value is None:
            if position and values[position - 1] is not None:
                words.append("stale")
                position += 1
                continue
            length = _run(values, position, None)
            words.append("_" if length == 1 else f"_x{length}")
            position += length
            continue
        change = None
        if position + 1 < len(values) and (after := values[position + 1]) is not None:
            change = round(after - value, 9)
        length = 1 if change is None else _run(values, position, change)
        if length == 1:
            words.append(_number(value))
        elif change == 0:
            words.append(f"{_number(value)}x{length - 1}")
        else:
            assert change is not None
            words.append(f"{_number(value)}{'+' if change > 0 else '-'}{_number(abs(change))}x{length - 1}")
        position += length
    return " ".join(words)


def _run(values: Sequence[float | None], position: int, change: float | None) -> int:
    length = 1
    while position + length < len(values):
        before, now = values[position + length - 1], values[position + length]
        if change is None:
            if now is not None:
                break
        elif before is None or now is None or round(now - before, 9) != change:
            break
        length += 1
    # two different values in a row are no ramp
    return 1 if change and length == 2 else length


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(value, 9))
