"""The steps of docs/way-back.md: back up, restore, roll back, move. No money is lost, and none counts twice."""

import errno
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from exporter.cli import main
from exporter.demo.postgres import _installed_binaries
from exporter.demo.schema import load_schema
from exporter.process.serving import serving
from exporter.state.backup import _copied
from exporter.state.migrations import FORMAT
from exporter.state.store import FILE_NAME, Store, locked
from tests.database.test_state_command import configured, write
from tests.support import ROOT
from tests.support.kept import write_first_version
from tests.support.programs import fetch, parse, total, wait_for
from tests.support.servers import EmbeddedServer, run_embedded_postgres

CALLS = "ai_operations_total"
PAGE = (ROOT / "docs" / "way-back.md").read_text()


def commands(heading: str) -> str:
    """What the page says to run below a heading, apart from containers and what asks for a password."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", section, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for _, block in blocks for line in block.splitlines()]
    return "\n".join(line for line in lines if line.startswith(("psql", "pg_dump")) and "password" not in line)


def shell(script: str, **urls: str) -> None:
    """Run commands in the folder of the repository, until one fails."""
    environ = {**os.environ, **urls, "PATH": f"{_installed_binaries()}:{os.environ['PATH']}"}
    words = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Installation:
    """An exporter on a log, with a folder for its state and one for its backups."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.config = configured(folder / "state")
        self.state = folder / "state"
        self.copy = folder / "backups" / "ledger.sqlite"
        self.copy.parent.mkdir()

    def run(self, *words: str) -> int:
        """A subcommand of `state`."""
        return main(["state", words[0], "--state-dir", str(self.state), *words[1:]])

    def counted(self) -> float:
        """The calls that a start and a scrape show, once the exporter is ready."""
        with serving(self.config, {"DATABASE_URL": self.url}) as running:
            wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200)
            return total(parse(fetch(f"{running.url}/metrics")[1]), CALLS)


@pytest.fixture
def installation(embedded_database: str, tmp_path: Path) -> Installation:
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "success")
    return Installation(embedded_database, tmp_path)


def test_a_backup_of_a_running_exporter_continues_with_every_row_since(installation: Installation) -> None:
    with serving(installation.config, {"DATABASE_URL": installation.url}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200)
        write(installation.url, 5)
        assert total(parse(fetch(f"{running.url}/metrics")[1]), CALLS) == 5
        assert installation.run("backup", str(installation.copy)) == 0
        write(installation.url, 3)
        assert total(parse(fetch(f"{running.url}/metrics")[1]), CALLS) == 8
    for file in installation.state.iterdir():
        file.unlink()
    assert installation.run("restore", str(installation.copy)) == 0
    assert installation.counted() == 8
    assert stat.S_IMODE(installation.copy.stat().st_mode) == 0o600
    assert stat.S_IMODE((installation.state / FILE_NAME).stat().st_mode) == 0o600


def test_a_backup_leaves_the_folder_of_a_stopped_exporter_as_it_is(installation: Installation) -> None:
    installation.counted()
    write(installation.url, 2)
    assert installation.counted() == 2
    before = sorted(file.name for file in installation.state.iterdir())
    assert installation.run("backup", str(installation.copy)) == 0
    assert sorted(file.name for file in installation.state.iterdir()) == before
    assert installation.run("restore", str(installation.copy), "--replace") == 0
    assert installation.counted() == 2


def test_a_backup_at_the_start_of_an_exporter_is_taken_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.counted()
    taken = []

    def copied(found: sqlite3.Connection) -> bytes:
        # the first copy may be torn: until it was taken nobody kept a journal
        copy = _copied(found)
        (installation.state / f"{FILE_NAME}-wal").touch()
        taken.append(copy)
        return copy

    monkeypatch.setattr("exporter.state.backup._copied", copied)
    assert installation.run("backup", str(installation.copy)) == 0
    assert len(taken) == 2
    assert installation.copy.read_bytes() == taken[1]


def test_a_state_that_was_not_replaced_after_all_keeps_what_its_journal_held(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installation.counted() == 0
    assert installation.run("backup", str(installation.copy)) == 0
    with serving(installation.config, {"DATABASE_URL": installation.url}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200)
        write(installation.url, 5)
        assert total(parse(fetch(f"{running.url}/metrics")[1]), CALLS) == 5
        # as an exporter leaves it that is killed
        killed = {file.name: file.read_bytes() for file in installation.state.iterdir()}
    for name, content in killed.items():
        (installation.state / name).write_bytes(content)
    assert (installation.state / f"{FILE_NAME}-wal").stat().st_size > 0
    with psycopg.connect(installation.url) as connection:
        connection.execute("DELETE FROM ai_operation_log")

    def refuse(_path: Path, _target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", refuse)
        assert installation.run("restore", str(installation.copy), "--replace") == 1
    assert installation.counted() == 5
    assert installation.run("restore", str(installation.copy), "--replace") == 0
    assert installation.counted() == 0


def test_an_exporter_on_another_database_than_its_state_is_not_ready(
    installation: Installation, embedded_postgres: EmbeddedServer
) -> None:
    installation.counted()
    elsewhere = embedded_postgres.create_database()
    try:
        with psycopg.connect(elsewhere) as connection:
            load_schema(connection, "success")
        with serving(installation.config, {"DATABASE_URL": elsewhere}) as running:
            wait_for(lambda: fetch(f"{running.url}/metrics")[0] == 200)
            wait_for(lambda: "the state was kept for" in fetch(f"{running.url}/-/ready")[1])
            assert fetch(f"{running.url}/-/ready")[0] == 503
    finally:
        embedded_postgres.drop_database(elsewhere)
    assert installation.counted() == 0


def test_what_is_lost_are_rows_that_came_and_went_since_the_backup(installation: Installation) -> None:
    assert installation.counted() == 0
    write(installation.url, 5)
    assert installation.counted() == 5
    assert installation.run("backup", str(installation.copy)) == 0
    write(installation.url, 3)
    assert installation.counted() == 8
    with psycopg.connect(installation.url) as connection:
        connection.execute("DELETE FROM ai_operation_log WHERE ctid IN (SELECT ctid FROM ai_operation_log LIMIT 2)")
    assert installation.counted() == 8
    assert installation.run("restore", str(installation.copy), "--replace") == 0
    assert installation.counted() == 6


def test_rolling_back_a_release_that_changed_the_format(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert installation.counted() == 0
    write(installation.url, 4)
    assert installation.counted() == 4
    assert installation.run("backup", str(installation.copy)) == 0
    # what a newer release does when it opens the file
    with sqlite3.connect(installation.state / FILE_NAME) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.close()
    assert installation.run("show") == 1
    assert f"has format {FORMAT + 1}, this version reads {FORMAT}" in capsys.readouterr().err
    assert installation.run("restore", str(installation.copy), "--replace") == 0
    write(installation.url, 1)
    assert installation.counted() == 5


def test_a_copy_is_put_in_place_by_hand_too(installation: Installation) -> None:
    assert installation.counted() == 0
    write(installation.url, 2)
    assert installation.counted() == 2
    assert installation.run("backup", str(installation.copy)) == 0
    for file in installation.state.iterdir():
        file.unlink()
    (installation.state / FILE_NAME).write_bytes(installation.copy.read_bytes())
    assert installation.counted() == 2


def test_by_standard_output_and_input(installation: Installation) -> None:
    assert installation.counted() == 0
    write(installation.url, 2)
    assert installation.counted() == 2
    words = [sys.executable, "-m", "exporter", "state"]
    where = ["--state-dir", str(installation.state), "-"]
    copy = subprocess.run([*words, "backup", *where], capture_output=True, check=True).stdout
    assert copy.startswith(b"SQLite format 3\0")
    subprocess.run([*words, "restore", *where, "--replace"], input=copy, check=True)
    assert installation.counted() == 2


def test_nothing_is_restored_while_an_exporter_uses_the_folder(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    write(installation.url, 1)
    installation.counted()
    assert installation.run("backup", str(installation.copy)) == 0
    with locked(installation.state):
        assert installation.run("restore", str(installation.copy), "--replace") == 1
    assert "is in use by another process" in capsys.readouterr().err


def _newer(copy: Path) -> None:
    with sqlite3.connect(copy) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.close()


def _another_database(copy: Path) -> None:
    copy.unlink()
    with sqlite3.connect(copy) as db:
        db.execute("CREATE TABLE meta (name TEXT, value TEXT)")
        db.execute("PRAGMA user_version = 1")
    db.close()


def _layout(copy: Path) -> None:
    with sqlite3.connect(copy) as db:
        db.execute("REPLACE INTO meta VALUES ('layout', '[1, 2]')")
    db.close()


def _empty(copy: Path) -> None:
    copy.write_bytes(b"")


def _text(copy: Path) -> None:
    copy.write_text("not a database" * 100)


def _cut_off(copy: Path) -> None:
    os.truncate(copy, copy.stat().st_size // 2)


def _altered(statement: str) -> Callable[[Path], None]:
    """What leaves the pages of the file as they should be, but not what they say."""

    def alter(copy: Path) -> None:
        with sqlite3.connect(copy) as db:
            assert db.execute(statement).rowcount > 0
        db.close()

    return alter


SPOILED: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "empty": (_empty, "the copy has format 0"),
    "text": (_text, "damaged, or no copy of a state"),
    "cut off": (_cut_off, "damaged, or no copy of a state"),
    "newer": (_newer, "use the version that wrote it"),
    "another database": (_another_database, "holds nothing yet"),
    "another layout": (_layout, "the version that wrote it|damaged"),
    "progress": (_altered("UPDATE meta SET value = '{}' WHERE name = 'progress'"), "damaged"),
    "progress of text": (_altered("UPDATE meta SET value = 'x' || value WHERE name = 'progress'"), "damaged"),
    "slice": (_altered("UPDATE slices SET body = substr(body, 2)"), "damaged"),
    "users of a slice": (_altered("UPDATE slice_users SET body = substr(body, 2)"), "damaged"),
    "total": (_altered("UPDATE parts SET value = '[1' WHERE part = 'totals'"), "damaged"),
    "name of a total": (_altered("UPDATE parts SET key = '[\"x\"]' WHERE part = 'totals'"), "damaged"),
    "identity": (_altered("UPDATE meta SET value = '{' WHERE name = 'identity'"), "damaged"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_no_copy_of_a_state_is_refused_and_nothing_changes(
    how: str, installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    installation.counted()
    write(installation.url, 3)
    assert installation.counted() == 3
    assert installation.run("backup", str(installation.copy)) == 0
    spoil, message = SPOILED[how]
    spoil(installation.copy)
    before = sorted(file.name for file in installation.state.iterdir())
    assert installation.run("restore", str(installation.copy), "--replace") == 1
    assert re.search(message, capsys.readouterr().err)
    assert sorted(file.name for file in installation.state.iterdir()) == before
    assert installation.counted() == 3


def test_a_copy_of_an_earlier_release_is_upgraded(installation: Installation) -> None:
    write_first_version(installation.copy.parent)
    assert installation.run("restore", str(installation.copy)) == 0
    with Store(installation.state) as opened:
        state = opened.load()
        assert state is not None
        assert state.totals
    assert installation.run("show") == 0


def test_a_state_is_replaced_only_on_demand(installation: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    installation.counted()
    assert installation.run("backup", str(installation.copy)) == 0
    assert installation.run("restore", str(installation.copy)) == 1
    assert "holds a state: back it up, then use --replace" in capsys.readouterr().err


@pytest.mark.parametrize(
    "target", ["absent/copy", "/proc/copy", ".", "/dev/full/x", "folder", "../state/ledger.sqlite"]
)
def test_a_copy_that_cannot_be_written_or_read_is_named(
    target: str, installation: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.counted()
    monkeypatch.chdir(installation.copy.parent)
    Path("folder").mkdir()
    for command in ("backup", "restore"):
        assert installation.run(command, target) == 1
        assert capsys.readouterr().err.startswith(("ai-operation-exporter: ", "ts="))
    assert [path.name for path in Path().iterdir()] == ["folder"]


def test_a_folder_without_a_state_has_no_copy(installation: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    assert installation.run("backup", "copy") == 1
    assert "holds nothing yet" in capsys.readouterr().err
    (installation.state).mkdir()
    (installation.state / FILE_NAME).write_text("not a database" * 100)
    assert installation.run("backup", "copy") == 1
    assert "file is not a database" in capsys.readouterr().err
    assert not Path("copy").exists()


ROLES = ["ai_exporter", "ai_grafana", "ai_postgres_exporter"]


@pytest.fixture
def installed(installation: Installation) -> Iterator[Installation]:
    """With the roles and views of `deploy/sql` in its database."""
    for file in ("role_policies", "dashboards", "role_postgres_exporter"):
        shell(f'psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f deploy/sql/{file}.sql', OWNER_URL=installation.url)
    owner = installation.url
    yield installation
    shell(commands("Remove it all"), OWNER_URL=owner)


@pytest.mark.slow
def test_moving_to_another_server(installed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    installed.counted()
    write(installed.url, 5)
    assert installed.counted() == 5
    with run_embedded_postgres() as server:
        moved = server.create_database()
        shell(commands("Move to another database"), OWNER_URL=installed.url, NEW_OWNER_URL=moved)
        with psycopg.connect(moved, autocommit=True) as admin:
            admin.execute("ALTER ROLE ai_exporter PASSWORD 'of the exporter'")
            installed.url = server.url(admin.info.dbname, "ai_exporter", "of the exporter")
        with serving(installed.config, {"DATABASE_URL": installed.url}) as running:
            refused = parse(fetch(f"{running.url}/metrics")[1])
            said = fetch(f"{running.url}/")[1]
        assert (refused["ai_operation_log_up", frozenset()], total(refused, CALLS)) == (0, 5)
        assert re.search(r"the state was kept for table .* in database .*, and this is table ", said)
        monkeypatch.setenv("DATABASE_URL", installed.url)
        assert installed.run("adopt") == 0
        write(moved, 2)
        assert installed.counted() == 7


def test_removing_it_all(installed: Installation) -> None:
    before = _facts(installed.url)
    shell(commands("Remove it all"), OWNER_URL=installed.url)
    assert before - _facts(installed.url) == set(ROLES)
    (drops,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    with psycopg.connect(installed.url, autocommit=True) as admin:
        admin.execute((ROOT / "deploy" / "sql" / "indexes.sql").read_bytes())
        assert _facts(installed.url) > before - set(ROLES)
        admin.execute(drops.encode())
    assert _facts(installed.url) == before - set(ROLES)


def _facts(url: str) -> set[str]:
    """The names of the roles, and of the indexes."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT rolname::text FROM pg_roles UNION ALL SELECT relname::text FROM pg_class WHERE relkind = 'i'"
        )
        return {name for (name,) in found}
