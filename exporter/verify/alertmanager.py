"""Alertmanager: it runs, its configuration sends to Discord, and a test alert is delivered."""

import contextlib
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import yaml

from exporter.alerting import TEST_ALERT, TEST_RECEIVER, TRY_SECONDS
from exporter.findings import Finding, Level, fail, ok, skipped
from exporter.humanize import listing
from exporter.verify import delivery
from exporter.verify.built import ROUTING_AS_BUILT, RULES_AS_BUILT, Built, evaluate_routing
from exporter.verify.delivery import TEST
from exporter.verify.exporter import parse
from exporter.verify.web import Part, UnansweredError, first_line

ALERTMANAGER, RECEIVERS = "alertmanager", "receivers"
_POLL_SECONDS = 0.5
_GIVE_UP_SECONDS = 2.0
_PEER_SECONDS = 15.0  # Alertmanager's --cluster.peer-timeout


def check_alertmanager(part: Part, built: Built | Finding) -> list[Finding]:
    """Whether it is ready, where it sends to, and whether it runs what is built."""
    try:
        part.text("/-/ready")
        status = part.json("/api/v2/status")
        version, text = status["versionInfo"]["version"], status["config"]["original"]
    except (UnansweredError, KeyError, TypeError) as error:
        return [fail(ALERTMANAGER, str(error), "start it, or name its address: --alertmanager-url")]
    return [
        ok(ALERTMANAGER, f"{part.url} is ready, version {version}"),
        evaluate_receivers(text),
        skipped(ROUTING_AS_BUILT, RULES_AS_BUILT) if isinstance(built, Finding) else evaluate_routing(built, text),
    ]


def evaluate_receivers(text: str) -> Finding:
    """Whether the loaded configuration (YAML, secrets masked) has a receiver that sends to Discord."""
    hint = "start Alertmanager with alert_rules/generated/alertmanager.yml"
    config = yaml.safe_load(text)
    receivers = config.get("receivers") if isinstance(config, Mapping) else None
    names = [str(each["name"]) for each in receivers or () if each.get("discord_configs")]
    names = [name for name in names if not name.startswith(TEST_RECEIVER)]
    if not names:
        return fail(RECEIVERS, "none of its receivers sends to Discord", hint)
    return ok(RECEIVERS, f"to Discord: {listing(names)}")


def not_asked_for() -> Finding:
    """No test alert is sent unless it is asked for: people would see it."""
    return Finding(TEST, Level.SKIPPED, "not sent; --send-test-alert sends one")


def send_test_alert(part: Part, seconds: float) -> list[Finding]:
    """Give Alertmanager a test alert for each channel, and follow them until their messages are accepted, or not.

    The alerts end by themselves before Alertmanager would try a second time, or as soon as every finding is known.
    Their end sends no message. While a message may still be under way, another command sees its alert.
    """
    try:
        status = part.json("/api/v2/status")
        tested = tuple(delivery.channels(yaml.safe_load(status["config"]["original"])))
        if not tested:
            return [delivery.no_route()]
        # each member of a cluster waits for those before it
        wait = _PEER_SECONDS * max(0, len(status.get("cluster", {}).get("peers") or ()) - 1)
        run = delivery.Run(uuid.uuid4().hex[:12], tested, wait, _before(part, seconds))
        _post(part, run, timedelta(seconds=TRY_SECONDS - 1 + wait))
        return _follow(part, run, seconds + wait)
    except UnansweredError as error:
        return [fail(TEST, str(error), "start Alertmanager, and run this again")]
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        found = f"{part.url} does not answer as Alertmanager does"
        return [fail(TEST, found, "name Alertmanager's own address: --alertmanager-url")]


def _before(part: Part, seconds: float) -> delivery.Look:
    """A look at a moment when no other command tests, waited for at most so many seconds."""
    until = time.monotonic() + seconds
    look = _look(part, 0)
    if look.alerts:
        while look.alerts and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            look = _look(part, 0)
        # Alertmanager gives up a second after the alert has ended
        time.sleep(_GIVE_UP_SECONDS)
        look = _look(part, 0)
    return look


def _follow(part: Part, run: delivery.Run, seconds: float) -> list[Finding]:
    began = time.monotonic()
    said: dict[delivery.Channel, Finding] = {}
    earlier: dict[delivery.Channel, Finding | None] = {}
    others = {channel: frozenset[str]() for channel in run.tested}
    while True:
        now = _look(part, time.monotonic() - began)
        for channel in run.tested:
            others[channel] |= now.runs(channel) - run.before.runs(channel) - {run.id}
            found = delivery.judge(run, channel, now, len(others[channel]))
            # Alertmanager counts a request before its refusal: a finding counts only when two looks agree
            if found and (last := earlier.get(channel)) and found.level is last.level:
                said.setdefault(channel, found)
            earlier[channel] = found
        if len(said) == len(run.tested):
            with contextlib.suppress(UnansweredError):
                _post(part, run, timedelta())
            break
        if now.taken >= seconds:
            break
        time.sleep(_POLL_SECONDS)
    return [said.get(channel) or delivery.evaluate_late(run, channel, now) for channel in run.tested]


def _look(part: Part, taken: float) -> delivery.Look:
    # The counts first: a test that is not listed afterwards is in none of them.
    samples = parse(part.text("/metrics"))
    groups = part.json("/api/v2/alerts/groups", {"filter": f'alertname="{TEST_ALERT}"'})
    # An alert is listed for each receiver, and muted for some of them: first as its own receiver has it.
    groups.sort(key=lambda group: not group["receiver"]["name"].startswith(TEST_RECEIVER))
    return delivery.Look(taken, samples, [alert for group in groups for alert in group["alerts"]])


def _post(part: Part, run: delivery.Run, lasts: timedelta) -> None:
    now = datetime.now(UTC)
    alerts = [delivery.alert(channel.name, run.id, now, lasts) for channel in run.tested]
    page = part.page("/api/v2/alerts", body=alerts)
    if page.status != 200:
        raise UnansweredError(f"Alertmanager does not take the alert ({page.status}): {first_line(page.text)}")
