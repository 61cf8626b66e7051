"""Alertmanager: it runs, its configuration sends to Discord, and a test alert is delivered."""

import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from exporter.finding import Finding, Level, fail, ok
from exporter.verify.exporter import Samples, parse
from exporter.verify.web import Part, UnansweredError, first_line
from exporter.wording import listing

ALERTMANAGER, RECEIVERS, TEST_ALERT = "alertmanager", "receivers", "test alert"
_POLL_SECONDS = 0.5
_REQUESTS = "alertmanager_notification_requests_total"
_REFUSED = "alertmanager_notification_requests_failed_total"
_INTEGRATION = ("integration", "discord")


def look_at_alertmanager(part: Part) -> list[Finding]:
    """Whether it is ready, and where it sends to."""
    try:
        part.text("/-/ready")
        status = part.json("/api/v2/status")
        version, text = status["versionInfo"]["version"], status["config"]["original"]
    except (UnansweredError, KeyError, TypeError) as error:
        return [fail(ALERTMANAGER, str(error), "start it, or name its address: --alertmanager-url")]
    return [ok(ALERTMANAGER, f"{part.url} is ready, version {version}"), judge_receivers(text)]


def judge_receivers(text: str) -> Finding:
    """Whether the loaded configuration (YAML, secrets masked) has a receiver that sends to Discord."""
    mend = "start Alertmanager with alert_rules/generated/alertmanager.yml"
    config = yaml.safe_load(text)
    receivers = config.get("receivers") if isinstance(config, Mapping) else None
    names = [str(each["name"]) for each in receivers or () if each.get("discord_configs")]
    if not names:
        return fail(RECEIVERS, "none of its receivers sends to Discord", mend)
    return ok(RECEIVERS, f"to Discord: {listing(names)}")


def not_asked_for() -> Finding:
    """No test alert is sent unless it is asked for: people would see it."""
    return Finding(TEST_ALERT, Level.SKIPPED, "not sent; --send-test-alert sends one")


def send_test_alert(part: Part, seconds: float) -> Finding:
    """Give Alertmanager an alert, and wait until a message has gone to Discord.

    Another alert's message in the same seconds counts too: Alertmanager counts by integration, not by alert. So the
    alert is left to end by itself, or its own message might never go out; one that was not delivered ends at once.
    """
    try:
        before = parse(part.text("/metrics"))
        _post(part, timedelta(seconds=seconds + 60))
        delivered = False
        try:
            finding = _wait(part, before, seconds)
            delivered = finding.level is Level.OK
            return finding
        finally:
            if not delivered:
                with contextlib.suppress(UnansweredError):
                    _post(part, timedelta())
    except UnansweredError as error:
        return fail(TEST_ALERT, str(error), "start Alertmanager, and ask again")


def _wait(part: Part, before: Samples, seconds: float) -> Finding:
    began = time.monotonic()
    while (taken := time.monotonic() - began) < seconds:
        now = parse(part.text("/metrics"))
        if _delivered(now) > _delivered(before):
            return ok(TEST_ALERT, f"delivered after {taken:.0f} s: look for ai_monitoring_test in the channel")
        if _count(now, _REFUSED) > _count(before, _REFUSED):
            mend = "Alertmanager's log says why; see that secrets/discord_webhook_url is the channel's webhook"
            return fail(TEST_ALERT, "Alertmanager could not deliver to Discord", mend)
        time.sleep(_POLL_SECONDS)
    mend = "see that the route's default receiver sends to Discord, and that no silence or time interval mutes it"
    return fail(TEST_ALERT, f"nothing was sent to Discord within {seconds:g} s", mend)


def _post(part: Part, lasts: timedelta) -> None:
    page = part.page("/api/v2/alerts", body=[test_alert(datetime.now(UTC), lasts)])
    if page.status != 200:
        raise UnansweredError(f"Alertmanager does not take the alert ({page.status}): {first_line(page.text)}")


def test_alert(now: datetime, lasts: timedelta) -> Mapping[str, Any]:
    """The alert as Alertmanager's API takes it."""
    return {
        "labels": {"alertname": "ai_monitoring_test", "severity": "warning", "channel": "discord"},
        "annotations": {
            "summary": "A test: alerts reach this channel.",
            "description": "Sent by ai-operation-exporter verify. There is nothing to do.",
        },
        "startsAt": now.isoformat(),
        "endsAt": (now + lasts).isoformat(),
    }


def _delivered(samples: Samples) -> float:
    return _count(samples, _REQUESTS) - _count(samples, _REFUSED)


def _count(samples: Samples, name: str) -> float:
    return sum(value for (found, labels), value in samples.items() if found == name and _INTEGRATION in labels)
