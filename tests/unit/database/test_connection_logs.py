"""The log's lines: one a record, no secret in any of them, and nothing of the driver's text."""

import json
import logging
import shlex
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.logs import LineFormatter, install_logging, mask

SECRETS = st.text(st.sampled_from(list("@:/?#% \\'\"\nQXé")) | st.characters(exclude_categories=["Cs"]), min_size=3)


def line(message: str, *args: object, secrets: tuple[str, ...] = (), error: BaseException | None = None) -> str:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("exporter.x", logging.INFO, "x.py", 1, message, args, exc_info)
    return LineFormatter(secrets).format(record)


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_a_record_is_a_line_of_fields() -> None:
    fields = dict(word.split("=", 1) for word in shlex.split(line("read %d rows", 3)))
    assert fields.pop("ts").endswith("+00:00")
    assert fields == {"level": "info", "logger": "exporter.x", "msg": "read 3 rows"}


@given(st.text())
def test_no_message_breaks_its_line_or_forges_a_field(message: str) -> None:
    written = line("%s", message)
    assert len(written.splitlines()) == 1
    assert written.encode()
    value = written.split(" msg=", 1)[1]
    if not value.startswith('"'):
        assert value == message
    else:
        inner = value[1:-1].replace("\\\\", "").replace('\\"', "")
        assert value.endswith('"')
        assert '"' not in inner


@given(SECRETS)
def test_a_secret_is_masked_however_it_is_written(secret: str) -> None:
    for written in (secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert mask(f"<<{written}>>", [secret]) == "<<***>>"


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert mask("abcdef abc", ["abc", "abcdef"]) == "*** ***"


def test_a_short_secret_does_not_blot_out_the_log() -> None:
    assert mask("a bad day", ["a", ""]) == "a bad day"


@given(SECRETS)
@example("\nwh")
@example("which caused")
@example("Traceback")
@example("\nwhich caused:\n")
@example("msg")
def test_a_secret_is_masked_in_messages_and_tracebacks(secret: str) -> None:
    try:
        try:
            raise ValueError(f"inner QQ{secret}QQ")
        except ValueError as inner:
            raise RuntimeError(f"outer QQ{secret}QQ") from inner
    except RuntimeError as error:
        written = line("message QQ%sQQ", secret, secrets=(secret,), error=error)
    assert written.count("QQ***QQ") == 3
    # a gap in a sentence of ours would spell the secret
    assert "\\nwhich caused:\\n" in written
    assert 'error="Traceback (most' in written


def test_what_the_driver_says_is_withheld_also_deep_in_a_chain() -> None:
    driver = raised(psycopg.OperationalError("failed to resolve host 'ET@db'"))
    try:
        try:
            raise driver
        except psycopg.Error:
            raise KeyError("shown")  # noqa: B904
    except KeyError as error:
        written = line("x", error=error)
    assert "psycopg.OperationalError (its text is withheld)" in written
    assert "KeyError: 'shown'" in written
    assert "during which" in written
    assert "ET@db" not in written
    group = raised(ExceptionGroup("several", [driver]))
    assert "several" in line("x", error=group)
    assert "ET@db" not in line("x", error=group)


def test_a_suppressed_context_stays_out() -> None:
    shown = KeyError("shown")
    shown.__context__ = raised(ValueError("hidden"))
    assert "hidden" in line("x", error=raised(shown))
    shown.__suppress_context__ = True
    assert "hidden" not in line("x", error=raised(shown))


def run(code: str) -> list[str]:
    head = "import logging, threading, warnings\nfrom exporter.logs import install_logging\n"
    process = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert process.stdout == ""
    assert "S3CRET" not in process.stderr
    return process.stderr.splitlines()


def test_everything_that_reaches_standard_error_is_a_masked_line() -> None:
    lines = run(
        """
        install_logging("info", [])
        install_logging("info", ["S3CRET"])
        logging.getLogger("a").debug("unseen")
        logging.getLogger("a").info("one S3CRET")
        logging.getLogger("a").info("two %d", "S3CRET")
        warnings.warn("three S3CRET")
        thread = threading.Thread(target=lambda: int("S3CRET"), name="reader")
        thread.start(); thread.join()
        raise ValueError("S3CRET")
        """
    )
    assert len(lines) == 5
    assert lines[0].endswith('logger=a msg="one ***"')
    assert lines[1] == 'level=error logger=exporter.logs msg="lost a record of <string>"'
    assert "three ***" in lines[2]
    assert 'msg="uncaught error in thread reader" error="Traceback' in lines[3]
    assert lines[4].endswith('ValueError: ***"')


@pytest.fixture
def own_hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes what `install_logging` does to the process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def test_uncaught_errors_are_masked_lines(own_hooks: None, capsys: pytest.CaptureFixture[str]) -> None:
    install_logging("info", ["S3CRET"])
    error = raised(ValueError("S3CRET"))
    sys.excepthook(type(error), error, error.__traceback__)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    for kind in (ValueError, SystemExit):
        threading.excepthook(threading.ExceptHookArgs((kind, kind("S3CRET"), None, None)))
    logging.info("with a stack", stack_info=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "uncaught error" in lines[0]
    assert lines[0].endswith('ValueError: ***"')
    assert lines[1].endswith('ValueError: ***"')
    assert 'stack="Stack (most recent call last)' in lines[2]


def test_the_level_is_obeyed() -> None:
    lines = run('install_logging("warning", []); [logging.log(n, "x") for n in (10, 20, 30, 40)]')
    assert [shlex.split(one)[1] for one in lines] == ["level=warning", "level=error"]


def test_a_closed_stream_does_not_stop_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("import sys; install_logging('info', []); sys.stderr.close(); logging.info('x')") == []


@given(st.text(), st.text())
def test_json_is_one_object_a_line_with_the_fields_of_logfmt(logger: str, message: str) -> None:
    record = logging.LogRecord(logger, logging.WARNING, "x.py", 1, "%s", (message,), None)
    written = LineFormatter([], "json").format(record)
    assert len(written.splitlines()) == 1
    assert written.isascii()
    fields = json.loads(written)
    assert list(fields) == ["ts", "level", "logger", "msg"]
    assert (fields["level"], fields["logger"], fields["msg"]) == ("warning", logger, message)


@given(SECRETS)
def test_no_secret_is_in_json_either(secret: str) -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "said %s", (f"<<{secret}>>",), None)
    record.exc_info = (ValueError, raised(ValueError(f"of <<{secret}>>")), None)
    fields = json.loads(LineFormatter([secret], "json").format(record))
    assert fields["msg"] == "said <<***>>"
    assert "of <<***>>" in fields["error"]


def test_the_form_is_chosen_and_holds_for_what_cannot_be_logged() -> None:
    head = "import logging\nfrom exporter.logs import install_logging\ninstall_logging('info', ['S3CRET'], 'json')\n"
    body = "logging.info('of S3CRET')\nlogging.info('%d', 'none')\n"
    said = subprocess.run([sys.executable, "-c", head + body], capture_output=True, text=True, check=True).stderr
    first, lost = map(json.loads, said.splitlines())
    assert first["msg"] == "of ***"
    assert lost["msg"].startswith("lost a record of ")
