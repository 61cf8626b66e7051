"""A local receiver of Discord webhooks: refuses what Discord refuses, and prints what it accepted.

For trying alerts out without Discord: `python discord_receiver.py --listen 127.0.0.1:9094`, and
`http://127.0.0.1:9094/api/webhooks/1/anything` as the webhook's URL. Needs nothing but Python; one file, so that a
container can run it as it is. Limits and answers follow Discord's documentation of webhooks, embeds and error codes
(docs.discord.com, "Execute Webhook", "Embed Limits", "JSON Error Codes").
"""

import argparse
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MOST_EMBEDS = 10
MOST_CONTENT, MOST_TITLE, MOST_DESCRIPTION, MOST_IN_ALL = 2000, 256, 4096, 6000
MOST_USERNAME = 80
_MOST_BYTES = 1 << 20
_PATH = re.compile(r"/api(?:/v(?P<version>\d+))?/webhooks/(?P<id>\d+)/[\w-]+\Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, JSON body (None: no content) and headers."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def length(text: str) -> int:
    """Characters as the strictest of Discord's clients count them: UTF-16 units, so that most emoji are two."""
    return len(text.encode("utf-16-le")) // 2


def refusal(message: Any, *, version: int | None = None) -> Answer | None:
    """Discord's answer to a message that it does not take, None if it does.

    The unversioned API names a bad embed by its number only: `{"embeds": ["0"]}`.
    """
    if not isinstance(message, dict):
        return Answer(400, {"message": "The request body contains invalid JSON.", "code": 50109})
    content, embeds = message.get("content") or "", message.get("embeds") or []
    if not isinstance(content, str) or not isinstance(embeds, list):
        return _invalid({"content": _error("BASE_TYPE_BAD_TYPE", "A text and a list of embeds are expected.")})
    if length(content) > MOST_CONTENT:
        return _invalid({"content": _too_long(MOST_CONTENT)})
    if length(str(message.get("username") or "")) > MOST_USERNAME:
        return _invalid({"username": _too_long(MOST_USERNAME)})
    if len(embeds) > MOST_EMBEDS:
        return _invalid({"embeds": _error("BASE_TYPE_MAX_LENGTH", f"Must be {MOST_EMBEDS} or fewer in length.")})
    wrong = {str(i): errors for i, embed in enumerate(embeds) if (errors := _embed_errors(embed))}
    if wrong:
        return Answer(400, {"embeds": list(wrong)}) if version is None else _invalid({"embeds": wrong})
    if sum(_embed_length(embed) for embed in embeds) > MOST_IN_ALL:
        return _invalid({"embeds": _error("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum of {MOST_IN_ALL}")})
    if not content.strip() and not any(_embed_length(embed) for embed in embeds):
        return Answer(400, {"message": "Cannot send an empty message", "code": 50006})
    return None


def _embed_errors(embed: Any) -> dict[str, Any]:
    if not isinstance(embed, dict):
        return _error("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
    limits = {"title": MOST_TITLE, "description": MOST_DESCRIPTION}
    return {name: _too_long(most) for name, most in limits.items() if length(str(embed.get(name) or "").strip()) > most}


def _embed_length(embed: Mapping[str, Any]) -> int:
    return sum(length(str(embed.get(name) or "").strip()) for name in ("title", "description"))


def _error(code: str, message: str) -> dict[str, Any]:
    return {"_errors": [{"code": code, "message": message}]}


def _too_long(most: int) -> dict[str, Any]:
    return _error("BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")


def _invalid(errors: Mapping[str, Any]) -> Answer:
    return Answer(400, {"code": 50035, "message": "Invalid Form Body", "errors": errors})


class DiscordReceiver:
    """A running receiver; `accepted` and `refused` hold what came, in order, as (path, message) and answers."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, told: Callable[[Mapping[str, Any]], None] = lambda _: None
    ) -> None:
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[Answer] = []
        self._told = told
        self._limited: list[float] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def limit_rate(self, requests: int, retry_after: float) -> None:
        """Refuse the next requests with 429, and say that they may come again after so many seconds."""
        with self._lock:
            self._limited = [retry_after] * requests

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self) -> None:
        """Serve in this thread, until interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Stop a receiver that was started."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str, body: bytes) -> Answer:
        """The answer to a POST, which is recorded."""
        with self._lock:
            answer = self._judged(target, body)
            if answer.status >= 400:
                self.refused.append(answer)
        return answer

    def _judged(self, target: str, body: bytes) -> Answer:
        url = urlsplit(target)
        webhook = _PATH.match(url.path)
        if not webhook:
            return Answer(404, {"message": "404: Not Found", "code": 0})
        if self._limited:
            seconds = self._limited.pop(0)
            limited = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
            return Answer(429, limited, {"Retry-After": f"{seconds:g}", "X-RateLimit-Remaining": "0"})
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        version = webhook["version"]
        if refused := refusal(message, version=int(version) if version else None):
            return refused
        self.accepted.append((url.path, message))
        self._told(message)
        if parse_qs(url.query).get("wait") == ["true"]:
            return Answer(200, {"id": str(len(self.accepted)), "webhook_id": webhook["id"], **message})
        return Answer(204)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                if not 0 <= size <= _MOST_BYTES:
                    self.send_error(413)
                    return
                answer = receiver.answer(self.path, self.rfile.read(size))
                body = b"" if answer.body is None else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing: a request's path holds the webhook's token."""

        return Handler


def readable(message: Mapping[str, Any]) -> str:
    """A message as text for a terminal, without what would steer the terminal."""
    lines = [str(message["content"])] if message.get("content") else []
    for embed in message.get("embeds") or []:
        lines += [
            str(embed.get("title") or ""),
            *(f"  {line}" for line in str(embed.get("description") or "").split("\n")),
        ]
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in "\n".join(lines)) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Receive, and print each message, until interrupted."""
    parser = argparse.ArgumentParser(description="Receive Discord webhooks, hold them to Discord's limits, print them.")
    parser.add_argument("--listen", default="127.0.0.1:9094", metavar="HOST:PORT", help="default: %(default)s")
    host, _, port = parser.parse_args(arguments).listen.rpartition(":")
    if not port.isdigit():
        parser.error("--listen: write HOST:PORT, like 127.0.0.1:9094")

    def say(message: Mapping[str, Any]) -> None:
        print(readable(message), flush=True)

    # also where whoever started it has SIGINT ignored, and as a container's first process
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    receiver = DiscordReceiver(host, int(port), say)
    print(f"waiting for webhooks at http://{host}:{receiver.port}/api/webhooks/1/anything", flush=True)
    try:
        receiver.serve()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
