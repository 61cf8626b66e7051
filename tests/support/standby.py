"""A primary and a standby that streams from it, both embedded, for tests of replication."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from exporter.demo import postgres
from exporter.demo.postgres import EmbeddedPostgres
from tests.support.harness import wait_for

_STREAMS = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
_REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), %s::pg_lsn) >= 0"
_RECEIVED = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), %s::pg_lsn) >= 0"


class StandbyServer(EmbeddedPostgres):
    """A copy of a running server that goes on as its standby. `feed=False`: it receives nothing by itself."""

    def __init__(self, primary: EmbeddedPostgres, *, feed: bool = True) -> None:
        super().__init__(durable=False)
        self.password = primary.password
        self._primary = primary
        self._feed = feed
        self.receives = feed

    def _initialise(self, binaries: Path, account: Any, options: Any) -> None:
        command = [
            str(binaries / "pg_basebackup"),
            f"--pgdata={self.directory / 'data'}",
            f"--dbname={self._primary.url()}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **options)
        assert done.returncode == 0, done.stdout
        settings = {"hot_standby": "on", "wal_retrieve_retry_interval": "200ms"}
        if self._feed:
            settings["primary_conninfo"] = self.conninfo
        data = self.directory / "data"
        with (data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        signal = data / "standby.signal"
        signal.touch()
        if account is not None:
            os.chown(signal, account.pw_uid, account.pw_gid)

    @property
    def conninfo(self) -> str:
        """How the standby reaches its primary."""
        return f"host=127.0.0.1 port={self._primary.port} user=postgres password={self._primary.password}"

    def run(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """A statement in the standby's maintenance database, as its superuser."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def pause(self) -> None:
        """Replay no more."""
        self.run("SELECT pg_wal_replay_pause()")
        wait_for(lambda: self.run("SELECT pg_get_wal_replay_pause_state()") == [("paused",)], lambda: "not paused")

    def resume(self) -> None:
        """Replay again, and wait until all that the primary has is replayed."""
        self.run("SELECT pg_wal_replay_resume()")
        self.catch_up()

    def cut(self) -> None:
        """Receive no more: the primary is not found any more."""
        self.receives = False
        self.run("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
        self.run("SELECT pg_reload_conf()")
        wait_for(lambda: self.run(_STREAMS) == [(0,)], lambda: "still receives")

    def connect(self) -> None:
        """Receive again."""
        self.receives = True
        self.run(f"ALTER SYSTEM SET primary_conninfo = '{self.conninfo}'")
        self.run("SELECT pg_reload_conf()")
        wait_for(lambda: self.run(_STREAMS) == [(1,)], lambda: "does not receive")

    def catch_up(self) -> None:
        """Wait until all that the primary has is replayed."""
        position = self._position()
        wait_for(lambda: self.run(_REPLAYED, position) == [(True,)], lambda: "does not replay")

    def receive(self) -> None:
        """Wait until all that the primary has is received."""
        position = self._position()
        wait_for(lambda: self.run(_RECEIVED, position) == [(True,)], lambda: "does not receive")

    def promote(self) -> None:
        """Become a primary."""
        self.run("SELECT pg_promote()")
        wait_for(lambda: self.run("SELECT pg_is_in_recovery()") == [(False,)], lambda: "not promoted")

    def copy_archive(self, archive: Path) -> None:
        """Let the standby restore from a folder of the primary's WAL files."""
        self.run(f"ALTER SYSTEM SET restore_command = 'cp {archive}/%f %p'")
        self.run("SELECT pg_reload_conf()")

    def _position(self) -> str:
        with psycopg.connect(self._primary.url(), autocommit=True) as connection:
            ((position,),) = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchall()
        return str(position)


@contextlib.contextmanager
def run_pair() -> Iterator[tuple[EmbeddedPostgres, StandbyServer]]:
    """A primary and a standby that has caught up with it."""
    # what is committed is in the WAL that can be received
    settings = {"synchronous_commit": "on"}
    with EmbeddedPostgres(durable=False, settings=settings) as primary, StandbyServer(primary) as standby:
        wait_for(lambda: standby.run(_STREAMS) == [(1,)], lambda: "does not receive")
        yield primary, standby


@contextlib.contextmanager
def archive_folder() -> Iterator[Path]:
    """A folder that both servers can use as an archive."""
    folder = Path(tempfile.mkdtemp(prefix=postgres.DIRECTORY_PREFIX))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
