"""The companions: on the exporter, on the notifications, and on the rules themselves."""

from collections.abc import Iterator

from exporter import catalog
from tests.alerts.cases.common import user, users, watched
from tests.alerts.cases.said import Expected, companion, expected, links
from tests.alerts.scenario import JOB, MINUTE, Replica, Scenario, Value, steps


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _exporter_down()
    yield _one_exporter_down()
    yield _no_exporter()
    yield _log_unreadable()
    yield _log_of_two_replicas()
    yield _table_unreadable()
    yield _catching_up()
    yield _catching_up_of_two_replicas()
    yield _state_not_written()
    yield _user_without_limit()
    yield _nobody_has_a_limit()
    yield _user_without_limit_replicas()
    yield _user_without_limit_jobs()
    yield _notifications()
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
    said = f"No exporter of {job} can read the log of operations: alerts hold what they last knew."
    return companion("log_unreadable", "critical", "The log of operations cannot be read.", said, job=job)


def _log_unreadable() -> Scenario:
    scenario = Scenario(
        "fires when the log cannot be read for some minutes, and not for failures that come and go", 60 * MINUTE
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


def _log_of_two_replicas() -> Scenario:
    scenario = Scenario("is silent while one of two replicas reads the log", 40 * MINUTE)
    watched(scenario, Replica("a:9867", unread=[(5 * MINUTE, 30 * MINUTE)]))
    watched(scenario, Replica("b:9867", unread=[(15 * MINUTE, 30 * MINUTE)]))
    scenario.silent("log_unreadable", 14 * MINUTE, 20 * MINUTE, 30 * MINUTE)
    scenario.fires(25 * MINUTE, "log_unreadable", _unreadable())
    return scenario


def _table(instance: str, collector: str, job: str = JOB) -> Expected:
    said = f"{instance} cannot read its {collector}, while the log of operations is read."
    labels = {"job": job, "instance": instance, "collector": collector}
    return companion("table_unreadable", "warning", "A part of the figures cannot be read.", said, **labels)


def _table_unreadable() -> Scenario:
    scenario = Scenario(
        "names the table that one replica cannot read for a quarter of an hour, while the log is read", 60 * MINUTE
    )
    spans = [(10 * MINUTE, 40 * MINUTE)]
    watched(scenario, Replica("a:9867", job="alone", no_budgets=spans))
    watched(scenario, Replica("a:9867", job="pair", unread=spans))
    watched(scenario, Replica("b:9867", job="pair"))
    # of a log that nobody reads another alert tells, and a scrape that succeeds every other minute is none
    watched(scenario, Replica("a:9867", job="blind", unread=spans))
    flickering = [(minute * MINUTE, (minute + 1) * MINUTE) for minute in range(0, 60, 2)]
    watched(scenario, Replica("a:9867", job="flickering", no_budgets=flickering))
    told = (
        _table("a:9867", "budgets", "alone"),
        _table("a:9867", "log", "pair"),
        _table("a:9867", "budgets", "pair"),
    )
    scenario.silent("table_unreadable", 9 * MINUTE, 26 * MINUTE, 40 * MINUTE, 60 * MINUTE)
    scenario.fires(27 * MINUTE, "table_unreadable", *told)
    scenario.fires(39 * MINUTE, "table_unreadable", *told)
    return scenario


def _stale(job: str = JOB) -> Expected:
    said = f"The exporters of {job} are still catching up with the log of operations."
    labels = {"job": job, "reason": "catching_up"}
    return companion("figures_stale", "warning", "Figures are not current.", said, **labels)


def _catching_up() -> Scenario:
    scenario = Scenario("fires after a quarter of an hour of catching up, a scrape that fails or not", 60 * MINUTE)
    catching = [(10 * MINUTE, 40 * MINUTE)]
    watched(scenario, Replica("a:9867", catching_up=catching, unread=[(20 * MINUTE, 22 * MINUTE)]))
    # four minutes of failures are another matter, and the quarter of an hour begins again
    longer = [(20 * MINUTE, 24 * MINUTE)]
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
    scenario = Scenario("is silent while one of two replicas is current, and knows which can read", 80 * MINUTE)
    watched(scenario, Replica("a:9867", catching_up=[(5 * MINUTE, 50 * MINUTE)]))
    watched(scenario, Replica("b:9867", unread=[(25 * MINUTE, 50 * MINUTE)]))
    for instance in ("a:9867", "b:9867"):
        watched(scenario, Replica(instance, job="both", catching_up=[(60 * MINUTE, 90 * MINUTE)]))
    scenario.fires(77 * MINUTE, "figures_stale", _stale("both"))
    scenario.silent("figures_stale", 24 * MINUTE, 41 * MINUTE, 50 * MINUTE)
    scenario.fires(42 * MINUTE, "figures_stale", _stale())
    return scenario


def _state_not_written() -> Scenario:
    scenario = Scenario("fires for the replica that cannot write its state", 60 * MINUTE)
    for instance in ("a:9867", "b:9867"):
        replica = watched(scenario, Replica(instance))
        failing = instance == "a:9867"
        failures = steps((0, 0), *((minute * MINUTE, minute - 9) for minute in range(10, 20)))
        scenario.show(replica, catalog.STATE_COMMIT_FAILURES, failures if failing else 7)
    said = companion(
        "figures_stale",
        "critical",
        "Figures are not current.",
        "a:9867 cannot write its state, so that its counters stand still.",
        job=JOB,
        instance="a:9867",
        reason="state_not_written",
    )
    scenario.silent("figures_stale", 14 * MINUTE, 30 * MINUTE)
    scenario.fires(15 * MINUTE, "figures_stale", said)
    scenario.fires(28 * MINUTE, "figures_stale", said)
    return scenario


def _without_limit(name: str, spent: str, job: str = JOB) -> Expected:
    return expected(
        {"severity": "info", "job": job, "user": name},
        summary="A user spends without a daily limit.",
        description=f"User {name} has spent {spent} today and has no daily limit.",
        value=spent,
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
    bob, carol = _without_limit("bob", "$0.0042"), _without_limit("carol", "$7.00")
    scenario.silent("user_without_limit", 19 * MINUTE, 30 * MINUTE, 34 * MINUTE, 45 * MINUTE)
    scenario.fires(20 * MINUTE, "user_without_limit", bob)
    scenario.fires(29 * MINUTE, "user_without_limit", bob)
    scenario.fires(35 * MINUTE, "user_without_limit", carol)
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


def _counter(scenario: Scenario, name: str, changes: Value, **labels: str) -> None:
    scenario.raw(name, labels, changes)


def _notifications() -> Scenario:
    scenario = Scenario("fires for a quarter of an hour when a notification was not delivered", 60 * MINUTE)
    name = "alertmanager_notifications_failed_total"
    # two of a cluster, the one that failed being either; and failures of long ago
    for instance, failed in (("a:9093", 1), ("b:9093", 0)):
        labels = {"job": "alertmanager", "instance": instance, "integration": "discord"}
        _counter(scenario, name, steps((0, 3), (20 * MINUTE, 3 + failed)), **labels, reason="rateLimited")
        _counter(scenario, name, 0, **labels, reason="other")
        _counter(scenario, name, 9, **{**labels, "integration": "webhook"}, reason="other")
    said = companion(
        "notifications_failing",
        "critical",
        "Notifications do not arrive.",
        "Alertmanager could not deliver by discord within the last quarter of an hour.",
        job="alertmanager",
        integration="discord",
    )
    scenario.silent("notifications_failing", 19 * MINUTE, 36 * MINUTE)
    scenario.fires(20 * MINUTE, "notifications_failing", said)
    scenario.fires(34 * MINUTE, "notifications_failing", said)
    return scenario


def _rules_failing() -> Scenario:
    scenario = Scenario("fires for a quarter of an hour when rules of a group could not be evaluated", 60 * MINUTE)
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
