"""The companions: on the exporter, on the notifications, and on the rules themselves."""

from collections.abc import Iterator
from typing import Any

from exporter import catalog
from tests.alerts.cases.common import ZONE, called, user, users, watched
from tests.alerts.cases.ratios import STEP
from tests.alerts.cases.said import Expected, companion, expected, links
from tests.support.scenario import DAY, HOUR, JOB, MINUTE, Replica, Scenario, Value, steps


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _exporter_down()
    yield _one_exporter_down()
    yield _no_exporter()
    yield _log_unreadable()
    yield _log_of_two_replicas()
    yield _log_unreadable_in_a_gap()
    yield _table_unreadable()
    yield _table_unreadable_in_a_gap()
    yield _catching_up()
    yield _catching_up_of_two_replicas()
    yield _catching_up_in_a_gap()
    yield _state_not_written()
    yield _state_not_written_in_a_gap()
    yield _rows_unusable()
    yield _rows_unusable_of_two_replicas()
    yield _user_without_limit()
    yield _nobody_has_a_limit()
    yield _user_without_limit_replicas()
    yield _user_without_limit_jobs()
    yield _user_without_limit_in_a_gap()
    yield _user_without_limit_over_midnight()
    yield _notifications()
    yield _one_channel_of_two()
    yield _notifications_made_good()
    yield _rules_failing()
    yield _watchdog()


NONE_DOWN = companion(
    "exporter_down",
    "critical",
    "No exporter can be scraped.",
    f"Prometheus reaches no target of the job {JOB}: spend, errors and latency are not watched.",
    job=JOB,
)


def _one_down(instance: str) -> Expected:
    said = f"Prometheus does not reach {instance}."
    return companion("exporter_down", "warning", "An exporter cannot be scraped.", said, job=JOB, instance=instance)


def _exporter_down() -> Scenario:
    scenario = Scenario("says after two minutes that no exporter is reached, and which after five", 40 * MINUTE)
    watched(scenario, Replica("a:9867", down=[(10 * MINUTE, 20 * MINUTE), (30 * MINUTE, 31 * MINUTE)]))
    watched(scenario, Replica("other:9867", job="something-else"))
    name = "exporter_down"
    scenario.silent(name, 9 * MINUTE, 11 * MINUTE)
    scenario.fires(12 * MINUTE, name, NONE_DOWN)
    scenario.fires(14 * MINUTE, name, NONE_DOWN)
    scenario.fires(15 * MINUTE, name, NONE_DOWN, _one_down("a:9867"))
    scenario.fires(19 * MINUTE, name, NONE_DOWN, _one_down("a:9867"))
    scenario.silent(name, 20 * MINUTE, 30 * MINUTE, 31 * MINUTE, 40 * MINUTE)
    return scenario


def _one_exporter_down() -> Scenario:
    scenario = Scenario("is a warning while another replica is reached, and nothing for other jobs", 40 * MINUTE)
    watched(scenario, Replica("a:9867", down=[(10 * MINUTE, 20 * MINUTE)]))
    watched(scenario, Replica("b:9867"))
    watched(scenario, Replica("c:9867", job="something-else", down=[(10 * MINUTE, 20 * MINUTE)]))
    scenario.silent("exporter_down", 14 * MINUTE, 20 * MINUTE)
    scenario.fires(15 * MINUTE, "exporter_down", _one_down("a:9867"))
    return scenario


def _no_exporter() -> Scenario:
    scenario = Scenario("says that nothing is watched where there is no target at all", 10 * MINUTE)
    scenario.raw("up", {"job": "something-else", "instance": "c:9867"}, 1)
    scenario.silent("exporter_down", MINUTE)
    scenario.fires(2 * MINUTE, "exporter_down", NONE_DOWN)
    return scenario


def _unreadable(job: str = JOB) -> Expected:
    said = f"No exporter of {job} can read the log of operations: alerts are using their last known values."
    return companion("log_unreadable", "critical", "The log of operations cannot be read.", said, job=job)


def _log_unreadable() -> Scenario:
    scenario = Scenario(
        "fires when the log cannot be read for some minutes, and not for failures that come and go", 60 * MINUTE, STEP
    )
    watched(scenario, Replica("a:9867", unread=[(10 * MINUTE, 30 * MINUTE)]))
    # a scrape that succeeds every other minute, and an exporter that is down: that is said by another alert
    flickering = [(minute * MINUTE, (minute + 1) * MINUTE) for minute in range(0, 60, 2)]
    watched(scenario, Replica("b:9867", job="flickering", unread=flickering))
    watched(scenario, Replica("c:9867", job="down", down=[(10 * MINUTE, 60 * MINUTE)]))
    # a table that may not be read, while others may
    watched(scenario, Replica("d:9867", job="log-alone", no_log=[(10 * MINUTE, 30 * MINUTE)]))
    watched(scenario, Replica("e:9867", job="budgets-alone", no_budgets=[(10 * MINUTE, 30 * MINUTE)]))
    # behind the last good scrape stand two minutes, and then five
    scenario.silent("log_unreadable", 9 * MINUTE, 16 * MINUTE, 30 * MINUTE, 60 * MINUTE)
    scenario.fires(17 * MINUTE, "log_unreadable", _unreadable(), _unreadable("log-alone"))
    scenario.fires(29 * MINUTE, "log_unreadable", _unreadable(), _unreadable("log-alone"))
    return scenario


def _log_unreadable_in_a_gap() -> Scenario:
    scenario = Scenario(
        "holds a log that was not read until one reads it, and not where there is no exporter any more",
        90 * MINUTE,
        STEP,
    )
    down = [(30 * MINUTE, 50 * MINUTE)]
    watched(scenario, Replica("a:9867", job="held", unread=[(10 * MINUTE, 60 * MINUTE)], down=down))
    watched(scenario, Replica("a:9867", job="well", unread=[(10 * MINUTE, 40 * MINUTE)], down=down))
    # one of two goes, and the other one reads
    watched(scenario, Replica("a:9867", job="pair", unread=[(10 * MINUTE, 60 * MINUTE)], down=down))
    watched(scenario, Replica("b:9867", job="pair", unread=[(10 * MINUTE, 40 * MINUTE)]))
    # not long enough before it, whatever else fires
    watched(scenario, Replica("a:9867", job="late", unread=[(26 * MINUTE, 40 * MINUTE)], down=down))
    scenario.raw("ALERTS", {"alertname": "another_alert", "alertstate": "firing", "job": "late"}, 1)
    watched(scenario, Replica("a:9867", job="removed", unread=[(10 * MINUTE, 60 * MINUTE)], gone=30 * MINUTE))
    every = [_unreadable(job) for job in ("held", "well", "pair")]
    scenario.fires(29 * MINUTE, "log_unreadable", *every, _unreadable("removed"))
    scenario.fires(39 * MINUTE, "log_unreadable", *every)
    scenario.fires(49 * MINUTE, "log_unreadable", *every[:2])
    scenario.fires(59 * MINUTE, "log_unreadable", every[0])
    scenario.silent("log_unreadable", 60 * MINUTE, 90 * MINUTE)
    return scenario


def _log_of_two_replicas() -> Scenario:
    scenario = Scenario("is silent while one of two replicas reads the log", 40 * MINUTE, STEP)
    watched(scenario, Replica("a:9867", unread=[(5 * MINUTE, 30 * MINUTE)]))
    watched(scenario, Replica("b:9867", unread=[(15 * MINUTE, 30 * MINUTE)]))
    scenario.silent("log_unreadable", 14 * MINUTE, 20 * MINUTE, 30 * MINUTE)
    scenario.fires(25 * MINUTE, "log_unreadable", _unreadable())
    return scenario


def _table(collector: str, *instances: str, job: str = JOB) -> Expected:
    unread = f", not read by {' '.join(instances)}" if instances else ""
    said = f"The figures from {collector} are missing or old{unread}."
    labels = {"job": job, "collector": collector}
    return companion("table_unreadable", "warning", "A part of the figures cannot be read.", said, **labels)


def _table_unreadable() -> Scenario:
    scenario = Scenario(
        "names the table that is not read for a quarter of an hour, once for all replicas, while the log is read",
        60 * MINUTE,
        STEP,
    )
    spans = [(10 * MINUTE, 40 * MINUTE)]
    watched(scenario, Replica("a:9867", job="alone", no_budgets=spans))
    watched(scenario, Replica("a:9867", job="both", no_budgets=spans))
    watched(scenario, Replica("b:9867", job="both", no_budgets=spans))
    # one that cannot read the log cannot read the rest: that is one fact
    watched(scenario, Replica("a:9867", job="pair", unread=spans))
    watched(scenario, Replica("b:9867", job="pair"))
    # also where another replica cannot read the rest alone
    watched(scenario, Replica("a:9867", job="mixed", unread=spans))
    watched(scenario, Replica("b:9867", job="mixed", no_budgets=spans))
    # of a log that nobody reads another alert tells, and a scrape that succeeds every other minute is none
    watched(scenario, Replica("a:9867", job="blind", unread=spans))
    flickering = [(minute * MINUTE, (minute + 1) * MINUTE) for minute in range(0, 60, 2)]
    watched(scenario, Replica("a:9867", job="flickering", no_budgets=flickering))
    told = (
        _table("budgets", "a:9867", job="alone"),
        _table("budgets", "a:9867", "b:9867", job="both"),
        _table("log", "a:9867", job="pair"),
        _table("log", "a:9867", job="mixed"),
        _table("budgets", "a:9867", "b:9867", job="mixed"),
    )
    scenario.silent("table_unreadable", 9 * MINUTE, 26 * MINUTE, 40 * MINUTE, 60 * MINUTE)
    scenario.fires(27 * MINUTE, "table_unreadable", *told)
    scenario.fires(39 * MINUTE, "table_unreadable", *told)
    return scenario


def _table_unreadable_in_a_gap() -> Scenario:
    scenario = Scenario("holds a table that was not read over gaps, and knows when it is read again", 90 * MINUTE, STEP)
    outage, first = [(40 * MINUTE, 50 * MINUTE)], [(5 * MINUTE, 60 * MINUTE)]
    watched(scenario, Replica("a:9867", job="unread", no_budgets=first, unread=outage))
    watched(scenario, Replica("a:9867", job="down", no_budgets=first, down=outage))
    # one of two is gone for ten minutes, and only that one cannot read the table
    watched(scenario, Replica("a:9867", job="one", no_budgets=first, down=outage))
    watched(scenario, Replica("b:9867", job="one"))
    # read again in the outage, removed in it, and not long enough before it
    watched(scenario, Replica("a:9867", job="well", no_budgets=[(5 * MINUTE, 45 * MINUTE)], unread=outage))
    watched(scenario, Replica("a:9867", job="late", no_budgets=[(30 * MINUTE, 45 * MINUTE)], unread=outage))
    watched(scenario, Replica("a:9867", job="removed", no_budgets=first, gone=45 * MINUTE))
    # one that is down for longer than the others, and could read every table before
    longer = [(40 * MINUTE, 70 * MINUTE)]
    watched(scenario, Replica("a:9867", job="longer", down=longer))
    # what fires beside it is not what is held
    raw = {"alertname": "table_unreadable", "alertstate": "firing", "collector": "x", "job": "unread"}
    for other in ({"alertname": "another_alert"}, {"alertstate": "pending"}):
        for job in ("unread", "longer"):
            scenario.raw("ALERTS", {**raw, **other, "job": job}, 1)
    jobs = ("unread", "down", "one", "well")
    for minute in (39, 41):
        told = [_table("budgets", "a:9867", job=job) for job in jobs]
        scenario.fires(minute * MINUTE, "table_unreadable", *told, _table("budgets", "a:9867", job="removed"))
    told = [_table("budgets", "a:9867", job=job) for job in ("unread", "well")]
    scenario.fires(49 * MINUTE, "table_unreadable", *told, *(_table("budgets", job=job) for job in ("down", "one")))
    scenario.fires(59 * MINUTE, "table_unreadable", *(_table("budgets", "a:9867", job=job) for job in jobs[:3]))
    scenario.silent("table_unreadable", 60 * MINUTE, 90 * MINUTE)
    return scenario


def _stale(job: str = JOB) -> Expected:
    said = f"The exporters of {job} are still catching up with the log of operations."
    labels = {"job": job, "reason": "catching_up"}
    return companion("figures_stale", "warning", "Figures are not current.", said, **labels)


def _catching_up() -> Scenario:
    scenario = Scenario(
        "fires after a quarter of an hour of catching up, a scrape that fails or not", 60 * MINUTE, STEP
    )
    catching = [(10 * MINUTE, 40 * MINUTE)]
    watched(scenario, Replica("a:9867", catching_up=catching, unread=[(20 * MINUTE, 21 * MINUTE + 30)]))
    # more than three minutes of failures are another matter, and the quarter of an hour begins again
    longer = [(20 * MINUTE, 23 * MINUTE + 30)]
    watched(scenario, Replica("d:9867", job="longer", catching_up=catching, unread=longer, no_budgets=catching))
    watched(scenario, Replica("e:9867", job="log-alone", no_log=catching))
    # what cannot be read is another alert's
    watched(scenario, Replica("b:9867", job="unread", unread=catching))
    flickering = [(minute * MINUTE, (minute + 1) * MINUTE) for minute in range(0, 60, 2)]
    watched(scenario, Replica("c:9867", job="flickering", catching_up=flickering))
    scenario.silent("figures_stale", 9 * MINUTE, 26 * MINUTE, 40 * MINUTE, 60 * MINUTE)
    scenario.fires(27 * MINUTE, "figures_stale", _stale())
    scenario.fires(38 * MINUTE, "figures_stale", _stale())
    scenario.fires(39 * MINUTE, "figures_stale", _stale(), _stale("longer"))
    return scenario


def _catching_up_of_two_replicas() -> Scenario:
    scenario = Scenario("is silent while one of two replicas is current, and knows which can read", 80 * MINUTE, STEP)
    watched(scenario, Replica("a:9867", catching_up=[(5 * MINUTE, 50 * MINUTE)]))
    watched(scenario, Replica("b:9867", unread=[(25 * MINUTE, 50 * MINUTE)]))
    for instance in ("a:9867", "b:9867"):
        watched(scenario, Replica(instance, job="both", catching_up=[(60 * MINUTE, 90 * MINUTE)]))
    scenario.fires(77 * MINUTE, "figures_stale", _stale("both"))
    scenario.silent("figures_stale", 24 * MINUTE, 41 * MINUTE, 50 * MINUTE)
    scenario.fires(42 * MINUTE, "figures_stale", _stale())
    return scenario


def _catching_up_in_a_gap() -> Scenario:
    scenario = Scenario("holds what is not current over an outage, until one is", 90 * MINUTE, STEP)
    gaps: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("unread", 70, {"unread": [(40 * MINUTE, 50 * MINUTE)]}),
        ("down", 70, {"down": [(40 * MINUTE, 50 * MINUTE)]}),
        ("well", 45, {"unread": [(40 * MINUTE, 50 * MINUTE)]}),
        ("late", 45, {"unread": [(20 * MINUTE, 50 * MINUTE)]}),
    )
    for job, catching, gap in gaps:
        watched(scenario, Replica("a:9867", job=job, catching_up=[(10 * MINUTE, catching * MINUTE)], **gap))
    watched(scenario, Replica("a:9867", job="removed", catching_up=[(10 * MINUTE, 70 * MINUTE)], gone=40 * MINUTE))
    watched(scenario, Replica("a:9867", job="current"))
    # another reason is another alert
    others = {"alertname": "figures_stale", "alertstate": "firing", "reason": "state_not_written", "job": "late"}
    scenario.raw("ALERTS", others, 1)
    scenario.raw("ALERTS", {**others, "alertname": "another_alert", "reason": "catching_up"}, 1)
    scenario.fires(39 * MINUTE, "figures_stale", *(_stale(job) for job in ("unread", "down", "well", "removed")))
    scenario.fires(49 * MINUTE, "figures_stale", *(_stale(job) for job in ("unread", "down", "well")))
    scenario.fires(69 * MINUTE, "figures_stale", *(_stale(job) for job in ("unread", "down")))
    scenario.silent("figures_stale", 70 * MINUTE, 90 * MINUTE)
    return scenario


def _unwritten(job: str = JOB) -> Expected:
    said = "a:9867 cannot write its state, so that its counters stand still."
    labels = {"job": job, "instance": "a:9867", "reason": "state_not_written"}
    return companion("figures_stale", "critical", "Figures are not current.", said, **labels)


def _state_not_written_in_a_gap() -> Scenario:
    scenario = Scenario(
        "holds a state that was not written until the log has been read for ten minutes", 90 * MINUTE, STEP
    )
    failures = steps((0, 0), *((minute * MINUTE, minute - 9) for minute in range(10, 30)))
    gap = [(30 * MINUTE, 60 * MINUTE)]
    jobs: dict[str, dict[str, Any]] = {"unread": {"unread": gap}, "down": {"down": gap}, "well": {}}
    for job, gaps in jobs.items():
        replica = watched(scenario, Replica("a:9867", job=job, **gaps))
        scenario.show(replica, catalog.STATE_COMMIT_FAILURES, failures)
        # the other replica of the job can, and does
        scenario.show(watched(scenario, Replica("b:9867", job=job)), catalog.STATE_COMMIT_FAILURES, 0)
    watched(scenario, Replica("a:9867", job="removed", gone=30 * MINUTE))
    scenario.raw(
        catalog.STATE_COMMIT_FAILURES.name,
        {"job": "removed", "instance": "a:9867"},
        lambda second: failures(second) if second < 30 * MINUTE else None,
    )
    late = watched(scenario, Replica("a:9867", job="late", unread=gap))
    scenario.show(late, catalog.STATE_COMMIT_FAILURES, steps((0, 0), (29 * MINUTE, 1)))
    # what is firing beside it, where the log is not read, is not what is held
    quiet = watched(scenario, Replica("a:9867", job="quiet", unread=gap))
    scenario.show(quiet, catalog.STATE_COMMIT_FAILURES, 0)
    own = {"alertname": "figures_stale", "alertstate": "firing", "reason": "state_not_written"}
    own |= {"job": "quiet", "instance": "a:9867"}
    for other in ({"alertname": "another_alert"}, {"alertstate": "pending"}, {"reason": "another"}, {"job": "x"}):
        scenario.raw("ALERTS", {**own, **other}, 1)
    scenario.fires(29 * MINUTE, "figures_stale", *(_unwritten(job) for job in ("unread", "down", "well", "removed")))
    scenario.fires(
        38 * MINUTE, "figures_stale", *(_unwritten(job) for job in ("unread", "down", "well", "late", "removed"))
    )
    for minute in (41, 59, 69):
        scenario.fires(minute * MINUTE, "figures_stale", *(_unwritten(job) for job in ("unread", "down", "late")))
    scenario.silent("figures_stale", 71 * MINUTE, 90 * MINUTE)
    return scenario


def _state_not_written() -> Scenario:
    scenario = Scenario("fires for the replica that cannot write its state", 60 * MINUTE, STEP)
    for instance in ("a:9867", "b:9867"):
        replica = watched(scenario, Replica(instance))
        failing = instance == "a:9867"
        failures = steps((0, 0), *((minute * MINUTE, minute - 9) for minute in range(10, 20)))
        scenario.show(replica, catalog.STATE_COMMIT_FAILURES, failures if failing else 7)
    scenario.silent("figures_stale", 14 * MINUTE, 30 * MINUTE)
    scenario.fires(15 * MINUTE, "figures_stale", _unwritten())
    scenario.fires(28 * MINUTE, "figures_stale", _unwritten())
    return scenario


def _unusable(field: str, job: str = JOB) -> Expected:
    said = f"More than 1% of the past hour's rows have a {field} that cannot be used: calls, failures or spend"
    labels = {"job": job, "field": field}
    return companion("rows_unusable", "warning", "Rows of the log cannot be used.", f"{said} are too low.", **labels)


def _rows(scenario: Scenario, replica: Replica, calls: float, **skipped: Value) -> None:
    """An exporter that counts so many calls a minute, by two models, and skips values: `field_reason=…`."""
    for model in ("m1", "m2"):
        scenario.show(replica, catalog.OPERATIONS, _rising(calls / 2), operation="chat", model=model)
    for name, value in skipped.items():
        field, _, reason = name.rpartition("_")
        scenario.show(replica, catalog.ROWS_SKIPPED, value, field=field, reason=reason)


def _rising(per_minute: float, begin: int = 0) -> Value:
    return lambda second: per_minute * max(second - begin, 0) // MINUTE


def _rows_unusable() -> Scenario:
    scenario = Scenario("says which of its values rows lack, above one in a hundred", 4 * HOUR)
    # together, by both reasons, just over one in a hundred; or one exactly
    replica = watched(scenario, Replica("a:9867"))
    _rows(scenario, replica, 1000, status_null=_rising(6), status_unknown=_rising(5), cost_nan=_rising(10))
    exact = watched(scenario, Replica("a:9867", job="exact"))
    _rows(scenario, exact, 1000, status_unknown=_rising(10), status_null=0)
    # what other fields lack is not so bad, and what one field lacks is not another's
    others = watched(scenario, Replica("a:9867", job="others"))
    _rows(scenario, others, 1000, latency_nan=_rising(900), time_null=_rising(900), status_null=_rising(9))
    scenario.show(others, catalog.ROWS_SKIPPED, _rising(9), field="cost", reason="negative")
    cost = watched(scenario, Replica("a:9867", job="cost"))
    _rows(scenario, cost, 1000, cost_negative=_rising(6), cost_nan=_rising(5), status_null=_rising(9))
    # where no outcome is known, there are no calls
    none = watched(scenario, Replica("a:9867", job="none"))
    _rows(scenario, none, 0, status_unknown=_rising(3))
    # an hour is looked at, and no more
    once = watched(scenario, Replica("a:9867", job="once"))
    _rows(scenario, once, 100, status_unknown=steps((0, 0), (90 * MINUTE, 200)))
    firing = [_unusable("status"), _unusable("status", "none"), _unusable("cost", "cost")]
    scenario.silent("rows_unusable", 3 * MINUTE)
    scenario.fires(80 * MINUTE, "rows_unusable", *firing)
    scenario.fires(94 * MINUTE, "rows_unusable", *firing)
    scenario.fires(95 * MINUTE, "rows_unusable", *firing, _unusable("status", "once"))
    scenario.fires(148 * MINUTE, "rows_unusable", *firing, _unusable("status", "once"))
    scenario.fires(150 * MINUTE, "rows_unusable", *firing)
    return scenario


def _rows_unusable_of_two_replicas() -> Scenario:
    scenario = Scenario("says once for all replicas that rows cannot be used", 2 * HOUR)
    # each counts all rows: the share is that of one
    for instance, unknown in (("a:9867", 30), ("b:9867", 30), ("c:9867", 1)):
        replica = watched(scenario, Replica(instance))
        _rows(scenario, replica, 1000, status_unknown=_rising(unknown))
    for instance in ("a:9867", "b:9867"):
        replica = watched(scenario, Replica(instance, job="well"))
        _rows(scenario, replica, 1000, status_unknown=_rising(9))
    scenario.fires(80 * MINUTE, "rows_unusable", _unusable("status"))
    return scenario


def _without_limit(name: str, spent: str, job: str = JOB, ends: int = DAY, called: str = "") -> Expected:
    return expected(
        {"severity": "info", "job": job, "user": name},
        summary="A user spends without a daily limit.",
        description=f"User {called or name} has spent {spent} today and has no daily limit.",
        value=spent,
        budget_day_ends=str(ends),
        **links("user_without_limit", "ai-health"),
    )


def _user_without_limit() -> Scenario:
    scenario = Scenario("names users who spend without a limit while others have one, from the first cent", 60 * MINUTE)
    replica = watched(scenario, Replica(no_budgets=[(40 * MINUTE, 50 * MINUTE)]))
    user(scenario, replica, "alice", 5, 10)
    user(scenario, replica, "bob", steps((0, 0), (5 * MINUTE, 0.0042)), steps((0, None), (30 * MINUTE, 10)))
    user(scenario, replica, "carol", steps((0, 0), (20 * MINUTE, 7)))
    user(scenario, replica, "other", 50)
    user(scenario, replica, "another", 0)
    user(scenario, replica, "unattributed", 60)
    users(scenario, replica, ok=1, unlimited=1)
    called(scenario, replica, "carol", "Carol C.")
    bob, carol = _without_limit("bob", "$0.0042"), _without_limit("carol", "$7.00", called="Carol C.")
    scenario.silent("user_without_limit", 19 * MINUTE, 30 * MINUTE, 34 * MINUTE)
    scenario.fires(20 * MINUTE, "user_without_limit", bob)
    scenario.fires(29 * MINUTE, "user_without_limit", bob)
    # also while only the table of budgets fails
    for minute in (35, 45, 50):
        scenario.fires(minute * MINUTE, "user_without_limit", carol)
    return scenario


def _nobody_has_a_limit() -> Scenario:
    scenario = Scenario("is silent where no user has a limit, and where budgets are not known", 40 * MINUTE)
    nobody = watched(scenario, Replica("a:9867", job="nobody"))
    users(scenario, nobody, unlimited=5)
    failing = watched(scenario, Replica("b:9867", job="failing", no_budgets=[(0, 40 * MINUTE)]))
    users(scenario, failing, ok=5)
    unknown = watched(scenario, Replica("c:9867", job="unknown"))
    for replica in (nobody, failing, unknown):
        user(scenario, replica, "bob", 5)
    scenario.silent("user_without_limit", 16 * MINUTE, 40 * MINUTE)
    return scenario


def _user_without_limit_replicas() -> Scenario:
    scenario = Scenario(
        "asks only replicas that know the budgets, and takes a limit that any of them knows", 40 * MINUTE
    )
    knows = watched(scenario, Replica("a:9867"))
    failing = watched(scenario, Replica("b:9867", no_budgets=[(0, 40 * MINUTE)]))
    behind = watched(scenario, Replica("c:9867"))
    users(scenario, knows, ok=2)
    users(scenario, behind)
    user(scenario, failing, "only-shown-there", 5)
    user(scenario, knows, "alice", 5, 10)
    user(scenario, behind, "alice", 5)
    user(scenario, knows, "bob", 5)
    user(scenario, behind, "bob", 4)
    scenario.fires(16 * MINUTE, "user_without_limit", _without_limit("bob", "$5.00"))
    return scenario


def _user_without_limit_jobs() -> Scenario:
    scenario = Scenario("keeps jobs apart: the limits of one are none of the other's", 40 * MINUTE)
    first, second = (watched(scenario, Replica("a:9867", job=job)) for job in ("first", "second"))
    third = watched(scenario, Replica("a:9867", job="third", no_budgets=[(20 * MINUTE, 40 * MINUTE)]))
    fourth = watched(scenario, Replica("a:9867", job="fourth"))
    user(scenario, first, "bob", 5, 10)
    for replica in (second, third, fourth):
        user(scenario, replica, "bob", 5)
    users(scenario, first, ok=1)
    users(scenario, second, ok=1, unlimited=1)
    users(scenario, third, ok=1)
    # of the third the budgets are known, by a replica that does not show bob
    users(scenario, watched(scenario, Replica("b:9867", job="third")), ok=1)
    users(scenario, fourth, unlimited=1)
    second_s, third_s = (_without_limit("bob", "$5.00", job=job) for job in ("second", "third"))
    scenario.fires(16 * MINUTE, "user_without_limit", second_s, third_s)
    scenario.fires(21 * MINUTE, "user_without_limit", second_s)
    return scenario


def _user_without_limit_in_a_gap() -> Scenario:
    scenario = Scenario(
        "holds users without a limit over an outage of six minutes, and follows what is read then", 70 * MINUTE
    )
    span = [(30 * MINUTE, 36 * MINUTE)]
    gaps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("unread", {"unread": span}),
        ("down", {"down": span}),
        ("behind", {"catching_up": span}),
        ("budgets", {"no_budgets": span}),
    )
    for job, gap in gaps:
        replica = watched(scenario, Replica("a:9867", job=job, **gap))
        user(scenario, replica, "bob", 5)
        user(scenario, replica, "carol", 7, steps((0, None), (33 * MINUTE, 10)))
        users(scenario, replica, ok=1)
    # and holds nobody who had gone before
    user(scenario, replica, "dave", steps((0, 7), (20 * MINUTE, 0)))
    jobs = ("unread", "down", "behind", "budgets")
    bobs = [_without_limit("bob", "$5.00", job) for job in jobs]
    carols = [_without_limit("carol", "$7.00", job) for job in jobs]
    for minute in (29, 30, 32, 35):
        scenario.fires(minute * MINUTE, "user_without_limit", *bobs, *carols)
    for minute in (36, 70):
        scenario.fires(minute * MINUTE, "user_without_limit", *bobs)
    return scenario


def _user_without_limit_over_midnight() -> Scenario:
    scenario = Scenario("lets go of users without a limit when the day ends, in an outage too", 150 * MINUTE)
    spans = [(100 * MINUTE, 130 * MINUTE)]
    gaps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("unread", {"unread": spans}),
        ("budgets", {"no_budgets": spans}),
        ("dead", {"down": [(118 * MINUTE, DAY)]}),
        # another one of its job reads on
        ("pair", {"down": [(118 * MINUTE, DAY)]}),
    )
    for job, gap in gaps:
        replica = watched(scenario, Replica("a:9867", job=job, lingers=job in ("dead", "pair"), **gap), *ZONE)
        user(scenario, replica, "bob", steps((0, 5), (2 * HOUR, 0)))
        users(scenario, replica, ok=1)
    users(scenario, watched(scenario, Replica("b:9867", job="pair"), *ZONE), ok=1)
    # the day of another job goes on
    replica = watched(scenario, Replica("a:9867", job="later", unread=spans))
    user(scenario, replica, "bob", 5)
    users(scenario, replica, ok=1)
    later = _without_limit("bob", "$5.00", "later")
    bobs = [_without_limit("bob", "$5.00", job, 2 * HOUR) for job in ("unread", "budgets", "dead", "pair")]
    scenario.fires(119 * MINUTE, "user_without_limit", *bobs, later)
    for minute in (120, 122, 129, 150):
        scenario.fires(minute * MINUTE, "user_without_limit", later)
    return scenario


def _counter(scenario: Scenario, name: str, changes: Value, **labels: str) -> None:
    scenario.raw(name, labels, changes)


def _alertmanager(scenario: Scenario, instance: str, failed: Value, sent: Value, **more: str) -> None:
    """What one of a cluster has tried to send to Discord, and what of it was refused."""
    labels = {"job": "alertmanager", "instance": instance, "integration": "discord", **more}
    _counter(scenario, "alertmanager_notifications_failed_total", failed, **labels, reason="clientError")
    _counter(scenario, "alertmanager_notifications_failed_total", 9, **labels, reason="other")
    _counter(scenario, "alertmanager_notifications_total", sent, **labels)


def _undelivered(job: str = "alertmanager", integration: str = "discord", receiver: str = "") -> Expected:
    to = f" to {receiver}" if receiver else ""
    return companion(
        "notifications_failing",
        "critical",
        "Notifications do not arrive.",
        f"Alertmanager could not deliver by {integration}{to}, and nothing has been delivered since.",
        job=job,
        integration=integration,
        **({"receiver_name": receiver} if receiver else {}),
    )


def _notifications() -> Scenario:
    scenario = Scenario(
        "fires when nothing is delivered for six minutes after a message was refused", 60 * MINUTE, STEP
    )
    # a critical message is tried every minute, and by either of two; others arrive elsewhere
    tries = steps(*((minute * MINUTE, minute - 19) for minute in range(20, 40)))
    _alertmanager(scenario, "a:9093", lambda s: 3 + (tries(s) or 0), lambda s: 50 + (tries(s) or 0))
    _alertmanager(scenario, "b:9093", 7, 7)
    _alertmanager(scenario, "a:9093", 3, lambda second: second // MINUTE, integration="webhook")
    _alertmanager(scenario, "c:9093", 3, lambda second: second // MINUTE, job="another")
    # a milder one every five minutes
    mild = steps(*((minute * MINUTE, minute // 5 - 3) for minute in range(20, 40, 5)))
    _alertmanager(scenario, "a:9093", lambda s: mild(s) or 0, lambda s: mild(s) or 0, job="mild")
    both = _undelivered(), _undelivered("mild")
    scenario.silent("notifications_failing", 19 * MINUTE, 25 * MINUTE)
    for minute in (26, 39):
        scenario.fires(minute * MINUTE, "notifications_failing", *both)
    scenario.fires(44 * MINUTE, "notifications_failing", both[0])
    scenario.silent("notifications_failing", 46 * MINUTE)
    return scenario


def _one_channel_of_two() -> Scenario:
    scenario = Scenario("fires for the channel that refuses, though another one accepts", 60 * MINUTE)
    every = steps((0, 0), *((minute * MINUTE, minute - 19) for minute in range(20, 50)))
    for receiver, failed in (("ops", every), ("oncall", 0), ("test:ops", every), ("test:oncall", 0)):
        _alertmanager(scenario, "a:9093", failed, every, receiver_name=receiver)
    # a test that was accepted makes no message good, and one that was refused is no message
    _alertmanager(scenario, "a:9093", every, every, receiver_name="lost", job="tested")
    _alertmanager(scenario, "a:9093", 0, every, receiver_name="test:lost", job="tested")
    _alertmanager(scenario, "a:9093", every, every, receiver_name="test:fine", job="tested")
    # two of a cluster: both are refused, one of them is, and each is now and then
    few = steps((0, 0), *((minute * MINUTE, (minute - 17) // 3) for minute in range(20, 50)))
    for job, a, b in (("both", every, every), ("one", every, 0), ("few", few, few)):
        _alertmanager(scenario, "a:9093", a, every, receiver_name="ops", job=job)
        _alertmanager(scenario, "b:9093", b, every, receiver_name="ops", job=job)
    scenario.silent("notifications_failing", 25 * MINUTE)
    lost = _undelivered(receiver="ops"), _undelivered("tested", receiver="lost"), _undelivered("both", receiver="ops")
    for minute in (27, 45):
        scenario.fires(minute * MINUTE, "notifications_failing", *lost)
    return scenario


def _notifications_made_good() -> Scenario:
    scenario = Scenario("is silent about a message that was refused and then accepted", 60 * MINUTE, STEP)
    for job, again in (("critical", 21), ("warning", 25)):
        failed = steps((0, 3), (20 * MINUTE, 4))
        sent = steps((0, 3), (20 * MINUTE, 4), (again * MINUTE, 5))
        _alertmanager(scenario, "a:9093", failed, sent, job=job)
    # refused, accepted, and then refused for good
    failed = steps((0, 9), *((minute * MINUTE, minute - 20) for minute in range(30, 50)))
    sent = steps((0, 9), (26 * MINUTE, 10), *((minute * MINUTE, minute - 19) for minute in range(30, 50)))
    _alertmanager(scenario, "a:9093", failed, sent, job="later")
    # a storm of which some are refused, and all that goes another way, by either of two, is refused
    some = steps((0, 0), *((minute * MINUTE, (minute - 17) // 3) for minute in range(20, 50)))
    every = steps((0, 0), *((minute * MINUTE, minute - 19) for minute in range(20, 50)))
    _alertmanager(scenario, "a:9093", some, every, job="storm")
    _alertmanager(scenario, "b:9093", some, some, job="storm")
    _alertmanager(scenario, "a:9093", some, some, job="storm", integration="webhook")
    webhook = _undelivered("storm", "webhook")
    scenario.silent("notifications_failing", *(minute * MINUTE for minute in range(20, 26)))
    for minute in (27, 35):
        scenario.fires(minute * MINUTE, "notifications_failing", webhook)
    scenario.fires(40 * MINUTE, "notifications_failing", _undelivered("later"), webhook)
    return scenario


def _rules_failing() -> Scenario:
    scenario = Scenario(
        "fires for a quarter of an hour when rules of a group could not be evaluated", 60 * MINUTE, STEP
    )
    for instance, failed in (("a:9090", 1), ("b:9090", 0)):
        for group in ("/rules.yml;ai-operations", "/rules.yml;other"):
            labels = {"job": "prometheus", "instance": instance, "rule_group": group}
            more = failed if group.endswith("ai-operations") else 0
            _counter(
                scenario, "prometheus_rule_evaluation_failures_total", steps((0, 3), (20 * MINUTE, 3 + more)), **labels
            )
    said = companion(
        "rules_failing",
        "critical",
        "Rules cannot be evaluated.",
        "Rules of /rules.yml;ai-operations failed within the last quarter of an hour: their alerts are silent.",
        job="prometheus",
        rule_group="/rules.yml;ai-operations",
    )
    scenario.silent("rules_failing", 19 * MINUTE, 36 * MINUTE)
    scenario.fires(20 * MINUTE, "rules_failing", said)
    scenario.fires(34 * MINUTE, "rules_failing", said)
    return scenario


def _watchdog() -> Scenario:
    scenario = Scenario("always fires, also where nothing else is known", 10 * MINUTE)
    scenario.raw("up", {"job": "something-else", "instance": "c:9867"}, 0)
    said = companion(
        "watchdog",
        "none",
        "Alerting works.",
        "This alert always fires. Whoever expects it knows by its absence that alerting does not work.",
    )
    for minute in (0, 10):
        scenario.fires(minute * MINUTE, "watchdog", said)
    return scenario
