"""A message with a picture reaches the channel, also past refusals, and no error quotes the webhook."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.discord_receiver import MOST_FILE_BYTES, Answer
from exporter.config import ConfigError
from exporter.digest.message import PICTURE, payload
from exporter.digest.webhook import RefusedError, Webhook, deliver, find_webhook, post
from tests.support.digests import full_digest
from tests.support.discord_server import DiscordServer, discord_server

TOKEN = "s3cr3t-T0ken_of.nobody"
PNG = b"\x89PNG\r\n\x1a\n--\r\n\r\n" + bytes(range(256)) * 50
MESSAGE = payload(full_digest(), picture=True)
TEXT = payload(full_digest(), picture=False)


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with discord_server() as running:
        yield running


def webhook(server: DiscordServer, query: str = "") -> Webhook:
    return find_webhook(None, {"DISCORD_WEBHOOK_URL": f"{server.url('s3cr3t-T0ken_of_nobody')}{query}\n"})


class Waits:
    """Notes what is waited for, and does not wait; goes on so many times."""

    def __init__(self, most: int = 1000) -> None:
        self.seconds: list[float] = []
        self._most = most

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) <= self._most


def test_text_and_picture_arrive_as_they_are(server: DiscordServer) -> None:
    post(webhook(server), MESSAGE, {PICTURE: PNG})
    ((_, message),) = server.receiver.accepted
    assert message == MESSAGE
    assert server.receiver.files == [{PICTURE: PNG}]
    assert message["embeds"][0]["image"] == {"url": f"attachment://{PICTURE}"}
    post(webhook(server), TEXT, {})
    assert server.receiver.files[1] == {}
    assert not server.receiver.refused


@pytest.mark.parametrize("version", ["", "/v10"])
def test_a_thread_of_the_channel_is_kept(server: DiscordServer, version: str) -> None:
    found = webhook(server, "?thread_id=5")
    assert found.url.endswith("?thread_id=5&wait=true")
    post(found, MESSAGE, {PICTURE: PNG})
    assert len(server.receiver.accepted) == 1


def test_what_discord_does_not_take_is_said_and_not_tried_again(server: DiscordServer) -> None:
    waits = Waits()
    with pytest.raises(RefusedError, match=r"answers 413: .*too large") as caught:
        deliver(webhook(server), MESSAGE, {PICTURE: bytes(MOST_FILE_BYTES + 1)}, 60, waits)
    assert caught.value.wait is None
    with pytest.raises(RefusedError, match="answers 400"):
        deliver(webhook(server), MESSAGE, {}, 60, waits)
    with pytest.raises(RefusedError, match="answers 400"):
        deliver(webhook(server), {"embeds": [{"title": "x" * 257}]}, {}, 60, waits)
    assert waits.seconds == []
    assert not server.receiver.accepted


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_webhook_that_is_gone_is_said(server: DiscordServer, status: int) -> None:
    server.receiver.fail(Answer(status, {"message": "Unknown Webhook", "code": 10015}))
    with pytest.raises(RefusedError, match=f"answers {status}: .*Unknown Webhook.*make sure that the webhook"):
        deliver(webhook(server), MESSAGE, {PICTURE: PNG}, 60, Waits())


@pytest.mark.parametrize(
    ("answers", "waited"),
    [
        ([Answer(429, {"message": "You are being rate limited.", "retry_after": 0.3})], [0.3]),
        ([Answer(429, {"retry_after": 7.5}, {"Retry-After": "8"})], [7.5]),
        ([Answer(429, None, {"Retry-After": "12"})], [12.0]),
        ([Answer(429, {"retry_after": "soon"}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})], [1.0]),
        ([Answer(429, {"retry_after": -5}), Answer(429, {"retry_after": float("inf")})], [1.0, 2.0]),
        ([Answer(500), Answer(502), Answer(503)], [1.0, 2.0, 4.0]),
        ([Answer(408), Answer(504, None, {"Retry-After": "3"})], [1.0, 3.0]),
    ],
)
def test_a_refusal_for_a_while_is_waited_out(server: DiscordServer, answers: list[Answer], waited: list[float]) -> None:
    waits = Waits()
    server.receiver.fail(*answers)
    deliver(webhook(server), MESSAGE, {PICTURE: PNG}, 300, waits)
    assert waits.seconds == waited
    assert len(server.receiver.accepted) == 1


def test_patience_ends_and_says_what_was_answered_last(server: DiscordServer) -> None:
    waits = Waits()
    server.receiver.fail(*[Answer(503)] * 50)
    with pytest.raises(RefusedError, match="answers 503"):
        deliver(webhook(server), MESSAGE, {PICTURE: PNG}, 20, waits)
    assert waits.seconds == [1.0, 2.0, 4.0, 8.0]
    server.receiver.limit_rate(1, 3600)
    with pytest.raises(RefusedError) as caught:
        deliver(webhook(server), MESSAGE, {PICTURE: PNG}, 20, waits)
    assert caught.value.wait == 3600
    assert len(waits.seconds) == 4


def test_who_has_to_stop_does_not_go_on(server: DiscordServer) -> None:
    waits = Waits(most=1)
    server.receiver.fail(*[Answer(503)] * 50)
    with pytest.raises(RefusedError):
        deliver(webhook(server), MESSAGE, {PICTURE: PNG}, 1000, waits)
    assert len(waits.seconds) == 2


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with discord_server() as server:
        gone = webhook(server)
    waits = Waits()
    with pytest.raises(RefusedError, match="does not answer: Connection refused"):
        deliver(gone, MESSAGE, {PICTURE: PNG}, 5, waits)
    assert waits.seconds == [1.0, 2.0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: DiscordServer, status: int) -> None:
    with discord_server() as elsewhere:
        server.receiver.fail(Answer(status, None, {"Location": elsewhere.url()}))
        with pytest.raises(RefusedError, match=f"answers {status}"):
            deliver(webhook(server), MESSAGE, {PICTURE: PNG}, 60, Waits())
        assert not elsewhere.receiver.accepted


def test_an_answer_that_holds_the_token_is_not_repeated(server: DiscordServer) -> None:
    found = webhook(server)
    for said in (found.token, found.url, f"no {found.token}\x1b[2J"):
        server.receiver.fail(Answer(400, {"message": said}))
        with pytest.raises(RefusedError) as caught:
            post(found, TEXT, {})
        assert found.token not in str(caught.value)
        assert str(caught.value).isprintable()
    assert found.token not in repr(found)


def test_a_program_that_does_not_say_what_it_is_is_blocked(
    server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = urllib.request.Request

    def anonymous(url: str, body: bytes, headers: dict[str, str]) -> Any:
        return original(url, body, {"Content-Type": headers["Content-Type"]})

    monkeypatch.setattr(urllib.request, "Request", anonymous)
    with pytest.raises(RefusedError, match="answers 403"):
        post(webhook(server), TEXT, {})


GOOD = f"https://discord.com/api/webhooks/123/{TOKEN}"


@pytest.mark.parametrize("text", [GOOD, f"{GOOD}\n", f"  {GOOD}  ", f"\ufeff{GOOD}", GOOD.replace("/api", "/api/v10")])
def test_where_the_webhook_comes_from(tmp_path: Path, text: str) -> None:
    path = tmp_path / "url"
    path.write_text(text, encoding="utf-8")
    for found in (find_webhook(path, {}), find_webhook(None, {"DISCORD_WEBHOOK_URL_FILE": str(path)})):
        assert found.token == TOKEN
        assert found.host == "discord.com"
        assert TOKEN in found.url


def test_the_option_is_stronger_than_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(GOOD)
    environ = {"DISCORD_WEBHOOK_URL": GOOD.replace("discord.com", "other"), "DISCORD_WEBHOOK_URL_FILE": "/nowhere"}
    assert find_webhook(path, environ).host == "discord.com"
    assert find_webhook(None, environ).host == "other"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TOKEN,
        f"https://{TOKEN}",
        f"https://discord.com/api/webhooks/{TOKEN}",
        f"https://discord.com/{TOKEN}",
        f"ftp://discord.com/api/webhooks/123/{TOKEN}",
        f"https://user:{TOKEN}@discord.com/api/webhooks/123/{TOKEN}",
        f"https://discord.com/api/webhooks/123/{TOKEN}/slack",
        f"https://discord.com/api/webhooks/123/{TOKEN} and more",
        f"https://discord.com:99999/api/webhooks/123/{TOKEN}",
        f"https://[::1/api/webhooks/123/{TOKEN}",
        f"https://discord.com/api/webhooks/123/{TOKEN}\u00e9",
        f"https://discord.com/api/webhooks/123/{TOKEN}\nX-Header: 1",
    ],
)
def test_what_is_no_webhook_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "url"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        find_webhook(path, {})
    assert TOKEN not in str(caught.value)
    assert str(caught.value).startswith("--webhook-url-file: no URL of a webhook")


def test_a_url_in_the_place_of_its_file_is_not_repeated(tmp_path: Path) -> None:
    for environ, file in (({}, Path(GOOD)), ({"DISCORD_WEBHOOK_URL_FILE": GOOD}, None)):
        with pytest.raises(ConfigError) as caught:
            find_webhook(file, environ)
        assert TOKEN not in str(caught.value)
    with pytest.raises(ConfigError, match=r"--webhook-url-file: .*absent: No such file"):
        find_webhook(tmp_path / "absent", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        find_webhook(tmp_path / "binary", {})
    with pytest.raises(ConfigError, match="no webhook is given"):
        find_webhook(None, {})
