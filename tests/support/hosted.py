"""A PostgreSQL as a host gives it: TLS only, no superuser, row-level security on, a transaction pooler before it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from testcontainers.core.container import DockerContainer

from exporter.demo.schema import load_schema
from tests.support.certificates import Authority
from tests.support.servers import container_address, docker_image, reachable_host, require_docker

OWNER_PASSWORD = "the owner's own"
PASSWORD = "with @ / : % in it"
USERS = ("ai_exporter", "ai_grafana", "ai_postgres_exporter")

_INIT = """
set -e
cp /tls/localhost.crt "$PGDATA/server.crt"
cp /tls/localhost.key "$PGDATA/server.key"
chmod 600 "$PGDATA/server.key"
chown postgres "$PGDATA/server.key"
echo 'ssl = on' >> "$PGDATA/postgresql.conf"
printf 'local all all trust\\nhostssl all all all scram-sha-256\\n' > "$PGDATA/pg_hba.conf"
psql -v ON_ERROR_STOP=1 -U postgres -d app <<'SQL'
CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'the owner''s own';
GRANT pg_monitor TO owner WITH ADMIN OPTION;
ALTER DATABASE app OWNER TO owner;
SQL
"""
_POOLER = """
[databases]
app = host={host} port=5432 dbname=app
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = scram-sha-256
auth_file = /tls/users.txt
pool_mode = transaction
default_pool_size = 1
client_tls_sslmode = require
client_tls_key_file = /tls/localhost.key
client_tls_cert_file = /tls/localhost.crt
server_tls_sslmode = require
"""


@dataclass(frozen=True)
class Hosted:
    """The server and its pooler, as a customer reaches them; `authority` is the file of who signs for the server."""

    host: str
    port: int
    pooler_host: str
    pooler_port: int
    authority: Path

    @property
    def owner_url(self) -> str:
        """The tables' owner, on a direct connection."""
        return self.direct("owner", OWNER_PASSWORD)

    def direct(self, user: str, password: str = PASSWORD, **more: str) -> str:
        """A direct connection that checks the server's certificate."""
        words = {"sslmode": "verify-full", "sslrootcert": str(self.authority), **more}
        query = "&".join(f"{name}={value}" for name, value in words.items())
        return f"postgresql://{user}:{quote(password, safe='')}@{self.host}:{self.port}/app?{query}"

    def pooled(self, user: str) -> str:
        """Through the pooler."""
        login = f"{user}:{quote(PASSWORD, safe='')}"
        return f"postgresql://{login}@{self.pooler_host}:{self.pooler_port}/app?sslmode=require"

    def owner_runs(self, file: Path) -> None:
        """What `psql -f` would do as the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            connection.execute(file.read_bytes())


@contextlib.contextmanager
def hosted_postgres(folder: Path) -> Iterator[Hosted]:
    """Run both, with the log's tables, empty, owned by `owner`."""
    require_docker("a hosted PostgreSQL")
    authority = Authority(folder)
    authority.issue("localhost")
    (folder / "init.sh").write_text(_INIT)
    (folder / "users.txt").write_text("".join(f'"{user}" "{PASSWORD}"\n' for user in USERS))
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    server = (
        DockerContainer(docker_image("POSTGRES_IMAGE", "postgres:17"))
        .with_env("POSTGRES_PASSWORD", "unknown to the customer")
        .with_env("POSTGRES_DB", "app")
        .with_volume_mapping(str(folder), "/tls", "ro")
        .with_volume_mapping(str(folder / "init.sh"), "/docker-entrypoint-initdb.d/init.sh", "ro")
        .with_exposed_ports(5432)
    )
    with server:
        (folder / "pooler.ini").write_text(_POOLER.format(host=container_address(server)))
        (folder / "pooler.ini").chmod(0o644)
        pooler = (
            DockerContainer(docker_image("PGBOUNCER_IMAGE", "edoburu/pgbouncer:v1.24.1-p1"))
            .with_kwargs(entrypoint="pgbouncer")
            .with_command("/tls/pooler.ini")
            .with_volume_mapping(str(folder), "/tls", "ro")
            .with_exposed_ports(6432)
        )
        with pooler:
            hosted = Hosted(
                "localhost",
                int(server.get_exposed_port(5432)),
                reachable_host(pooler),
                int(pooler.get_exposed_port(6432)),
                authority.cert,
            )
            with _connected(hosted.owner_url) as connection:
                load_schema(connection, "success")
            yield hosted


def _connected(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
