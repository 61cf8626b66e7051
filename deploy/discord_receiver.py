"""A local receiver of Discord webhooks: refuses what Discord refuses, and prints what it accepted.

For trying alerts out without Discord: `python discord_receiver.py --listen 127.0.0.1:9094`, and
`http://127.0.0.1:9094/api/webhooks/1/anything` as the webhook's URL. Needs nothing but Python; one file, so that a
container can run it as it is. Limits and answers follow Discord's documentation of webhooks, embeds and error codes
(docs.discord.com, "Execute Webhook", "Uploading Files", "Embed Limits", "JSON Error Codes").
"""

import argparse
import contextlib
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MOST_EMBEDS = 10
MOST_CONTENT, MOST_TITLE, MOST_DESCRIPTION, MOST_IN_ALL = 2000, 256, 4096, 6000
MOST_FIELDS, MOST_FIELD_NAME, MOST_FIELD_VALUE, MOST_FOOTER, MOST_AUTHOR = 25, 256, 1024, 2048, 256
MOST_USERNAME = 80
MOST_FILES, MOST_FILE_BYTES, MOST_FILE_TEXT = 10, 10 << 20, 1024
MOST_COLOR = 0xFFFFFF
_MOST_BYTES = MOST_FILE_BYTES + (1 << 20)
_BLOCKED = "Python-urllib"
"""How a program names itself that does not say what it is."""

_MENTIONS = ("everyone", "roles", "users")
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


class UnreadableError(ValueError):
    """A request's body is not what its content type says."""


def is_as_said(body: bytes, content_type: str) -> bool:
    """Whether a request's content type is that of its body: a form with its boundary, or else JSON."""
    kind, _, parameters = content_type.partition(";")
    boundary = re.search(r'boundary="?([^";]{1,70})', parameters)
    if kind.strip().lower() == "multipart/form-data":
        return boundary is not None and body.startswith(f"--{boundary[1]}\r\n".encode())
    return not body.startswith(b"--")


def read_form(body: bytes) -> tuple[Any, dict[int, tuple[str, bytes]]]:
    """The message of a request, and its files: by their number, the name and the content. Raises `UnreadableError`."""
    if not body.startswith(b"--"):
        return _json(body), {}
    # each boundary stands on a line of its own, and the last one is marked
    pieces = (b"\r\n" + body).split(b"\r\n" + body.partition(b"\r\n")[0])
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise UnreadableError
    message: Any = None
    files: dict[int, tuple[str, bytes]] = {}
    for piece in pieces[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = head.decode("utf-8", "replace")
        named = re.search(r'name="([^"]*)"(?:; filename="([^"]*)")?', said)
        number = re.fullmatch(r"files\[(\d)\]", named[1]) if named else None
        if named and named[1] == "payload_json":
            message = _json(content)
        elif named and number and named[2]:
            files[int(number[1])] = named[2], content
        else:
            raise UnreadableError
    return message, files


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise UnreadableError from None


def refusal(
    message: Any, *, version: int | None = None, files: Mapping[int, tuple[str, bytes]] | None = None
) -> Answer | None:
    """Discord's answer to a message that it does not take, None if it does; `files` are by number: name and content.

    The unversioned API names a bad embed by its number only: `{"embeds": ["0"]}`. An embed that shows a file which is
    not there is refused, where Discord would leave the picture out without a word.
    """
    if not isinstance(message, dict):
        return Answer(400, {"message": "The request body contains invalid JSON.", "code": 50109})
    if refused := _files_refusal(message, files or {}):
        return refused
    content, embeds = message.get("content") or "", message.get("embeds") or []
    if not isinstance(content, str) or not isinstance(embeds, list):
        return _invalid({"content": _error("BASE_TYPE_BAD_TYPE", "A text and a list of embeds are expected.")})
    if length(content) > MOST_CONTENT:
        return _invalid({"content": _too_long(MOST_CONTENT)})
    if length(str(message.get("username") or "")) > MOST_USERNAME:
        return _invalid({"username": _too_long(MOST_USERNAME)})
    if len(embeds) > MOST_EMBEDS:
        return _invalid({"embeds": _error("BASE_TYPE_MAX_LENGTH", f"Must be {MOST_EMBEDS} or fewer in length.")})
    if unknown := set((message.get("allowed_mentions") or {}).get("parse") or []) - set(_MENTIONS):
        return _invalid({"allowed_mentions": _error("BASE_TYPE_CHOICES", f"Value must be one of {sorted(unknown)}")})
    names = [name for name, _ in (files or {}).values()]
    wrong = {str(i): errors for i, embed in enumerate(embeds) if (errors := _embed_errors(embed, names))}
    if wrong:
        return Answer(400, {"embeds": list(wrong)}) if version is None else _invalid({"embeds": wrong})
    if sum(_embed_length(embed) for embed in embeds) > MOST_IN_ALL:
        return _invalid({"embeds": _error("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum of {MOST_IN_ALL}")})
    if not content.strip() and not files and not any(_embed_length(embed) for embed in embeds):
        return Answer(400, {"message": "Cannot send an empty message", "code": 50006})
    return None


def _files_refusal(message: Mapping[str, Any], files: Mapping[int, tuple[str, bytes]]) -> Answer | None:
    if any(len(content) > MOST_FILE_BYTES for _, content in files.values()):
        return Answer(413, {"message": "Request entity too large", "code": 40005})
    if len(files) > MOST_FILES:
        return _invalid({"files": _error("BASE_TYPE_MAX_LENGTH", f"Must be {MOST_FILES} or fewer in length.")})
    for place, attached in enumerate(message.get("attachments") or []):
        if attached.get("id") not in files:
            problem = _error("ATTACHMENT_NOT_FOUND", "The attachment is not among the files.")
        elif length(str(attached.get("description") or "")) > MOST_FILE_TEXT:
            problem = {"description": _too_long(MOST_FILE_TEXT)}
        else:
            continue
        return _invalid({"attachments": {str(place): problem}})
    return None


def _embed_errors(embed: Any, files: Collection[str]) -> dict[str, Any]:
    if not isinstance(embed, dict):
        return _error("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
    errors = {name: _too_long(most) for name, text, most in _texts(embed) if length(text) > most}
    fields = embed.get("fields") or []
    if len(fields) > MOST_FIELDS:
        errors["fields"] = _error("BASE_TYPE_MAX_LENGTH", f"Must be {MOST_FIELDS} or fewer in length.")
    for place, field_ in enumerate(fields):
        if not all(str(field_.get(name) or "").strip() for name in ("name", "value")):
            errors[f"fields.{place}"] = _error("BASE_TYPE_REQUIRED", "This field is required")
    color = embed.get("color", 0)
    if not isinstance(color, int) or not 0 <= color <= MOST_COLOR:
        errors["color"] = _error("NUMBER_TYPE_MAX", f"int value should be less than or equal to {MOST_COLOR}.")
    for name in ("image", "thumbnail"):
        scheme, _, rest = str((embed.get(name) or {"url": "https://"})["url"]).partition("://")
        if scheme not in ("http", "https", "attachment"):
            errors[name] = _error("URL_TYPE_INVALID_SCHEME", f'Scheme "{scheme}" is not supported.')
        elif scheme == "attachment" and rest not in files:
            errors[name] = _error("UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", "The file was not found.")
    return errors


def _texts(embed: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Each text that counts: where it is, without the blanks around it, and its limit."""
    for name, most in (("title", MOST_TITLE), ("description", MOST_DESCRIPTION)):
        yield name, str(embed.get(name) or "").strip(), most
    for name, key, most in (("footer", "text", MOST_FOOTER), ("author", "name", MOST_AUTHOR)):
        yield name, str((embed.get(name) or {}).get(key) or "").strip(), most
    for place, field_ in enumerate(embed.get("fields") or []):
        for name, most in (("name", MOST_FIELD_NAME), ("value", MOST_FIELD_VALUE)):
            yield f"fields.{place}.{name}", str(field_.get(name) or "").strip(), most


def _embed_length(embed: Mapping[str, Any]) -> int:
    return sum(length(text) for _, text, _ in _texts(embed))


def _error(code: str, message: str) -> dict[str, Any]:
    return {"_errors": [{"code": code, "message": message}]}


def _too_long(most: int) -> dict[str, Any]:
    return _error("BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")


def _invalid(errors: Mapping[str, Any]) -> Answer:
    return Answer(400, {"code": 50035, "message": "Invalid Form Body", "errors": errors})


class DiscordReceiver:
    """A running receiver; `accepted` and `refused` hold what came, in order, as (path, message) and answers.

    `files` has those of each accepted message, by name.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, told: Callable[[Mapping[str, Any]], None] = lambda _: None
    ) -> None:
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.files: list[dict[str, bytes]] = []
        self.refused: list[Answer] = []
        self._told = told
        self._limited: list[Answer] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def limit_rate(self, requests: int, retry_after: float) -> None:
        """Refuse the next requests with 429, and say that they may come again after so many seconds."""
        limited = {"message": "You are being rate limited.", "retry_after": retry_after, "global": False}
        headers = {"Retry-After": f"{retry_after:g}", "X-RateLimit-Remaining": "0"}
        self.fail(*[Answer(429, limited, headers)] * requests)

    def fail(self, *answers: Answer) -> None:
        """Give these answers to the next requests, whatever they hold."""
        with self._lock:
            self._limited = list(answers)

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
            return self._limited.pop(0)
        try:
            message, files = read_form(body)
        except UnreadableError:
            message, files = None, {}
        version = webhook["version"]
        if refused := refusal(message, version=int(version) if version else None, files=files):
            return refused
        self.accepted.append((url.path, message))
        self.files.append(dict(files.values()))
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
                received = self.rfile.read(size)
                if str(self.headers.get("User-Agent")).startswith(_BLOCKED):
                    # by the network before Discord, whatever is sent
                    self.send_error(403, "error code: 1010")
                    return
                said = self.headers.get("Content-Type") or ""
                answer = receiver.answer(self.path, received if is_as_said(received, said) else b"")
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
        texts = [
            str(embed.get("description") or ""),
            *(f"{field_['name']}\n{field_['value']}" for field_ in embed.get("fields") or []),
            *(str((embed.get(name) or {}).get(key) or "") for name, key in (("footer", "text"), ("image", "url"))),
        ]
        lines += [str(embed.get("title") or ""), *(f"  {line}" for line in texts[0].split("\n"))]
        lines += [f"  {line}" for text in texts[1:] if text for line in text.split("\n")]
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
    with contextlib.suppress(KeyboardInterrupt):
        receiver.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
