"""The metrics as a scraper sees them."""

import gzip
import logging
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import catalog
from exporter.web.families import Family
from exporter.web.limits import Limits, ScrapeTimeouts
from exporter.web.metrics import describe
from exporter.web.negotiate import accepts_gzip, choose_format
from tests.support.web import PATIENCE, SCRAPE, TIMEOUTS, App, await_hangup, dial, fetch, read_all, serving

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OPENMETRICS, TEXT = "application/openmetrics-text", "text/plain"


def samples(text: str) -> dict[str, float]:
    return {sample.name: sample.value for family in parse_text(text) for sample in family.samples}


def test_a_client_without_wishes_gets_plain_text() -> None:
    with serving() as port:
        answer = fetch(port)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {name.strip() for name in answer.headers["Vary"].split(",")} == {"Accept", "Accept-Encoding"}
    assert "Content-Encoding" not in answer.headers
    assert samples(answer.text)["calls_total"] == 3


def test_prometheus_gets_openmetrics() -> None:
    with serving() as port:
        answer = fetch(port, Accept=PROMETHEUS_ACCEPT)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = parse_openmetrics(answer.text)  # type: ignore[no-untyped-call]
    assert [family.name for family in parsed] == ["calls", "size", "latency"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        (OPENMETRICS, OPENMETRICS),
        (f"{OPENMETRICS};version=1.0.0", OPENMETRICS),
        (f"{OPENMETRICS};version=99.0.0", TEXT),
        (f"{OPENMETRICS};version=abc", TEXT),
        (f"{OPENMETRICS};q=0", TEXT),
        (f"{OPENMETRICS};q=0.2,text/plain;q=0.9", TEXT),
        (f"{OPENMETRICS};q=nan,text/plain;q=0.1", TEXT),
        (f"{OPENMETRICS};q=good", TEXT),
        (f"text/plain;q=0.1, {OPENMETRICS.upper()};q=0.2", OPENMETRICS),
    ],
)
def test_the_best_liked_known_format_is_sent(accept: str | None, kind: str) -> None:
    assert choose_format(accept)[1].partition(";")[0] == kind


@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8", "dots", "values", "VALUES", "new", ""])
@pytest.mark.parametrize("kind", [f"{OPENMETRICS};version=1.0.0", f"{TEXT};version=1.0.0", f"{TEXT};version=0.0.4"])
@pytest.mark.parametrize("written", ["{};escaping={}", "{}; escaping={};q=0.6", "{};q=0.6;escaping={}"])
def test_names_are_the_same_whichever_escaping_a_scraper_asks_for(escaping: str, kind: str, written: str) -> None:
    family = CounterMetricFamily("ai_operation_cost_usd", "Cost.", labels=["operation_id"])
    family.add_metric(["email-compose"], 3)

    class Registry:
        def collect(self) -> list[Metric]:
            return [family]

    encoder, content_type = choose_format(written.format(kind, escaping))
    assert 'ai_operation_cost_usd_total{operation_id="email-compose"} 3' in encoder(Registry()).decode()
    agreed = content_type.partition("escaping=")[2]
    assert agreed in ("", "underscores", "allow-utf-8")
    assert not agreed or kind.endswith("1.0.0")


@given(
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from([*PROMETHEUS_ACCEPT.replace(",", ";").split(";"), ",", ";", "q=", "version=", "escaping=x"])
        ).map(";".join),
    )
)
def test_any_accept_header_leads_to_a_known_format(accept: str) -> None:
    encoder, content_type = choose_format(accept)
    assert content_type.partition(";")[0] in (TEXT, OPENMETRICS)
    assert "\n" not in content_type
    assert callable(encoder)


def test_gzip_when_accepted_and_only_then() -> None:
    with serving() as port:
        zipped = fetch(port, Accept_Encoding="deflate, gzip;q=0.5")
        plain = fetch(port, Accept_Encoding="gzip;q=0, identity")
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP;Q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=soon", False),
        ("x-gzip", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity, br", False),
    ],
)
def test_which_clients_take_gzip(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@given(st.text())
def test_any_encoding_header_is_understood_somehow(header: str) -> None:
    assert accepts_gzip(f"{header},gzip;q=0") in (False, "gzip" in header.lower())


def test_head_has_the_headers_without_a_scrape() -> None:
    app = App()
    with serving(app) as port:
        answer = fetch(port, method="HEAD", Accept=PROMETHEUS_ACCEPT, Accept_Encoding="gzip")
        page = fetch(port, "/-/healthy", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in answer.headers
    assert app.timeouts == []
    assert (page.status, page.body, page.headers["Content-Length"]) == (200, b"", "6")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name[]=calls_total", {"calls_total"}),
        ("name%5B%5D=calls_total&name[]=size", {"calls_total", "size"}),
        ("name[]=latency_sum", {"latency_sum"}),
        ("name[]=absent", set()),
        ("name=calls_total", {"calls_total", "size", "latency_bucket", "latency_sum", "latency_count"}),
    ],
)
def test_names_choose_samples(query: str, expected: set[str]) -> None:
    with serving() as port:
        answer = fetch(port, f"/metrics?{query}")
    assert answer.status == 200
    assert set(samples(answer.text)) == expected


def test_choosing_names_leaves_the_next_scrape_whole() -> None:
    with serving() as port:
        whole = fetch(port).text
        fetch(port, "/metrics?name[]=size")
        assert fetch(port).text == whole


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, 10.0), ("8", 7.5), ("2.25", 1.75), ("86400", 30.0)],
)
def test_a_scrape_has_the_time_that_its_scraper_allows(header: str | None, expected: float) -> None:
    app = App()
    with serving(app) as port:
        answer = fetch(port) if header is None else fetch(port, X_Prometheus_Scrape_Timeout_Seconds=header)
        assert answer.status == 200
    # What has passed until a thread took it up is taken off.
    assert expected - 1.0 < app.timeouts[0] <= expected


@pytest.mark.parametrize("header", ["nan", "inf", "-inf", "1e999", "-5", "0", "", "soon", "1,5", "9 s"])
def test_a_timeout_that_makes_no_sense_means_the_default(header: str) -> None:
    assert TIMEOUTS.choose(header) == TIMEOUTS.default


@given(
    announced=st.floats(min_value=1e-9, max_value=1e9),
    offset=st.floats(min_value=0, max_value=60),
    most=st.floats(min_value=1, max_value=600),
)
def test_the_announced_time_less_the_offset_is_kept_within_bounds(announced: float, offset: float, most: float) -> None:
    chosen = ScrapeTimeouts(default=5.0, offset=offset, most=most).choose(repr(announced))
    assert 0.1 <= chosen <= most
    if 0.1 <= announced - offset <= most:
        assert chosen == announced - offset


@given(st.text())
def test_any_timeout_header_gives_a_usable_time(header: str) -> None:
    assert 0.1 <= TIMEOUTS.choose(header) <= TIMEOUTS.most


class DriverError(Exception):
    pass


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/"])
@pytest.mark.parametrize("kind", [DriverError, SystemExit, StopIteration, KeyboardInterrupt])
def test_an_error_shows_neither_its_text_nor_a_traceback(
    path: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    app = App(error=kind("postgresql://u:hunter2@db"))
    with serving(app) as port:
        answer = fetch(port, path)
        app.error = None
        assert fetch(port, path).status == 200
    assert answer.status == 500
    assert answer.text.count("\n") == 1
    for shown in (answer.text, caplog.text):
        assert "hunter2" not in shown
        assert "Traceback" not in shown
    assert "tests.support.web:" in caplog.text
    assert "Error" not in answer.text


def test_the_log_names_the_class_and_the_place_of_an_error() -> None:
    try:
        App(error=DriverError("hunter2")).status()
    except DriverError as error:
        text = describe("scrape failed", error)
    assert text.startswith("scrape failed: tests.unit.web.test_metrics_page.DriverError at tests.support.web:")
    assert describe("scrape failed", ValueError("hunter2")) == "scrape failed: builtins.ValueError"


def test_families_that_cannot_be_encoded_are_a_failed_scrape(caplog: pytest.LogCaptureFixture) -> None:
    broken = Family(catalog.Metric("broken", "gauge", ("label",), "hunter2"), {(1,): "hunter2"})
    with serving(App([broken])) as port:
        assert fetch(port).status == 500
        assert fetch(port, "/-/healthy").status == 200
    assert "hunter2" not in caplog.text


def test_a_scrape_beyond_its_time_is_given_up() -> None:
    app = App()
    app.go.clear()
    with serving(app) as port:
        late = fetch(port, X_Prometheus_Scrape_Timeout_Seconds="0.1")
        assert (late.status, late.text) == (503, "The scrape took longer than its timeout.\n")
        app.go.set()
        assert fetch(port).status == 200


def test_more_scrapes_than_the_pool_holds_are_refused_and_nothing_else_suffers() -> None:
    app = App()
    app.go.clear()
    request = SCRAPE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with serving(app, limits=Limits(scrape_threads=1, scrape_queue=1)) as port:
        running = dial(port, request)
        assert app.begun.acquire(timeout=PATIENCE)
        waiting = dial(port, request)
        # What is sent first is read first: after this the second one is in the queue.
        assert fetch(port, "/-/ready").status == 200
        refused = fetch(port)
        assert (refused.status, refused.text) == (503, "Too many scrapes at once.\n")
        assert int(refused.headers["Retry-After"]) > 0
        app.go.set()
        assert b" 200 OK" in read_all(running)
        assert b" 200 OK" in read_all(waiting)
        assert fetch(port).status == 200


def leave(port: int, data: bytes) -> None:
    """Send a request, have it read, leave, and have that noticed."""
    with dial(port, data) as client:
        assert fetch(port, "/-/ready").status == 200
        client.shutdown(socket.SHUT_WR)
        await_hangup(client)
    assert fetch(port, "/-/ready").status == 200


def test_a_scrape_nobody_waits_for_is_never_begun_and_takes_no_place() -> None:
    app = App()
    app.go.clear()
    with serving(app, limits=Limits(scrape_threads=1, scrape_queue=1)) as port:
        running = dial(port, SCRAPE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert app.begun.acquire(timeout=PATIENCE)
        for _ in range(3):
            leave(port, SCRAPE)
        app.go.set()
        assert b" 200 OK" in read_all(running)
        assert fetch(port).status == 200
    assert len(app.timeouts) == 2


def test_a_scraper_that_leaves_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    app = App()
    app.go.clear()
    with serving(app) as port:
        leave(port, SCRAPE)
        app.go.set()
        assert fetch(port).status == 200
    assert caplog.records == []
