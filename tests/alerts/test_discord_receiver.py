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

from deploy.discord_receiver import MOST_FILE_BYTES, Answer, readable, refusal
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


PICTURE = {0: ("a.png", b"png")}


def full(**changes: Any) -> dict[str, Any]:
    """A message with all that an embed can hold, and a picture."""
    shown = {
        "title": "title",
        "description": "text",
        "color": 0xFFFFFF,
        "fields": [{"name": "name", "value": "value"}],
        "footer": {"text": "footer"},
        "image": {"url": "attachment://a.png"},
        **changes,
    }
    return {"embeds": [shown], "attachments": [{"id": 0, "description": "alt"}], "allowed_mentions": {"parse": []}}


@pytest.mark.parametrize(
    "message",
    [
        full(),
        full(fields=[{"name": "x" * 256, "value": "x" * 64}] * 18),
        full(fields=[{"name": "x" * 60, "value": "x" * 100}] * 25),
        full(fields=[{"name": "x", "value": "x" * 1024}], footer={"text": "x" * 2048}),
        full(image={"url": "https://example.com/a.png"}),
    ],
)
def test_a_whole_embed_that_fits_is_taken(message: dict[str, Any]) -> None:
    assert refusal(message, files=PICTURE) is None


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (full(fields=[{"name": "x", "value": "x"}] * 26), "fields"),
        (full(fields=[{"name": "x" * 257, "value": "x"}]), "fields.0.name"),
        (full(fields=[{"name": "x", "value": "x" * 1025}]), "fields.0.value"),
        (full(fields=[{"name": "x", "value": " "}]), "BASE_TYPE_REQUIRED"),
        (full(fields=[{"value": "x"}]), "BASE_TYPE_REQUIRED"),
        (full(footer={"text": "x" * 2049}), "footer"),
        (full(author={"name": "x" * 257}), "author"),
        (full(description="x" * 4000, fields=[{"name": "x", "value": "x" * 995}] * 2), "6000"),
        (full(color=0x1000000), "color"),
        (full(color="red"), "color"),
        (full(image={"url": "attachment://b.png"}), "ATTACHMENT_NOT_FOUND"),
        (full(image={"url": "file:///a.png"}), "INVALID_SCHEME"),
        ({**full(), "attachments": [{"id": 1}]}, "attachments"),
        ({**full(), "attachments": [{"id": 0, "description": "x" * 1025}]}, "1024"),
        ({**full(), "allowed_mentions": {"parse": ["all"]}}, "allowed_mentions"),
    ],
)
def test_what_an_embed_may_not_hold_is_refused(message: dict[str, Any], where: str) -> None:
    answer = refusal(message, version=10, files=PICTURE)
    assert answer is not None
    assert answer.status == 400
    assert where in json.dumps(answer.body)


def test_files_that_are_too_large_or_too_many_are_refused() -> None:
    assert refusal({}, files={0: ("a", b"x" * MOST_FILE_BYTES)}) is None
    large = refusal({}, files={0: ("a", b"x" * (MOST_FILE_BYTES + 1))})
    assert large == Answer(413, {"message": "Request entity too large", "code": 40005})
    many = refusal({}, version=10, files={number: (str(number), b"x") for number in range(11)})
    assert many is not None
    assert many.status == 400


FORM = (
    b'--mark\r\nContent-Disposition: form-data; name="payload_json"\r\n\r\n{"embeds": [{"title": "t"}]}\r\n'
    b'--mark\r\nContent-Disposition: form-data; name="files[0]"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\r\n--other\r\n\x00\xff\r\n--mark--\r\n"
)


def post_form(url: str, body: bytes, kind: str) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": kind, "User-Agent": "test"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_form_is_read_by_its_boundary() -> None:
    with discord_server() as server:
        assert post_form(server.url(), FORM, "multipart/form-data; boundary=mark") == 204
        assert server.receiver.files == [{"a.png": b"\r\n--other\r\n\x00\xff"}]
        broken = [
            (FORM, "application/json"),
            (FORM, "multipart/form-data"),
            (FORM, "multipart/form-data; boundary=other"),
            (b"{}", "multipart/form-data; boundary=mark"),
            (FORM.removesuffix(b"--\r\n"), "multipart/form-data; boundary=mark"),
            (FORM.replace(b"files[0]", b"file"), "multipart/form-data; boundary=mark"),
            (FORM.replace(b'{"embeds"', b'{"embeds'), "multipart/form-data; boundary=mark"),
            (b"--mark--\r\n", "multipart/form-data; boundary=mark"),
        ]
        for body, kind in broken:
            assert post_form(server.url(), body, kind) == 400, (body, kind)
        assert len(server.receiver.accepted) == 1


def test_the_program_prints_fields_and_picture() -> None:
    assert readable(full()) == "title\n  text\n  name\n  value\n  footer\n  attachment://a.png\n"
