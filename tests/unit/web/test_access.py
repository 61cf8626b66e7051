"""Passwords and the rate limit."""

import base64
import threading
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest

from exporter.web.app import HealthStatus
from exporter.web.config import read_web_file
from exporter.web.limits import Limits
from exporter.web.rate import RateLimiter
from exporter.web.settings import RateLimit
from tests.support.web import PATIENCE, QUICK, App, Gate, basic, fetch, hashed, publish, serving

PATHS = ["/", "/metrics", "/absent", "/?/-/healthy", "//-/healthy", "/-/healthy/"]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "web.yml"
    path.write_text(f"basic_auth_users:\n  al: {hashed('right')}\n  zoë: {hashed('schön:er')}\n")
    return path


@pytest.mark.parametrize("path", PATHS)
def test_every_path_but_those_for_probes_asks_for_a_password(users: Path, path: str) -> None:
    app = App(rows=[("Database", "db.internal:5432/app")])
    with serving(app, users) as port:
        for answer in (fetch(port, path), fetch(port, path, Authorization=basic("al", "wrong"))):
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
            assert answer.text == "Unauthorized.\n"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert app.timeouts == []
        known = path in ("/", "/metrics", "/?/-/healthy")
        assert fetch(port, path, Authorization=basic("al", "right")).status == (200 if known else 404)


def test_probes_are_answered_without_a_password_and_check_none(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    app = App(healthy=HealthStatus(False, "the background reader has ended"))
    with serving(app, users) as port:
        assert fetch(port, "/-/ready").text == "ready\n"
        assert fetch(port, "/-/ready", Authorization=basic("al", "wrong")).status == 200
        sick = fetch(port, "/-/healthy")
        assert (sick.status, sick.text) == (503, "the background reader has ended\n")
    assert gate.count == 0


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (basic("al", "right"), 200),
        (basic("al", "right").replace("Basic", "bAsIc"), 200),
        (basic("zoë", "schön:er"), 200),
        (basic("al", "Right"), 401),
        (basic("al", ""), 401),
        (basic("al", "right\0"), 401),
        (basic("al", "right" * 100), 401),
        (basic("nobody", "right"), 401),
        (basic("", "right"), 401),
        (basic("AL", "right"), 401),
        ("Basic " + base64.b64encode(b"al").decode(), 401),
        ("Basic " + base64.b64encode(b"\xff:right").decode(), 401),
        ("Basic !!!", 401),
        ("Basic", 401),
        ("Bearer right", 401),
    ],
)
def test_which_credentials_are_right(users: Path, header: str, status: int) -> None:
    with serving(config=users) as port:
        assert [fetch(port, Authorization=header).status for _ in range(2)] == [status, status]


def test_only_the_first_72_bytes_of_a_password_count(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{al: {hashed('x' * 72)}}}\n")
    with serving(config=config) as port:
        assert fetch(port, Authorization=basic("al", "x" * 80)).status == 200
        assert fetch(port, Authorization=basic("al", "x" * 71)).status == 401


def test_a_right_password_is_computed_once(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with serving(config=users) as port:
        for _ in range(3):
            assert fetch(port, Authorization=basic("al", "right")).status == 200
        assert gate.count == 1


@pytest.mark.parametrize("name", ["al", "nobody"])
def test_a_wrong_password_is_computed_once(users: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    gate = Gate(monkeypatch)
    with serving(config=users) as port:
        for _ in range(3):
            assert fetch(port, Authorization=basic(name, "wrong")).status == 401
        assert gate.count == 1
        assert fetch(port, Authorization=basic(name, "another")).status == 401
        assert gate.count == 2


def test_a_password_that_was_wrong_is_right_once_it_is_the_users(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    publish(config, f"basic_auth_users: {{al: {hashed('old')}}}\n")
    with serving(config=config) as port:
        for name in ("al", "bo"):
            assert fetch(port, Authorization=basic(name, "new")).status == 401
        assert fetch(port, Authorization=basic("al", "old")).status == 200
        publish(config, f"basic_auth_users: {{al: {hashed('new')}, bo: {hashed('new')}}}\n")
        for name in ("al", "bo"):
            assert fetch(port, Authorization=basic(name, "new")).status == 200
        assert fetch(port, Authorization=basic("al", "old")).status == 401


def test_many_right_users_are_remembered_but_not_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    config = tmp_path / "web.yml"
    right = hashed("right")
    config.write_text("basic_auth_users:\n" + "".join(f"  u{number}: {right}\n" for number in range(257)))
    with serving(config=config) as port:
        for number in range(257):
            assert fetch(port, "/", Authorization=basic(f"u{number}", "right")).status == 200
        assert fetch(port, "/", Authorization=basic("u256", "right")).status == 200
        assert gate.count == 257
        assert fetch(port, "/", Authorization=basic("u0", "right")).status == 200
        assert gate.count == 258


def test_guesses_do_not_keep_a_known_client_out(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    limits = Limits(auth_threads=1, auth_queue=2, reload_interval=0.0)
    statuses: list[int] = []

    def guess(number: int) -> None:
        statuses.append(fetch(port, Authorization=basic("al", f"guess {number}")).status)

    with serving(config=users, limits=limits) as port:
        assert fetch(port, Authorization=basic("al", "right")).status == 200
        gate.open.clear()
        guesses = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
        for one in guesses:
            one.start()
        for _ in range(3):
            assert fetch(port, Authorization=basic("al", "right")).status == 200
        gate.open.set()
        for one in guesses:
            one.join()
    assert len(statuses) == 8
    assert set(statuses) <= {401, 503}


def test_more_guesses_than_can_be_computed_are_refused(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    gate.open.clear()
    with serving(config=users, limits=replace(QUICK, auth_threads=1, auth_queue=0)) as port:
        first = threading.Thread(target=fetch, args=(port,), kwargs={"Authorization": basic("al", "guess")})
        first.start()
        assert gate.begun.acquire(timeout=PATIENCE)
        refused = fetch(port, Authorization=basic("al", "another"))
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        gate.open.set()
        first.join()


def test_an_unknown_user_costs_what_the_costliest_user_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _, right: costs.append(right[4:6]))
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{al: {hashed('a', 4)}, bo: {hashed('b', 6)}}}\n")
    with serving(config=config) as port:
        assert fetch(port, Authorization=basic("nobody", "x")).status == 401
    assert costs == [b"06"]


@pytest.mark.parametrize("name", ["al", "bo", "cy", "nobody"])
def test_to_be_refused_takes_as_long_for_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    work: list[int] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _, right: work.append(2 ** int(right[4:6])))
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{al: {hashed('a', 4)}, bo: {hashed('b', 5)}, cy: {hashed('c', 7)}}}\n")
    with serving(config=config) as port:
        assert fetch(port, Authorization=basic(name, "x")).status == 401
    assert sum(work) == 2**7


def test_requests_above_the_rate_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text("rate_limit: {interval: 1h, burst: 3}\n")
    with serving(config=config) as port:
        answers = [fetch(port, path) for path in ("/", "/metrics", "/absent", "/metrics", "/-/ready")]
    assert [answer.status for answer in answers] == [200, 200, 404, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_strangers_do_not_use_up_the_rate_of_those_with_a_password(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text(f"rate_limit: {{interval: 1h, burst: 3}}\nbasic_auth_users: {{al: {hashed('right')}}}\n")
    with serving(config=config) as port:
        strangers = [fetch(port, Authorization=basic("al", f"guess {number}")).status for number in range(5)]
        strangers += [fetch(port).status for _ in range(5)]
        probes = [fetch(port, "/-/healthy").status for _ in range(5)]
        scrapes = [fetch(port, Authorization=basic("al", "right")).status for _ in range(5)]
    assert strangers == [401] * 10
    assert probes == [200] * 3 + [429] * 2
    assert scrapes == [200] * 3 + [429] * 2


def test_tokens_come_back_one_an_interval_and_never_more_than_the_burst() -> None:
    now = 100.0
    limiter = RateLimiter(lambda: now)
    limit = RateLimit.model_validate({"interval": "2s", "burst": 2})
    assert [limiter.allow(limit) for _ in range(3)] == [True, True, False]
    now += 1.9
    assert not limiter.allow(limit)
    now += 0.2
    assert [limiter.allow(limit) for _ in range(2)] == [True, False]
    now += 3600
    assert [limiter.allow(limit) for _ in range(3)] == [True, True, False]
    assert limiter.allow(RateLimit())
    assert [limiter.allow(limit) for _ in range(3)] == [True, True, False]


def test_a_file_without_a_limit_limits_nothing(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text("rate_limit: {interval: 0, burst: 0}\n")
    limiter = RateLimiter()
    assert all(limiter.allow(read_web_file(config).settings.rate_limit) for _ in range(100))
