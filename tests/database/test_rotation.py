"""Passwords that change while the exporter runs: it reads them again where they come from, and says what it cannot."""

import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config, load_config
from exporter.process.serving import Running, serving
from tests.support.harness import Log, wait_for
from tests.support.servers import EmbeddedServer

ROLE = "rotated_reader"
pytestmark = pytest.mark.usefixtures("no_settings_from_outside")


@dataclass
class Account:
    """A role of the database, and the file that its password is kept in."""

    log: Log
    server: EmbeddedServer
    file: Path
    password: str = ""

    def change(self) -> str:
        """Give the role another password, end its connections, and tell nobody."""
        self.password = f"pw-{secrets.token_hex(8)}"
        role, word = sql.Identifier(ROLE), sql.Literal(self.password)
        self.log.connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, word))
        self.disconnect()
        return self.password

    def disconnect(self) -> None:
        self.log.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)

    @property
    def url(self) -> str:
        return self.server.url(self.log.url.rsplit("/", 1)[1], ROLE, self.password)

    @property
    def place(self) -> str:
        """The database without a password."""
        return f"postgresql://{quote(ROLE)}@{self.server.host}:{self.server.port}/{self.log.url.rsplit('/', 1)[1]}"


@pytest.fixture
def account(embedded_database: str, embedded_postgres: EmbeddedServer, tmp_path: Path) -> Iterator[Account]:
    with Log(embedded_database, "success") as log:
        for statement in (f"DROP ROLE IF EXISTS {ROLE}", f"CREATE ROLE {ROLE} LOGIN BYPASSRLS"):
            log.execute(statement)
        log.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}")
        account = Account(log, embedded_postgres, tmp_path / "secret")
        account.change()
        yield account
        log.execute(f"DROP OWNED BY {ROLE}")
        log.execute(f"DROP ROLE {ROLE}")


@dataclass
class Source:
    """A way in which the exporter gets its password, and how another one is published there."""

    environ: Callable[[Account], dict[str, str]]
    publish: Callable[[Account], None]
    config: Callable[[Account], str] = lambda _: ""


def _write_password(account: Account) -> None:
    account.file.write_text(f"{account.password}\n")


def _write_url(account: Account) -> None:
    account.file.write_text(f"{account.url}\n")


def _write_passfile(account: Account) -> None:
    account.file.write_text(f"*:*:*:*:{account.password}\n")
    account.file.chmod(0o600)


def _write_service(account: Account) -> None:
    place = psycopg.conninfo.conninfo_to_dict(account.url)
    account.file.write_text("[log]\n" + "".join(f"{name}={value}\n" for name, value in place.items()))


def _write_config(account: Account) -> None:
    account.file.with_name("config.yaml").write_text(config_text(account, f"database: {{url: '{account.url}'}}"))


SOURCES = {
    "url_file": Source(lambda _: {}, _write_url, lambda a: f"database: {{url_file: {a.file}}}"),
    "DATABASE_URL_FILE": Source(lambda a: {"DATABASE_URL_FILE": str(a.file)}, _write_url),
    "PGPASSWORD_FILE": Source(lambda a: {"DATABASE_URL": a.place, "PGPASSWORD_FILE": str(a.file)}, _write_password),
    "passfile": Source(lambda a: {"DATABASE_URL": f"{a.place}?passfile={quote(str(a.file))}"}, _write_passfile),
    "service": Source(lambda a: {"PGSERVICE": "log", "PGSERVICEFILE": str(a.file)}, _write_service),
    "database.url": Source(lambda _: {}, _write_config),
}


def config_text(account: Account, more: str) -> str:
    state = account.file.with_name("state")
    return (
        f"zero_hold: 0s\nworker: {{pause: 0.05s}}\nstate_dir: {state}\nweb: {{listen_address: '127.0.0.1:0'}}\n{more}\n"
    )


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest) -> Source:
    return SOURCES[request.param]


@pytest.fixture
def running(account: Account, source: Source, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    file = account.file.with_name("config.yaml")
    file.write_text(config_text(account, source.config(account)))
    source.publish(account)
    environ = source.environ(account)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)  # libpq looks at some of them by itself

    def load() -> Config:
        return load_config(file, environ)

    with serving(load(), environ, None, load) as running:
        wait_for(lambda: running.exporter.readiness().ok, lambda: running.exporter.readiness().reason)
        yield running


def up(running: Running) -> bool:
    families = running.exporter.scrape(10)
    return any(sample.value == 1 for one in families for sample in one.samples if sample.name == "ai_operation_log_up")


def test_a_rotated_password_is_taken_up_with_the_next_read(
    account: Account, source: Source, running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up(running)
    for _ in range(2):
        account.change()
        source.publish(account)
        assert up(running)
        assert running.exporter.readiness().ok
    # the new one is masked as the first one is
    logging.getLogger("exporter").error("it is %s", account.password)
    said = capsys.readouterr().err
    assert source is SOURCES["passfile"] or source is SOURCES["service"] or account.password not in said


def test_a_refused_login_is_told_and_ends_when_the_password_comes(
    account: Account, source: Source, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    account.log.insert(1)
    account.change()
    for _ in range(3):
        assert not up(running)
    verdict = running.exporter.readiness()
    assert not verdict.ok
    assert verdict.reason == "the database refuses the login: wrong password for the user"
    assert running.exporter.health().ok
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("database:")]
    assert len([line for line in said if "wrong password for the user" in line]) == 1
    source.publish(account)
    assert up(running)
    assert running.exporter.readiness().ok


@pytest.mark.parametrize(
    "content", [None, "", "postgresql://no such url", "\udcff"], ids=["gone", "empty", "bad", "bytes"]
)
def test_a_secret_that_cannot_be_read_again_leaves_the_old_one_and_is_told(
    account: Account, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    _write_url(account)
    environ = {"DATABASE_URL_FILE": str(account.file)}
    file = account.file.with_name("config.yaml")
    file.write_text(config_text(account, ""))
    with serving(load_config(file, environ), environ) as running:
        wait_for(lambda: running.exporter.readiness().ok, lambda: running.exporter.readiness().reason)
        account.file.unlink()
        if content is not None:
            account.file.write_bytes(content.encode(errors="surrogateescape"))
        account.disconnect()
        assert up(running)  # by the old one, which is still right
        account.change()
        for _ in range(2):
            assert not up(running)
        told = [record.getMessage() for record in caplog.records if "DATABASE_URL_FILE" in record.getMessage()]
        assert told
        assert "wrong password" in told[0]
        _write_url(account)
        assert up(running)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (f"ALTER ROLE {ROLE} NOLOGIN", "may not log in"),
        (f"ALTER ROLE {ROLE} RENAME TO {ROLE}_else", "wrong password for the user"),
        (f"ALTER ROLE {ROLE} VALID UNTIL '2000-01-01'", "wrong password for the user"),
    ],
)
def test_every_refusal_of_a_login_is_not_ready(account: Account, change: str, reason: str) -> None:
    _write_url(account)
    environ = {"DATABASE_URL_FILE": str(account.file)}
    file = account.file.with_name("config.yaml")
    file.write_text(config_text(account, ""))
    with serving(load_config(file, environ), environ) as running:
        wait_for(lambda: running.exporter.readiness().ok, lambda: running.exporter.readiness().reason)
        account.log.execute(change)
        account.disconnect()
        try:
            assert not up(running)
            verdict = running.exporter.readiness()
            assert not verdict.ok
            assert reason in verdict.reason
        finally:
            if "RENAME" in change:
                account.log.execute(f"ALTER ROLE {ROLE}_else RENAME TO {ROLE}")
        account.log.execute(f"ALTER ROLE {ROLE} LOGIN VALID UNTIL 'infinity'")
        account.change()
        _write_url(account)
        assert up(running)
        assert running.exporter.readiness().ok


def test_a_server_that_is_gone_is_no_refusal(account: Account) -> None:
    config = account.file.with_name("config.yaml")
    config.write_text(config_text(account, ""))
    environ = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"}
    with serving(load_config(config, environ), environ) as running:
        assert not up(running)
        assert running.exporter.readiness().reason == "the log has not been read yet"
