"""`verify --send-test-alert` against a real Alertmanager: it says that its own message was accepted, or why not."""

import contextlib
import itertools
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alert_rules.language.channels import Channel, Channels
from alert_rules.output.alertmanager import RoutedAlert, Timing, alertmanager_config
from deploy.discord_receiver import Answer
from exporter.findings import Finding, Level
from exporter.verify import alertmanager as verify_alertmanager
from exporter.verify import delivery
from exporter.verify.alertmanager import send_test_alert
from exporter.verify.web import Page, Part
from tests.support.alertmanager import Alertmanager, alert, alertmanager, write_config
from tests.support.discord_server import DiscordServer, discord_server
from tests.support.programs import fetch, free_port, wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("test_alert")]

BY_RECEIVER = "--enable-feature=receiver-name-in-metrics"
CHANNELS = Channels(
    tuple(Channel(name, f"/etc/alertmanager/secrets/{name}_webhook_url") for name in ("discord", "ops")),
)
ONE = Channels(CHANNELS.channels[:1])
FAST = Timing(group_wait="0s", group_interval="1s")
TITLE = "🧪 A test: alerts reach this channel."


def config(channels: Channels = ONE, **changes: Any) -> dict[str, Any]:
    return alertmanager_config(channels, [RoutedAlert("busy", "info", ("discord",))], FAST) | changes


@contextlib.contextmanager
def running(
    folder: Path, server: DiscordServer, written: dict[str, Any], *arguments: str, **more: Any
) -> Iterator[Alertmanager]:
    folder.mkdir(exist_ok=True)
    for channel in CHANNELS.names:
        server.write_secret(folder / "secrets", channel)
    write_config(folder, written)
    with alertmanager(folder, *arguments, **more) as manager:
        yield manager


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with discord_server() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alertmanager")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Alertmanager]:
    with discord_server() as nowhere, running(folder, nowhere, config(), BY_RECEIVER) as manager:
        yield manager


@pytest.fixture
def manager(shared: Alertmanager, folder: Path, server: DiscordServer) -> Alertmanager:
    # the file is read again for each message
    server.write_secret(folder / "secrets", "discord")
    return shared


def verified(manager: Alertmanager, seconds: float = 60) -> Finding:
    (finding,) = send_test_alert(Part(manager.url), seconds)
    return finding


def messages(server: DiscordServer) -> list[tuple[str, str]]:
    return [(message.webhook, message.title) for message in server.messages()]


def post(manager: Alertmanager, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        manager.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


_NUMBERS = itertools.count(1)


class Busy:
    """Other alerts' messages, one after the other, for as long as the block lasts."""

    def __init__(self, manager: Alertmanager) -> None:
        self.manager, self.stopped = manager, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        while not self.stopped.wait(0.1):
            self.manager.send(alert(f"busy {next(_NUMBERS)}", "info"))

    def __enter__(self) -> "Busy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()


def test_it_arrives_as_one_short_message_and_is_proven(manager: Alertmanager, server: DiscordServer) -> None:
    finding = verified(manager)
    assert (finding.level, finding.name) == (Level.OK, "test alert"), finding
    assert finding.detail.startswith("accepted by the webhook of discord")
    (message,) = server.titled("A test")
    assert message.title == TITLE
    assert message.description == "Sent by ai-operation-exporter verify. There is nothing to do."
    # it has ended, and its end is told to nobody
    wait_for(lambda: not manager.alerts())
    manager.send(alert("later", "info"))
    wait_for(lambda: server.titled("later"))
    assert len(server.titled("A test")) == 1


def test_it_can_be_asked_for_again_at_once(manager: Alertmanager, server: DiscordServer) -> None:
    for number in (1, 2, 3):
        assert verified(manager).level is Level.OK
        assert len(server.titled("A test")) == number


@pytest.mark.parametrize("status", [401, 404, 429])
def test_a_refusal_is_not_taken_for_anothers_success(manager: Alertmanager, server: DiscordServer, status: int) -> None:
    """Only the test's messages are refused, while others are accepted all the time."""
    real = server.receiver.answer
    refusal = Answer(status, {"message": "no"})

    def answer(target: str, body: bytes) -> Any:
        return refusal if TITLE in json.loads(body)["embeds"][0]["title"] else real(target, body)

    server.receiver.answer = answer  # type: ignore[method-assign]
    with Busy(manager):
        wait_for(lambda: server.titled("busy"))
        finding = verified(manager)
    assert finding.level is Level.FAIL
    assert finding.detail == "not accepted by the webhook of discord: refused"
    assert "/etc/alertmanager/secrets/discord_webhook_url" in finding.hint
    assert not server.titled("A test")


def test_others_refusals_are_not_its_own(manager: Alertmanager, server: DiscordServer) -> None:
    real = server.receiver.answer
    refusal = Answer(400, {"message": "no"})

    def answer(target: str, body: bytes) -> Any:
        return real(target, body) if TITLE in json.loads(body)["embeds"][0]["title"] else refusal

    server.receiver.answer = answer  # type: ignore[method-assign]
    with Busy(manager):
        assert verified(manager).level is Level.OK
    assert len(server.titled("A test")) == 1


def test_a_slow_answer_is_waited_for(manager: Alertmanager, server: DiscordServer) -> None:
    real = server.receiver.answer
    may_answer = threading.Event()

    def answer(target: str, body: bytes) -> Any:
        may_answer.wait(20)
        return real(target, body)

    server.receiver.answer = answer  # type: ignore[method-assign]
    threading.Timer(2, may_answer.set).start()
    assert verified(manager).level is Level.OK
    assert len(server.titled("A test")) == 1


@pytest.mark.parametrize("kind", ["silent", "absent", "failing"])
def test_a_webhook_that_alertmanager_tries_again_is_said(tmp_path: Path, server: DiscordServer, kind: str) -> None:
    server.receiver.answer = lambda target, body: Answer(500, {"message": "no"})  # type: ignore[method-assign]
    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(running(tmp_path, server, config(), BY_RECEIVER))
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ports = {"silent": silent.getsockname()[1], "absent": free_port(), "failing": server.receiver.port}
        url = f"http://127.0.0.1:{ports[kind]}/api/webhooks/1/discord"
        (tmp_path / "secrets" / "discord_webhook_url").write_text(url + "\n")
        finding = verified(manager, seconds=3)
    assert finding.level is Level.FAIL
    assert ("not accepted within" if kind == "silent" else "and Alertmanager keeps trying") in finding.detail


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A configuration by which Alertmanager gives up as soon as it can."""
    for module in (verify_alertmanager, delivery):
        monkeypatch.setattr(module, "TRY_SECONDS", 10)
    written = config()
    written["route"]["routes"][0]["group_interval"] = "10s"
    return written


def test_alertmanager_gives_up_before_the_command_does(
    quick: dict[str, Any], tmp_path: Path, server: DiscordServer
) -> None:
    server.receiver.answer = lambda target, body: Answer(503, {"message": "no"})  # type: ignore[method-assign]
    with running(tmp_path, server, quick, BY_RECEIVER) as manager:
        finding = verified(manager)
    assert finding.level is Level.FAIL
    assert finding.detail.startswith("not accepted by the webhook of discord: "), finding


def test_a_silence_on_everything_is_named(manager: Alertmanager, server: DiscordServer) -> None:
    now = datetime.now(UTC)
    silence = post(
        manager,
        "/api/v2/silences",
        {
            "matchers": [{"name": "alertname", "value": ".+", "isRegex": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(minutes=5)).isoformat(),
            "createdBy": "test",
            "comment": "quiet",
        },
    )["silenceID"]
    try:
        finding = verified(manager)
    finally:
        request = urllib.request.Request(f"{manager.url}/api/v2/silence/{silence}", method="DELETE")
        urllib.request.urlopen(request, timeout=10).close()
    assert finding.level is Level.FAIL
    assert finding.detail == f"silenced by {silence}"
    assert not server.titled("A test")


def test_two_commands_at_once(manager: Alertmanager, server: DiscordServer) -> None:
    found: list[Finding] = []
    threads = [threading.Thread(target=lambda: found.append(verified(manager)), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [finding.level for finding in found] == [Level.OK] * 3, found
    assert len(server.titled("A test")) == 3


def test_of_two_commands_at_once_the_refused_one_does_not_succeed(manager: Alertmanager, server: DiscordServer) -> None:
    server.receiver.limit_rate(1, 1)
    found: list[Finding] = []
    threads = [threading.Thread(target=lambda: found.append(verified(manager)), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = len(server.titled("A test"))
    assert accepted < 2
    assert sum(finding.level is Level.OK for finding in found) <= accepted, found


def test_each_channel_is_proven_by_its_own_webhook(tmp_path: Path, server: DiscordServer) -> None:
    with running(tmp_path, server, config(CHANNELS), BY_RECEIVER) as manager:
        found = send_test_alert(Part(manager.url), 60)
        assert [(f.name, f.level) for f in found] == [("test alert discord", Level.OK), ("test alert ops", Level.OK)]
        assert sorted(messages(server)) == [("discord", TITLE), ("ops", TITLE)]
        (tmp_path / "secrets" / "ops_webhook_url").write_text(server.url("ops").replace("/api/", "/gone/"))
        found = send_test_alert(Part(manager.url), 60)
        assert [(f.name, f.level) for f in found] == [("test alert discord", Level.OK), ("test alert ops", Level.FAIL)]
        assert "/etc/alertmanager/secrets/ops_webhook_url" in found[1].hint


@pytest.mark.parametrize("kind", ["none", "wrong", "inhibited", "muted"])
def test_a_configuration_that_keeps_it_back_is_said(tmp_path: Path, server: DiscordServer, kind: str) -> None:
    written = config()
    if kind == "none":
        written["route"]["routes"] = [r for r in written["route"]["routes"] if "test:" not in r["receiver"]]
        written["receivers"] = [each for each in written["receivers"] if "test:" not in each["name"]]
    elif kind == "wrong":
        written["route"]["routes"].insert(0, {"receiver": "failures", "matchers": ['alertname=~".+"']})
    elif kind == "inhibited":
        written["inhibit_rules"] = [{"source_matchers": ['alertname="x"'], "target_matchers": ['severity="info"']}]
    else:
        weekdays = ["sunday:saturday"]
        written["time_intervals"] = [{"name": "always", "time_intervals": [{"weekdays": weekdays}]}]
        written["route"]["routes"][0]["mute_time_intervals"] = ["always"]
    said = {
        "none": "its configuration has no receiver for test alerts",
        "wrong": "routed to failures, not to test:discord: another route matches first",
        "inhibited": "inhibited: an inhibit rule mutes it",
        "muted": "always",
    }
    with running(tmp_path, server, written, BY_RECEIVER) as manager:
        if kind == "inhibited":
            manager.send(alert("x", "critical"))
            wait_for(lambda: server.titled("x"))
        finding = verified(manager, seconds=5)
    assert finding.level is Level.FAIL
    assert said[kind] in finding.detail
    assert not server.titled("A test")


def test_a_route_that_keeps_a_copy_does_not_matter(tmp_path: Path, server: DiscordServer) -> None:
    """Everything goes to an archive too, which is muted now."""
    written = config()
    always = {"name": "always", "time_intervals": [{"weekdays": ["sunday:saturday"]}]}
    archive = {"receiver": "failures", "matchers": ['alertname=~".+"'], "mute_time_intervals": ["always"]}
    written["time_intervals"] = [always]
    written["route"]["routes"].insert(0, {**archive, "continue": True})
    with running(tmp_path, server, written, BY_RECEIVER) as manager:
        assert verified(manager).level is Level.OK
    assert len(server.titled("A test")) == 1


def test_without_counts_by_receiver_it_is_proven_or_not_claimed(
    quick: dict[str, Any], tmp_path: Path, server: DiscordServer
) -> None:
    """Alertmanager's own default: another message that is refused meanwhile leaves it open."""
    with running(tmp_path, server, quick) as manager:
        with Busy(manager):
            finding = verified(manager)
        assert finding.level is Level.OK
        assert server.titled("A test")
        real = server.receiver.answer
        refusal = Answer(404, {"message": "no"})

        def answer(target: str, body: bytes) -> Any:
            return refusal if TITLE in json.loads(body)["embeds"][0]["title"] else real(target, body)

        server.receiver.answer = answer  # type: ignore[method-assign]
        with Busy(manager):
            finding = verified(manager)
        assert finding.level is Level.FAIL
        assert "not proven: 1 of" in finding.detail
        assert BY_RECEIVER in finding.hint


def test_members_of_a_cluster_each_prove_their_own(tmp_path: Path, server: DiscordServer) -> None:
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as both:
        managers = [
            both.enter_context(
                running(
                    tmp_path / str(port),
                    server,
                    config(),
                    BY_RECEIVER,
                    f"--cluster.peer=127.0.0.1:{ports[0]}",
                    "--cluster.settle-timeout=1s",
                    cluster_port=port,
                )
            )
            for port in ports
        ]
        wait_for(
            lambda: all(len(json.loads(fetch(f"{m.url}/api/v2/status")[1])["cluster"]["peers"]) == 2 for m in managers)
        )
        assert [verified(manager).level for manager in managers] == [Level.OK, Level.OK]
        assert len(server.messages()) == 2

        class Balanced(Part):
            """An address that leads to each of them in turn."""

            turn = 0

            def page(self, path: str, query: Any = None, body: Any = None) -> Page:
                self.turn += 1
                self.url = managers[self.turn % 2].url
                return super().page(path, query, body)

        (finding,) = send_test_alert(Balanced(managers[0].url), 30)
        assert finding.level is Level.FAIL
        assert "several Alertmanagers" in finding.detail
