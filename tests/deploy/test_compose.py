"""The whole system as docker-compose.yml puts it together: every part up, every alert told, and every loss noticed."""

from collections.abc import Callable, Iterator

import pytest

from exporter.demo.profiles import BUSIEST_USER
from exporter.verify.prometheus import JOBS
from tests.support.compose import Stack, Verdict, demo_stack
from tests.support.docker import Image
from tests.support.programs import wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("compose")]

INSERT = (
    "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens,"
    " cost_usd, latency_ms, success, error_message, created_at)"
    " SELECT 'email-compose', 'email-compose', 'claude-opus-4.5', %s, 10, 5, 5.5, 130000, false, 'request timed out',"
    " now() AT TIME ZONE 'UTC' FROM generate_series(1, 40)"
)

# What `verify` says fails when a part is stopped, and the alert that tells of it, if one does.
STOPPED = {
    "exporter": ({"exporter", "target ai-operation-exporter", "API"}, "exporter_down"),
    "postgres": ({"database", "log read", "server metrics"}, "log_unreadable"),
    "prometheus": ({"prometheus"}, None),
    "alertmanager": ({"alertmanager", "target alertmanager"}, None),
    "postgres-exporter": ({"target postgres"}, None),
    "blackbox-exporter": ({"target blackbox", "target blackbox-exporter"}, None),
}


@pytest.fixture(scope="module")
def stack(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with demo_stack(image, tmp_path_factory.mktemp("stack")) as running:
        yield running


def green(stack: Stack) -> Verdict:
    """Wait until `verify` has nothing to say against it."""
    seen: list[Verdict] = []

    def passes() -> bool:
        seen.append(stack.verify())
        return seen[-1].code == 0

    try:
        wait_for(passes, 90)
    except AssertionError:
        raise AssertionError(seen[-1].text) from None
    return seen[-1]


def test_every_part_is_up_and_verify_is_green(stack: Stack, report_figure: Callable[[str], None]) -> None:
    # at once, as the guide has it: `verify` waits for the first scrapes by itself
    verdict = stack.verify()
    report_figure(verdict.text)
    assert verdict.failed == set()
    assert verdict.code == 0
    for job in JOBS:
        assert (f"target {job} " in verdict.text) == (job != "grafana"), job
    assert "off by 0.0" in verdict.text
    assert "all 9 report" in verdict.text
    assert "grafana                       skipped" in verdict.text
    down = stack.prometheus.query("up != 1")
    assert not down


def test_the_five_alerts_arrive_at_discord(stack: Stack) -> None:
    green(stack)
    with stack.connect() as log:
        log.execute(INSERT, (BUSIEST_USER,))
    stack.wait_for_the_five()


def test_a_test_alert_reaches_discord(stack: Stack) -> None:
    verdict = stack.verify("--send-test-alert")
    assert verdict.failed == set(), verdict.text
    wait_for(lambda: "A test: alerts reach this channel." in stack.messages())


@pytest.mark.parametrize("part", STOPPED)
def test_verify_and_the_alerts_say_which_part_is_lost(stack: Stack, part: str) -> None:
    failing, alert = STOPPED[part]
    green(stack)
    before = stack.messages().count(alert) if alert else 0
    stack.compose("stop", "--timeout", "5", part)
    try:
        last: list[Verdict] = []

        def said() -> bool:
            last[:] = [stack.verify()]
            return last[0].failed == failing

        try:
            wait_for(said, 60)
        except AssertionError:
            raise AssertionError(f"expected {failing}: {last[0].text}") from None
        assert last[0].code == 1
        if alert:
            wait_for(lambda: stack.messages().count(alert) > before, 60)
    finally:
        stack.compose("start", part)


def test_a_test_alert_that_does_not_arrive_is_said(stack: Stack) -> None:
    green(stack)
    stack.compose("stop", "--timeout", "5", "discord-receiver")
    try:
        verdict = stack.verify("--send-test-alert")
    finally:
        stack.compose("start", "discord-receiver")
    assert verdict.failed == {"test alert"}, verdict.text
    assert verdict.code == 1
