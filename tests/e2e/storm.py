"""A night on which much goes wrong at once, and the messages that arrive: what docs/notifications.md prints.

`python -m tests.e2e.storm` writes them there, as they come from a real Prometheus and a real Alertmanager; the test of
the same name compares them.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from exporter import catalog
from exporter.catalog import Metric
from tests.support import ROOT
from tests.support.alerting import Delivered, alerting
from tests.support.programs import wait_for

DOCUMENT = ROOT / "docs" / "notifications.md"
BEGIN, END = "<!-- the storm: written by `python -m tests.e2e.storm` -->\n", "<!-- the end of the storm -->\n"

USERS = 60
USUAL_LIMIT = 2.0
SLOW = {
    # calls and seconds by model
    "analytics-summary": {"claude-opus-4.5": (18, 93.6), "deepseek-v3.2": (24, 60.0)},
    "calendar-prep": {"deepseek-v3.2": (30, 105.0)},
    "email-compose": {"claude-opus-4.5": (12, 49.5), "deepseek-v3.2": (30, 63.4)},
    "email-respond": {"deepseek-v3.2": (64, 224.0), "claude-opus-4.5": (16, 76.8)},
    "task-breakdown": {"claude-opus-4.5": (40, 148.0)},
}
TIMEOUTS = {"gemini-2.0-flash": 30.0, "mistral-large": 60.0, "claude-opus-4.5": 120.0, "deepseek-v3.2": 90.0}
JOINED = "zed", 99.9, 1.0
"""Who joins later: the user, what is spent, and the limit."""


class Exporter:
    """What an exporter shows, as text; serves it on a free port."""

    def __init__(self) -> None:
        self.text = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


def exposition(*, storm: bool, joined: bool, users: int = USERS) -> str:
    """What the exporter shows before the storm, in it, and when one more user has joined."""
    return "".join(_lines(storm, joined, users))


def _lines(storm: bool, joined: bool, users: int) -> Iterator[str]:
    now = time.time()
    midnight = now - now % 86400
    part = 1.0 if storm else 0.0

    def line(metric: Metric, value: float, suffix: str = "", **labels: str) -> str:
        matchers = ",".join(f'{name}="{text}"' for name, text in labels.items())
        return f"{metric.name}{suffix}{{{matchers}}} {value!r}\n" if matchers else f"{metric.name}{suffix} {value!r}\n"

    yield line(catalog.LOG_UP, 1)
    yield line(catalog.STATE_COMMIT_FAILURES, 0)
    for collector in ("log", "budgets"):
        yield line(catalog.COLLECTOR_SUCCESS, 1, collector=collector)
    for window, length in (("day", 86400), ("month", 30 * 86400)):
        yield line(catalog.WINDOW_START, midnight, window=window)
        # a day that goes on, whenever this runs
        yield line(catalog.WINDOW_END, midnight + length + 86400, window=window)
    spent = 0.0
    people = [
        (f"user-{i:02}", USUAL_LIMIT * (1.01 + i * 37 % 60 / 100 if storm else 0.3), USUAL_LIMIT) for i in range(users)
    ]
    for user, money, limit in [*people, *([JOINED] if joined else [])]:
        spent += money
        yield line(catalog.USER_SPEND_TODAY, round(money, 2), user=user)
        yield line(catalog.USER_DAILY_LIMIT, limit, user=user)
    yield line(catalog.BUDGET_USERS, (users if storm else 0) + joined, state="exceeded")
    yield line(catalog.SPEND_TODAY, round(0.6 * spent, 2), operation="email-compose", model="claude-opus-4.5")
    yield line(catalog.SPEND_TODAY, round(0.4 * spent, 2), operation="email-respond", model="deepseek-v3.2")
    for operation, models in SLOW.items():
        for model, (calls, seconds) in models.items():
            of = {"operation": operation, "model": model}
            yield line(catalog.OPERATIONS, part * calls, **of)
            yield line(catalog.LATENCY, part * calls, "_count", **of)
            yield line(catalog.LATENCY, part * seconds, "_sum", **of)
    yield from _dead(part, line)
    for model, timeout in TIMEOUTS.items():
        yield line(catalog.MODEL_TIMEOUT, timeout, model=model)
        if model != "mistral-large":
            yield line(catalog.MODEL_LAST_SUCCESS, now, model=model)


def _dead(part: float, line: Callable[..., str]) -> Iterator[str]:
    """One model that reaches its timeout, and one that refuses every call at once."""
    # operation, model, calls, over the timeout, seconds
    for operation, model, calls, over, seconds in (
        ("email-classify", "gemini-2.0-flash", 9, 7, 225.0),
        ("task-prioritize", "gemini-2.0-flash", 5, 4, 128.0),
        ("calendar-time", "mistral-large", 4, 0, 0.8),
    ):
        of = {"operation": operation, "model": model}
        yield line(catalog.OPERATIONS, part * calls, **of)
        yield line(catalog.OVER_TIMEOUT, part * over, **of)
        yield line(catalog.LATENCY, part * calls, "_count", **of)
        yield line(catalog.LATENCY, part * seconds, "_sum", **of)


def storm(folder: Path) -> tuple[list[str], list[str]]:
    """All messages of the storm, and those that follow when one more user joins, each part by title."""
    exporter = Exporter()
    try:
        exporter.text = exposition(storm=False, joined=False)
        with alerting(folder, exporter.port, lambda _: {"for": "0s"}) as delivered:
            up = f"count({catalog.LOG_UP.name} == 1)"
            wait_for(lambda: delivered.prometheus.query(up), 60)
            exporter.text = exposition(storm=True, joined=False)
            delivered.wait("budget_exceeded", f"({USERS} firing)")
            delivered.wait("slow_operations", f"({len(SLOW)} firing)")
            delivered.wait("model_unavailable", "(2 firing)")
            first = _settled(delivered)
            exporter.text = exposition(storm=True, joined=True)
            delivered.wait("budget_exceeded", f"({USERS + 1} firing)")
            return sorted(first), sorted(_settled(delivered)[len(first) :])
    finally:
        exporter.stop()


def _settled(delivered: Delivered) -> list[str]:
    """All messages so far, when for some seconds no other has come."""
    seen = [len(delivered.texts), time.monotonic()]

    def quiet() -> bool:
        if len(delivered.texts) != seen[0]:
            seen[:] = [len(delivered.texts), time.monotonic()]
        return time.monotonic() - seen[1] > 8

    wait_for(quiet, 120)
    assert not delivered.receiver.refused
    return delivered.texts


def written(first: list[str], later: list[str]) -> str:
    """The messages as the document prints them; the time of day is that of an example."""
    parts = (
        (f"{USERS} users over their limit, {len(SLOW)} slow operations, two models that do not answer:", first),
        (f"Then user {JOINED[0]}, at 9,990 % of the limit, joins:", later),
    )
    text = "\n".join(
        "\n".join([f"{said}\n", *(f"```text\n{message.strip()}\n```\n" for message in messages)])
        for said, messages in parts
    )
    return re.sub(r"New since .*? UTC", "New since 26 Nov 14:05 UTC", text)


def main() -> int:
    """Let the storm come, and write its messages into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    with tempfile.TemporaryDirectory() as folder:
        messages = written(*storm(Path(folder)))
    DOCUMENT.write_text(f"{before}{BEGIN}\n{messages}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
