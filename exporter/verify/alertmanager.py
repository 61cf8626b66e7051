"""Check Alertmanager: it runs, its configuration sends to Discord, and it delivers a test alert."""

import contextlib
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import yaml

from exporter.alerting import TEST_ALERT, TEST_RECEIVER, TRY_SECONDS
from exporter.findings import Finding, fail, ok, skipped
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
    """Check that it is ready, where it sends to, and that its configuration is up to date."""
    try:
        part.text("/-/ready")
        status = part.json("/api/v2/status")
        version, text = status["versionInfo"]["version"], status["config"]["original"]
    except (UnansweredError, KeyError, TypeError) as error:
        return [fail(ALERTMANAGER, str(error), "start it, or set its address: --alertmanager-url")]
    return [
        ok(ALERTMANAGER, f"{part.url} is ready, version {version}"),
        evaluate_receivers(text),
        skipped(ROUTING_AS_BUILT, RULES_AS_BUILT) if isinstance(built, Finding) else evaluate_routing(built, text),
    ]


def evaluate_receivers(text: str) -> Finding:
    """Evaluate whether the loaded configuration (YAML, secrets masked) has a receiver that sends to Discord."""
    hint = "start Alertmanager with alert_rules/generated/alertmanager.yml"
    config = yaml.safe_load(text)
    receivers = config.get("receivers") if isinstance(config, Mapping) else None
    names = [str(each["name"]) for each in receivers or () if each.get("discord_configs")]
    names = [name for name in names if not name.startswith(TEST_RECEIVER)]
    if not names:
        return fail(RECEIVERS, "none of its receivers sends to Discord", hint)
    return ok(RECEIVERS, f"to Discord: {listing(names)}")


def send_test_alert(part: Part, seconds: float) -> list[Finding]:
    """Send Alertmanager a test alert for each channel, and follow the alerts until the channels accept or refuse them.

    The alerts end before Alertmanager would try again, or as soon as every finding is known. Their end sends no
    message. As long as a message may be in transit, another command sees its alert.
    """
    try:
        status = part.json("/api/v2/status")
        tested = tuple(delivery.channels(yaml.safe_load(status["config"]["original"])))
        if not tested:
            return [delivery.no_route()]
        # each member of a cluster waits for the members before it
        wait = _PEER_SECONDS * max(0, len(status.get("cluster", {}).get("peers") or ()) - 1)
        run = delivery.Run(uuid.uuid4().hex[:12], tested, wait, _before(part, seconds))
        _post(part, run, timedelta(seconds=TRY_SECONDS - 1 + wait))
        return _follow(part, run, seconds + wait)
    except UnansweredError as error:
        return [fail(TEST, str(error), "start Alertmanager, and try again")]
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        found = f"{part.url} does not answer like Alertmanager"
        return [fail(TEST, found, "set --alertmanager-url to the address of Alertmanager itself")]


def _before(part: Part, seconds: float) -> delivery.Look:
    """A look at Alertmanager while no other command tests; waits at most so many seconds for that."""
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
    said: dict[delivery.Receiver, Finding] = {}
    earlier: dict[delivery.Receiver, Finding | None] = {}
    others = {channel: frozenset[str]() for channel in run.tested}
    while True:
        now = _look(part, time.monotonic() - began)
        for channel in run.tested:
            others[channel] |= now.runs(channel) - run.before.runs(channel) - {run.id}
            found = delivery.judge(run, channel, now, len(others[channel]))
            # Alertmanager counts a request before its refusal, so two looks have to agree
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
    # The counts first: they do not include a test that is not in the list read after them.
    samples = parse(part.text("/metrics"))
    groups = part.json("/api/v2/alerts/groups", {"filter": f'alertname="{TEST_ALERT}"'})
    # An alert is in the list once for each receiver, and some of them mute it: its own receiver comes first.
    groups.sort(key=lambda group: not group["receiver"]["name"].startswith(TEST_RECEIVER))
    return delivery.Look(taken, samples, [alert for group in groups for alert in group["alerts"]])


def _post(part: Part, run: delivery.Run, lasts: timedelta) -> None:
    now = datetime.now(UTC)
    alerts = [delivery.alert(channel.name, run.id, now, lasts) for channel in run.tested]
    page = part.page("/api/v2/alerts", body=alerts)
    if page.status != 200:
        raise UnansweredError(f"Alertmanager does not accept the alert ({page.status}): {first_line(page.text)}")
