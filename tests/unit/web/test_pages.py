"""The pages beside the metrics, and what every answer has."""

import pytest

from exporter.web import pages
from exporter.web.app import HealthStatus
from exporter.web.limits import Limits
from tests.support.web import App, ask, connect, dial, fetch, read_all, serving


@pytest.mark.parametrize(("path", "name"), [("/-/healthy", "healthy"), ("/-/ready", "ready")])
def test_health_checks_say_why(path: str, name: str) -> None:
    app = App()
    setattr(app, name, HealthStatus(False, "catching up: 40 %"))
    with serving(app) as port:
        bad = fetch(port, path)
        setattr(app, name, HealthStatus(True, "all is well"))
        good = fetch(port, path)
    assert (bad.status, bad.text) == (503, "catching up: 40 %\n")
    assert (good.status, good.text) == (200, "all is well\n")
    assert good.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_health_check_that_hangs_is_given_up_and_the_metrics_go_on() -> None:
    app = App()
    app.go.clear()
    with serving(app, limits=Limits(page_timeout=0.2)) as port:
        late = fetch(port, "/-/healthy")
        assert (late.status, late.text) == (503, "The page took too long.\n")
        assert fetch(port, method="HEAD").status == 200
        assert fetch(port, "/-/ready").status == 200


def test_the_landing_page_shows_the_status_and_escapes_it() -> None:
    with serving(App(rows=[("Table <i>", '"public" & <script>alert(1)</script>')])) as port:
        page = fetch(port, "/")
        with_query = fetch(port, "/?<b>")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<h1>ai-operation-exporter</h1>" in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script" not in page.text
    assert "<i>" not in page.text
    assert with_query.text == page.text


def test_the_landing_page_links_to_pages_that_exist() -> None:
    with serving() as port:
        text = fetch(port, "/").text
        links = [part.partition('"')[0] for part in text.split('href="')[1:]]
        assert [fetch(port, f"/{link}").status for link in links] == [200, 200, 200]


def test_the_landing_page_survives_half_a_character() -> None:
    with serving(App(rows=[("name", "\ud800")])) as port:
        assert fetch(port, "/").status == 200


def test_the_version_is_unknown_where_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_DISTRIBUTION", "no-such-distribution")
    assert pages.program_version() == "unknown"


@pytest.mark.parametrize(
    "path",
    ["/metrics/", "/favicon.ico", "/-/reload", "//metrics", "/-/../metrics", "/metricshttp://host", "*", "/%2e"],
)
def test_other_pages_are_not_found(path: str) -> None:
    with serving() as port:
        assert fetch(port, path).status == 404


@pytest.mark.parametrize("target", ["http://any.host/-/ready", "HTTPS://any.host:1/-/ready?x", "/-/ready?http://a/b"])
def test_a_target_may_name_its_host(target: str) -> None:
    with serving() as port:
        assert fetch(port, target).text == "ready\n"


def test_a_target_without_path_is_the_landing_page() -> None:
    with serving() as port:
        assert "<h1>" in fetch(port, "http://any.host").text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_not_allowed(method: str) -> None:
    with serving() as port:
        answer = fetch(port, "/metrics", method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready", "/absent"])
def test_every_answer_is_fenced_for_browsers(path: str) -> None:
    with serving() as port:
        headers = fetch(port, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "deny"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Server"] == "ai-operation-exporter"


def test_connections_are_kept_alive_while_all_goes_well() -> None:
    with serving() as port:
        connection = connect(port)
        answers = [ask(connection)]
        local = connection.sock.getsockname()
        answers += [ask(connection, "/metrics", "HEAD"), ask(connection, "/-/ready")]
        assert connection.sock.getsockname() == local
        refused = ask(connection, "/absent")
        assert connection.sock is None
        connection.close()
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert refused.headers["Connection"] == "close"


def test_requests_sent_at_once_are_answered_in_order() -> None:
    request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving() as port:
        received = read_all(dial(port, request % b"/-/healthy" + request % b"/absent"))
    assert received.count(b"HTTP/1.1 ") == 2
    assert received.index(b"200 OK") < received.index(b"404 Not Found")


def test_http_1_0_is_answered_and_closed() -> None:
    with serving() as port:
        assert read_all(dial(port, b"GET /-/healthy HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\nalive\n")
