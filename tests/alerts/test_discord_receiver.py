"""The receiver holds messages to Discord's limits, and answers as Discord does."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from deploy.discord_receiver import Answer, refusal
from tests.support import ROOT
from tests.support.discord_server import discord_server

PROGRAM = ROOT / "deploy" / "discord_receiver.py"


def embed(title: str = "", description: str = "") -> dict[str, Any]:
    return {"embeds": [{"title": title, "description": description}]}


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x" * 2000},
        embed("x" * 256, "x" * 4096),
        embed("", "x"),
        {"embeds": [{"title": "x" * 100, "description": "x" * 500}] * 10},
        embed("🔥" * 128),
    ],
)
def test_what_fits_is_taken(message: dict[str, Any]) -> None:
    assert refusal(message) is None


@pytest.mark.parametrize(
    ("message", "code", "where"),
    [
        ({"content": "x" * 2001}, 50035, "content"),
        (embed("x" * 257), 50035, "title"),
        (embed("🔥" * 129), 50035, "title"),
        (embed("", "x" * 4097), 50035, "description"),
        ({"embeds": [{"title": "x"}] * 11}, 50035, "embeds"),
        ({"embeds": [{"title": "x", "description": "x" * 3000}] * 2}, 50035, "6000"),
        ({"username": "x" * 81, "content": "x"}, 50035, "username"),
        ({}, 50006, "empty"),
        (embed(" ", "\n"), 50006, "empty"),
        ({"embeds": ["x"]}, 50035, "embeds"),
        (["x"], 50109, "JSON"),
    ],
)
def test_what_does_not_fit_is_refused(message: Any, code: int, where: str) -> None:
    answer = refusal(message, version=10)
    assert answer is not None
    assert answer.status == 400
    assert answer.body is not None
    assert answer.body["code"] == code
    assert where in json.dumps(answer.body)


def test_the_unversioned_api_names_the_embed() -> None:
    assert refusal(embed("x" * 257)) == Answer(400, {"embeds": ["0"]})


def post(url: str, body: bytes) -> tuple[int, Any, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": "test"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def test_its_answers() -> None:
    good = json.dumps(embed("title")).encode()
    with discord_server() as server:
        assert post(server.url(), good)[:2] == (204, None)
        status, body, _ = post(server.url() + "?wait=true", good)
        assert (status, body["id"], body["embeds"]) == (200, "2", [{"title": "title", "description": ""}])
        assert post(server.url(), b"{")[:2] == (
            400,
            {"message": "The request body contains invalid JSON.", "code": 50109},
        )
        assert post(server.url().replace("webhooks", "hooks"), good)[0] == 404
        server.receiver.limit_rate(1, 0.25)
        status, body, headers = post(server.url(), good)
        assert (status, body["retry_after"], headers["Retry-After"]) == (429, 0.25, "0.25")
        assert post(server.url(), good)[0] == 204
        assert len(server.messages()) == 3
        assert [answer.status for answer in server.receiver.refused] == [400, 404, 429]


def test_the_program_prints_what_it_got() -> None:
    program = subprocess.Popen([sys.executable, PROGRAM, "--listen=127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    url = re.search(r"http://\S+", program.stdout.readline())
    assert url
    assert post(url[0], json.dumps(embed("🔴 CRITICAL: n", "one\n\x1b[2Jtwo")).encode())[0] == 204
    program.send_signal(signal.SIGINT)
    said, _ = program.communicate(timeout=20)
    assert said == "🔴 CRITICAL: n\n  one\n  �[2Jtwo\n\n"
    assert program.returncode == 0
