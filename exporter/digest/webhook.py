"""A channel's webhook: its URL, which is a secret, and how a message with a picture gets there."""

import http.client
import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from exporter.config import ConfigError, read_secret_file
from exporter.database.conninfo import is_shown
from exporter.errors import UserError
from exporter.humanize import printable
from exporter.logs import mask
from exporter.verify.web import first_line

VARIABLE = "DISCORD_WEBHOOK_URL"
"""The environment variable with the URL; with `_FILE`, the name of a file that holds it."""

_OPTION = "--webhook-url-file"
_WRITE = "write the webhook's URL, as Discord shows it: https://discord.com/api/webhooks/NUMBER/TOKEN"
_PATH = re.compile(r"/(?:[\w.-]+/)*webhooks/\d+/(?P<token>[\w.~-]+)/?")

_SECONDS = 30.0
_MOST_BYTES = 1 << 16
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_TRY_AGAIN = (408, 429)


@dataclass(frozen=True, repr=False)
class Webhook:
    """Where messages are posted. Its text names the host alone."""

    url: str = field(repr=False)
    token: str = field(repr=False)
    host: str

    def __repr__(self) -> str:
        return f"Webhook({self.host!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be printed."""
        return self.url, self.token


def find_webhook(file: Path | None, environ: Mapping[str, str]) -> Webhook:
    """The webhook of `--webhook-url-file`, else of the environment. Raises `ConfigError`, which quotes no secret."""
    if file is not None:
        return _webhook(_read(file, _OPTION), _OPTION)
    if text := environ.get(VARIABLE, ""):
        return _webhook(text, VARIABLE)
    if name := environ.get(f"{VARIABLE}_FILE", ""):
        return _webhook(_read(Path(name), f"{VARIABLE}_FILE"), f"{VARIABLE}_FILE")
    raise ConfigError([f"no webhook is given — name a file that holds its URL with {_OPTION}, or set {VARIABLE}_FILE"])


def _read(path: Path, source: str) -> str:
    try:
        return read_secret_file(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        shown = path if is_shown(path) else "the name is not shown, since there is no such folder"
        reason = error.strerror if isinstance(error, OSError) else "not a path, or not UTF-8"
    # outside of the handler: the error of the operating system quotes the name, which may be the URL itself
    raise ConfigError([f"{source}: {shown}: {reason} — name a file that holds the webhook's URL"])


def _webhook(text: str, source: str) -> Webhook:
    text = text.strip()
    try:
        split = urllib.parse.urlsplit(text)
        host, port = split.hostname, split.port
    except ValueError:
        host, port = None, None
    path = _PATH.fullmatch(split.path) if host and split.scheme in ("http", "https") else None
    if path is None or not text.isascii() or not text.isprintable() or " " in text or "@" in split.netloc:
        raise ConfigError([f"{source}: no URL of a webhook — {_WRITE}"])
    query = urllib.parse.urlencode([*urllib.parse.parse_qsl(split.query), ("wait", "true")])
    url = urllib.parse.urlunsplit((split.scheme, split.netloc, split.path, query, ""))
    return Webhook(url, path["token"], f"{host}:{port}" if port else str(host))


class RefusedError(UserError):
    """A message was not delivered; the text says why, without a secret.

    `wait` is in how many seconds to try again: None is never, 0 leaves it to whoever tries.
    """

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


def deliver(
    webhook: Webhook,
    message: Mapping[str, Any],
    files: Mapping[str, bytes],
    patience: float,
    wait: Callable[[float], bool],
) -> None:
    """Post a message, and try again where that may help, as long as waiting adds up to `patience` seconds.

    `wait` takes seconds, and returns whether to go on. An answer that does not come in time is tried again, too: the
    message may then stand in the channel twice. Raises `RefusedError`.
    """
    left, backoff = patience, _FIRST_WAIT
    while True:
        try:
            return post(webhook, message, files)
        except RefusedError as refused:
            if refused.wait is None:
                raise
            pause = max(refused.wait, backoff if refused.wait == 0 else 0.0)
            if pause > left or not wait(pause):
                raise
            left, backoff = left - pause, min(2 * backoff, _LONGEST_WAIT)


def post(webhook: Webhook, message: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Post a message with its files, by name, once. Raises `RefusedError`."""
    kind, body = _form(message, files)
    program = "ai-operation-exporter"
    headers = {"Content-Type": kind, "User-Agent": f"DiscordBot ({program}, {version(program)})"}
    request = urllib.request.Request(webhook.url, body, headers)  # noqa: S310 - http or https, see _webhook
    problem: tuple[str, float | None]
    try:
        with _OPENER.open(request, timeout=_SECONDS) as answer:
            answer.read(_MOST_BYTES)
            return
    except urllib.error.HTTPError as error:
        problem = _answered(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        problem = f"does not answer: {getattr(reason, 'strerror', None) or reason or type(reason).__name__}", 0.0
    # outside of the handler: the errors know the URL
    said, wait = problem
    raise RefusedError(printable(mask(f"{webhook.host} {said}", webhook.secrets)), wait)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The URL is a secret that no other server gets."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _form(message: Mapping[str, Any], files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Content type and body of multipart/form-data."""
    boundary = secrets.token_hex(16)
    text = json.dumps(message).encode()
    parts = [b'Content-Disposition: form-data; name="payload_json"\r\nContent-Type: application/json\r\n\r\n' + text]
    for number, (name, content) in enumerate(files.items()):
        head = f'Content-Disposition: form-data; name="files[{number}]"; filename="{name}"\r\nContent-Type: image/png'
        parts.append(f"{head}\r\n\r\n".encode() + content)
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    return f"multipart/form-data; boundary={boundary}", body


def _answered(error: urllib.error.HTTPError) -> tuple[str, float | None]:
    """What a refusal says, and after how many seconds to try again: None, not at all; 0, as the next in turn."""
    try:
        text = error.read(_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        text = ""
    said = f"answers {error.code}: {first_line(text)}"
    if error.code in (401, 403, 404):
        said += " — make sure that the webhook still exists, and that its URL is whole"
    if error.code not in _TRY_AGAIN and error.code < 500:
        return said, None
    return said, _retry_after(text, error.headers.get("Retry-After"))


def _retry_after(text: str, header: str | None) -> float:
    """Seconds, by Discord's own answer, or by that of the network before it; 0 where neither says."""
    try:
        known = json.loads(text)["retry_after"]
    except (ValueError, KeyError, TypeError):
        known = header
    try:
        seconds = float(known)
    except (TypeError, ValueError):
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0
