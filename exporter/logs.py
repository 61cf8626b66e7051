"""One line a record, on standard error, with no secret in it: neither in the message nor in a traceback."""

import codecs
import contextlib
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import TextIO
from urllib.parse import quote, quote_plus

_MASK = "***"
_LEAST_SECRET = 3  # masking every "a" would tell more than it hides
_PLAIN = re.compile(r"[^\s\"=\\]+")
_ESCAPES = "unicode_escape"
codecs.lookup(_ESCAPES)  # loads it now: when a line has to be logged, there may be no file left to open
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret of three characters or more replaced, however it is written."""
    for form in _forms(tuple(secrets)):
        text = text.replace(form, _MASK)
    return text


@cache
def _forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    forms = {form for secret in secrets if len(secret) >= _LEAST_SECRET for form in _spellings(secret)}
    # The longest first: a short form inside a long one would leave the rest of it standing.
    return tuple(sorted(forms, key=len, reverse=True))


def _spellings(secret: str) -> Iterator[str]:
    encoded = {quote(secret, safe="", errors="replace"), quote(secret, errors="replace")}
    encoded.add(quote_plus(secret, errors="replace"))
    yield secret
    for spelling in encoded:
        yield spelling
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), spelling)
    yield repr(secret)[1:-1]
    yield ascii(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield re.sub(r"([\\'])", r"\\\1", secret)  # as libpq's key=value words have it


class LineFormatter(logging.Formatter):
    """A line with the fields ts, level, logger, msg, and for errors error, with the given secrets masked.

    `form` is logfmt (``ts=… level=… logger=… msg=… error=…``) or json (an object in ASCII, so that no character breaks
    the line). Of an error that the database driver raised only the kind is shown: its text may quote the connection
    string.
    """

    def __init__(self, secrets: Iterable[str], form: str = "logfmt") -> None:
        super().__init__()
        self._secrets = tuple(secrets)
        self.line = _FORMS[form]

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": self._masked(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = self._trace(record.exc_info[1])
        if record.stack_info:
            fields["stack"] = self._masked(record.stack_info)
        return self.line(fields)

    def _masked(self, text: str) -> str:
        # before quoting, which could change how a secret is written
        return mask(text, self._secrets)

    def _trace(self, error: BaseException) -> str:
        # Not our own words between two errors: a gap in a known sentence would spell the secret.
        return "".join(text if text in _LINKS else self._masked(text) for text in _describe(error)).strip()


def _logfmt(fields: Mapping[str, str]) -> str:
    return " ".join(f"{name}={_logfmt_value(value)}" for name, value in fields.items())


_FORMS: Mapping[str, Callable[[Mapping[str, str]], str]] = {"logfmt": _logfmt, "json": json.dumps}


def _logfmt_value(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _CONTROL.search(text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda match: match[0].encode(_ESCAPES).decode(), text) + '"'


_HEAD, _CAUSED, _DURING = "Traceback (most recent call last):\n", "\nwhich caused:\n", "\nduring which:\n"
_LINKS = frozenset({_HEAD, _CAUSED, _DURING})


def _describe(error: BaseException) -> Iterator[str]:
    """What the traceback module would print, save the text of the driver's errors."""
    chain: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    link = ""
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append((current, link))
        if current.__cause__ is not None:
            current, link = current.__cause__, _CAUSED
        elif not current.__suppress_context__:
            current, link = current.__context__, _DURING
        else:
            break
    for one, after in reversed(chain):
        yield _HEAD
        yield from traceback.format_tb(one.__traceback__)
        yield from _title(one)
        yield after


def _title(error: BaseException) -> Iterator[str]:
    module = type(error).__module__
    if module == "psycopg" or module.startswith("psycopg."):
        yield f"{module}.{type(error).__qualname__} (its text is withheld)\n"
        return
    yield from traceback.format_exception_only(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _describe(inner)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say that a record was lost; the usual report would print its arguments unmasked."""
        try:
            line = self.formatter.line if isinstance(self.formatter, LineFormatter) else _logfmt
            fields = {"level": "error", "logger": "exporter.logs", "msg": f"lost a record of {record.module}"}
            self.stream.write(f"{line(fields)}\n")
        except (OSError, ValueError):
            return  # standard error is gone: there is nowhere to say so


def install_logging(level: str, secrets: Iterable[str], form: str = "logfmt") -> None:
    """Send all logging, warnings and uncaught errors to standard error; may be called again with more secrets.

    `form` is logfmt or json.
    """
    formatter = LineFormatter(secrets, form)
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, _Handler) and one.stream is sys.stderr), None)
    if handler is not None:
        # at once: between taking one handler away and adding another, a line would be lost or go out unmasked
        handler.setFormatter(formatter)
    else:
        handler = _Handler(sys.stderr)
        handler.setFormatter(formatter)
        for old in [one for one in root.handlers if isinstance(one, _Handler)]:
            root.removeHandler(old)
        root.addHandler(handler)
    root.setLevel(level.upper())
    # The driver's debug lines quote what the server and libpq say, and it warns of each pipeline that ends with a lost
    # connection, which is logged as one anyway.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


@contextlib.contextmanager
def logging_through(stream: TextIO) -> Iterator[None]:
    """Send log lines, and all else for standard error, to `stream` until the context is left.

    For a terminal on which something moves below the lines.
    """
    before = sys.stderr
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, _Handler) and one.stream is before]
    sys.stderr = stream
    for handler in handlers:
        handler.setStream(stream)
    try:
        yield
    finally:
        sys.stderr = before
        for handler in handlers:
            handler.setStream(before)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("exporter").critical("uncaught error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread else "?"
    exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("exporter").critical("uncaught error in thread %s", name, exc_info=exc_info)
