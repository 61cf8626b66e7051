"""Evaluate the delivery of a test alert by what Alertmanager reports. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exporter.alerting import TEST_ALERT, TEST_MESSAGE, TEST_RECEIVER, TEST_TITLE, TRY_SECONDS
from exporter.findings import Finding, fail, ok
from exporter.humanize import listing
from exporter.verify.exporter import Samples

TEST = "test alert"
"""The check's name in the report."""

_INTEGRATION = ("integration", "discord")
_GIVEN_UP = "alertmanager_notifications_failed_total"
_REQUESTS = "alertmanager_notification_requests_total"
_REFUSED = "alertmanager_notification_requests_failed_total"
_PROCESS = "process_start_time_seconds"

_LOG = "Alertmanager's log has the answer: docker compose logs alertmanager"
_WEBHOOK = (
    "401 or 404: write the channel's new webhook to {file}, and restart Alertmanager\n"
    "429: Discord limits the rate; wait a minute and try again\n"
    "5xx or no answer: make sure that Alertmanager's machine reaches the webhook's host\n" + _LOG
)
_RELOAD = "build the rules, and reload Alertmanager: docker compose kill --signal SIGHUP alertmanager"
_BY_RECEIVER = (
    "start Alertmanager with --enable-feature=receiver-name-in-metrics, so that it counts by receiver; then try again"
)


@dataclass(frozen=True)
class Receiver:
    """A channel to test: its name, and the path of its webhook's URL as Alertmanager sees it."""

    name: str
    file: str

    @property
    def receiver(self) -> str:
        """The receiver of its test alerts, and of nothing else."""
        return TEST_RECEIVER + self.name


@dataclass(frozen=True)
class Counts:
    """The messages of one receiver, or all to Discord, since Alertmanager started."""

    accepted: float = 0
    given_up: float = 0
    refused: float = 0
    reasons: Mapping[str, float] = field(default_factory=dict)

    def since(self, then: "Counts") -> "Counts":
        """The messages since an earlier moment."""
        reasons = {reason: count - then.reasons.get(reason, 0) for reason, count in self.reasons.items()}
        return Counts(
            self.accepted - then.accepted,
            self.given_up - then.given_up,
            self.refused - then.refused,
            {reason: count for reason, count in reasons.items() if count},
        )

    @property
    def ended(self) -> float:
        """Messages with a final result."""
        return self.accepted + self.given_up


@dataclass(frozen=True)
class Look:
    """Alertmanager at one moment, `taken` seconds after it received the test alerts.

    `alerts` are all its test alerts, as /api/v2/alerts/groups lists them.
    """

    taken: float
    samples: Samples
    alerts: Sequence[Mapping[str, Any]] = ()

    @property
    def process(self) -> float | None:
        """When its process started: another value means another process."""
        return self.samples.get((_PROCESS, frozenset()))

    @property
    def by_receiver(self) -> bool:
        """Whether it counts by receiver."""
        return any("receiver_name" in dict(labels) for name, labels in self.samples if name == _REQUESTS)

    def runs(self, channel: Receiver) -> frozenset[str]:
        """The IDs of the commands that test a channel now."""
        return frozenset(str(each["labels"].get("run")) for each in self.alerts if _is(each, channel.name))

    def counts(self, receiver: str | None) -> Counts:
        """The counts of a receiver; for None, of everything to Discord."""
        wanted = {_INTEGRATION} if receiver is None else {_INTEGRATION, ("receiver_name", receiver)}
        totals: dict[str, float] = defaultdict(float)
        reasons: dict[str, float] = defaultdict(float)
        for (name, labels), value in self.samples.items():
            if wanted <= labels:
                totals[name] += value
                if name == _GIVEN_UP:
                    reasons[dict(labels).get("reason", "")] += value
        refused = totals[_REFUSED]
        return Counts(totals[_REQUESTS] - refused, totals[_GIVEN_UP], refused, reasons)


def channels(config: Any) -> list[Receiver]:
    """The channels that a loaded configuration can test, by its receivers."""
    receivers = config.get("receivers") if isinstance(config, Mapping) else None
    return [
        Receiver(name.removeprefix(TEST_RECEIVER), str(each["discord_configs"][0].get("webhook_url_file", "its file")))
        for each in receivers or ()
        if (name := str(each.get("name"))).startswith(TEST_RECEIVER) and each.get("discord_configs")
    ]


def alert(channel: str, run: str, now: datetime, lasts: timedelta) -> Mapping[str, Any]:
    """The test alert of a channel for Alertmanager's API; `run` distinguishes it from those of other commands."""
    return {
        "labels": {"alertname": TEST_ALERT, "severity": "info", "channel": channel, "run": run},
        "annotations": {
            "summary": TEST_TITLE,
            "description": TEST_MESSAGE,
        },
        # earlier than now, so that even an immediate end is after the start
        "startsAt": (now - timedelta(seconds=1)).isoformat(),
        "endsAt": (now + lasts).isoformat(),
    }


@dataclass(frozen=True)
class Run:
    """A command's tests: `id` distinguishes them from those of other commands.

    `tested` are the channels that are tested together. `wait` is how many seconds Alertmanager can wait for the other
    members of its cluster before it sends. `before` is the look before it received the alerts.
    """

    id: str
    tested: tuple[Receiver, ...]
    wait: float
    before: Look

    def name(self, channel: Receiver) -> str:
        """The name of a channel's test in the report."""
        return TEST if len(self.tested) == 1 else f"{TEST} {channel.name}"


def judge(run: Run, channel: Receiver, now: Look, others: int) -> Finding | None:
    """Evaluate a channel's test alert; None while the result is open.

    `others` is how many other commands have started to test the channel since `run.before`.
    """
    name, before = run.name(channel), run.before
    if now.process != before.process:
        found = "several Alertmanagers answer at this address in turn, or it was restarted meanwhile"
        return fail(name, found, "set --alertmanager-url to the address of one Alertmanager, and try again")
    mine = [each for each in now.alerts if _is(each, channel.name, run.id)]
    if mine and (held_up := _held_up(name, channel, mine[0])):
        return held_up
    if not now.by_receiver:
        return _by_integration(run, name, now)
    counts = now.counts(channel.receiver).since(before.counts(channel.receiver))
    if counts.ended < 1 + others:
        return None
    if not counts.given_up:
        return ok(name, f"accepted by the webhook of {channel.name} after {now.taken:.0f} s")
    fix = _WEBHOOK.format(file=channel.file)
    if others:
        found = (
            f"{counts.given_up:g} of {counts.ended:g} simultaneous tests were refused: try again without another test"
        )
        return fail(name, found, fix)
    return fail(name, f"not accepted by the webhook of {channel.name}: {_why(counts)}", fix)


def evaluate_late(run: Run, channel: Receiver, now: Look) -> Finding:
    """Evaluate it when time is up."""
    name = run.name(channel)
    receiver = channel.receiver if now.by_receiver else None
    counts = now.counts(receiver).since(run.before.counts(receiver))
    if counts.refused:
        found = f"refused {counts.refused:g} times within {now.taken:.0f} s, and Alertmanager keeps trying"
        return fail(name, found, _WEBHOOK.format(file=channel.file))
    found = f"not accepted within {now.taken:.0f} s: the webhook does not answer, or Alertmanager has not sent it"
    return fail(name, f"{found}. It may arrive late", _WEBHOOK.format(file=channel.file))


def no_route(text: str = "its configuration has no receiver for test alerts") -> Finding:
    """The finding that the loaded configuration was not built by this version."""
    return fail(TEST, text, _RELOAD)


def _by_integration(run: Run, name: str, now: Look) -> Finding | None:
    """Evaluate it without counts by receiver: it was accepted if every message since then was, its own included."""
    if now.taken <= TRY_SECONDS + run.wait + 1:
        return None
    counts = now.counts(None).since(run.before.counts(None))
    if counts.ended < len(run.tested):
        return None
    if not counts.given_up:
        return ok(name, f"accepted, as all {counts.ended:g} messages to Discord since then were")
    if not counts.accepted:
        return fail(name, f"not accepted: {_why(counts)}", _WEBHOOK.format(file="its channel's file"))
    found = f"not proven: {counts.given_up:g} of {counts.ended:g} messages were refused, and it is not known which"
    return fail(name, found, _BY_RECEIVER)


def _held_up(name: str, channel: Receiver, found: Mapping[str, Any]) -> Finding | None:
    """The finding that something keeps the alert from its receiver, else None."""
    status = found.get("status", {})
    receivers = [str(each.get("name")) for each in found.get("receivers", ())]
    if channel.receiver not in receivers:
        return no_route(f"routed to {listing(receivers)}, not to {channel.receiver}: another route matches first")
    if silences := status.get("silencedBy"):
        return fail(name, f"silenced by {listing(silences)}", "expire the silence on Alertmanager's page Silences")
    if status.get("inhibitedBy"):
        return fail(name, "inhibited: an inhibit rule mutes it", "remove that rule from alertmanager.yml, and reload")
    if intervals := status.get("mutedBy"):
        return fail(name, f"muted by the time interval {listing(intervals)}", "remove it from the route, and reload")
    return None


def _is(found: Mapping[str, Any], channel: str, run: str | None = None) -> bool:
    labels = found.get("labels", {})
    return labels.get("channel") == channel and run in (None, labels.get("run"))


def _why(counts: Counts) -> str:
    """Why Alertmanager gave messages up."""
    # 0.28 has no reason for what Discord refuses; later versions do
    words = {"contextDeadlineExceeded": f"no answer within {TRY_SECONDS} s", "other": "refused", "": "refused"}
    return listing(sorted({words.get(reason, f"refused ({reason})") for reason in counts.reasons})) or "refused"
