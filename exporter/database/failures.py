"""The known ways a database fails: what to say of each, and how to fix it.

``{user}`` and ``{name}`` stand for the role and for the table or column that the server named.
"""

from collections.abc import Mapping
from typing import Literal

import psycopg
from psycopg import errors

Kind = Literal["unavailable", "schema", "timeout", "locked"]
Failure = tuple[Kind, str, str]
"""What kind of failure it is, what to say, and the hint."""

_PASSWORD = ("wrong password for the user", "correct the password in the connection's settings")
_ADDRESS = ("the server does not let this user in from here", "add a line for it to pg_hba.conf and reload")
_DATABASE = ("the database does not exist", "correct the database's name in the connection's settings")
_FULL = (
    "the server has no connection left",
    "close idle connections, or raise max_connections or the CONNECTION LIMIT of the role or the database",
)
_SOME_LIMIT = ("the server, the database or the role has no connection left", _FULL[1])
_POOL_FULL = (
    "the pooler has no connection left",
    "raise its max_client_conn or its pool's size, or close idle connections to it",
)
_STARTING = ("the server is starting up or shutting down", "wait; it is tried again")
_CLOSED = ("the server closed the connection", "see why in the server's log; it is tried again")
_NO_PASSWORD = (
    "the server asks for a password and none is set",
    "put it into the URL, PGPASSWORD, PGPASSWORD_FILE or ~/.pgpass",
)
_NO_ROLE = ("the role does not exist or may not log in", "CREATE ROLE … LOGIN, or correct the user")
_NOT_LET_IN = (
    "the role does not exist, may not log in, or is not let in from here",
    "check the role, and add a line for it to pg_hba.conf and reload",
)
_TLS_WANTED = (
    "the server wants TLS",
    "set sslmode=require, or better verify-full, or let this user in without TLS in pg_hba.conf",
)
_TRANSIENT = ("the server broke off the query", "wait; it is tried again")
_REFUSED = ("connection refused", "check host and port, and that the server listens on that address")

# By the name of the SQLSTATE that the server sends.
_STATES: Mapping[type[psycopg.Error], Failure] = {
    errors.InvalidPassword: ("unavailable", *_PASSWORD),
    errors.InvalidAuthorizationSpecification: ("unavailable", *_NOT_LET_IN),
    errors.InvalidCatalogName: ("unavailable", *_DATABASE),
    errors.TooManyConnections: ("unavailable", *_SOME_LIMIT),
    errors.CannotConnectNow: ("unavailable", *_STARTING),
    errors.IdleInTransactionSessionTimeout: ("unavailable", *_CLOSED),
    errors.TransactionTimeout: (
        "timeout",
        "the transaction ran into transaction_timeout",
        "raise transaction_timeout for {user}",
    ),
    errors.ReadOnlySqlTransaction: (
        "unavailable",
        "the server is read-only and was asked to write",
        "report this as a defect: the exporter only reads",
    ),
    errors.QueryCanceled: (
        "timeout",
        "a query was cancelled: it took longer than it was given",
        "check that the log's time column has an index, or raise scrape.timeout",
    ),
    errors.LockNotAvailable: (
        "locked",
        "a table is locked by another transaction",
        "it is tried again; to see who holds it: "
        "SELECT l.relation::pg_catalog.regclass, a.pid, a.usename, a.xact_start, a.query "
        "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid "
        "WHERE l.granted AND l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock';",
    ),
    errors.UndefinedTable: ("schema", "there is no table {name}", "correct tables in the configuration, or its schema"),
    errors.UndefinedColumn: ("schema", "there is no column {name}", "correct columns in the configuration"),
    errors.InvalidSchemaName: ("schema", "there is no schema {name}", "correct tables in the configuration"),
    errors.UndefinedFunction: (
        "schema",
        "no function or operator fits {name}",
        "correct columns: one has an unfit type",
    ),
    errors.DatatypeMismatch: ("schema", "a column has an unfit type", "correct columns in the configuration"),
    errors.CannotCoerce: ("schema", "a column has an unfit type", "correct columns in the configuration"),
    errors.InvalidTextRepresentation: (
        "schema",
        "a value in a row cannot be cast to the type that the query needs",
        "run check: it names the column; correct columns in the configuration, or the view",
    ),
    errors.InvalidRegularExpression: (
        "schema",
        "a pattern is not a regular expression that PostgreSQL understands",
        "correct error_classes in the configuration",
    ),
    errors.InvalidParameterValue: (
        "schema",
        "the server does not know a setting's value, such as a time zone",
        "correct log_time_zone and budget_time_zone",
    ),
}

# By the SQLSTATE's class, where the state itself is not listed.
_CLASSES: Mapping[str, Failure] = {
    "08": ("unavailable", "the connection failed", "see the log of the server or its pooler, and check the network"),
    "22": (
        "schema",
        "a value in a row cannot be used",
        "run check: it names the column; correct the rows, or the view",
    ),
    "25": ("unavailable", *_TRANSIENT),
    "40": ("unavailable", *_TRANSIENT),
    "42": ("schema", "the query does not fit the tables", "correct tables and columns in the configuration"),
    "53": ("unavailable", "the server is short of memory, disk or connections", "see the server's log"),
    "57": ("unavailable", *_CLOSED),
    "58": ("unavailable", "the server cannot read its files", "see the server's log"),
    "XX": ("unavailable", "an internal error of the server", "see the server's log"),
}

# By words in libpq's text, for failures before the server could send a state, and in that of poolers, which send one
# state for everything. The first row that fits wins.
_PHRASES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("statement pooling mode",),
        "the pooler keeps a server for one statement only, but the exporter reads in transactions",
        "set pool_mode = transaction for this database or user, or connect to the server itself",
    ),
    (
        ("session is read-only", "session is not read-only", "hot standby mode", "target_session_attrs"),
        "no server meets target_session_attrs",
        "name a host that does, or change target_session_attrs (PGTARGETSESSIONATTRS): the exporter only reads",
    ),
    (
        ("channel binding",),
        "the login is not bound to TLS, which channel_binding requires",
        "connect over TLS with a password by SCRAM, or set channel_binding=prefer",
    ),
    (
        ("GSSAPI encryption required", "gssencmode"),
        "the connection cannot be encrypted by GSSAPI, which gssencmode requires",
        "set gssencmode=disable, or log in to Kerberos",
    ),
    (
        ("authentication method requirement", "require_auth"),
        "the server asks for a login method that require_auth does not allow",
        "change require_auth (PGREQUIREAUTH), or the method in the server's pg_hba.conf",
    ),
    (
        ("requirepeer",),
        "the server's process belongs to another user than requirepeer asks for",
        "correct requirepeer (PGREQUIREPEER), or the path of the socket",
    ),
    (("password authentication failed", "SASL authentication failed", "auth failed"), *_PASSWORD),
    (("no password supplied",), *_NO_PASSWORD),
    (("SSL connection is required", "SSL required", "connections must use SSL", "no encryption"), *_TLS_WANTED),
    (("no pg_hba.conf entry", "pg_hba.conf rejects"), *_ADDRESS),
    (
        ("certificate verify failed", "server certificate for", "does not match host name"),
        "the server's certificate is not trusted, or is for another host",
        "set sslrootcert to the authority's certificate, and the host as the certificate has it",
    ),
    (
        ("root certificate file", "certificate file", "private key file"),
        "a certificate or key file cannot be used",
        "correct sslrootcert, sslcert and sslkey; a key must not be readable by others",
    ),
    (
        ("does not support SSL", "server rejected SSL"),
        "the server does not speak TLS",
        "switch TLS on in the server, or set sslmode=prefer",
    ),
    (("SSL error", "SSL SYSCALL error", "tlsv1 alert"), "the TLS connection failed", "check sslmode on both sides"),
    (
        ("could not translate host name", "failed to resolve host", "Name or service not known"),
        "the host's name is not known",
        "correct the host, or the name service",
    ),
    (
        ("Too many open files",),
        "this process may not open another file",
        "raise its limit of open files (LimitNOFILE, ulimit -n), or find out who opens so many connections to it",
    ),
    (("Connection refused",), *_REFUSED),
    (
        ("No such file or directory", "is not a socket"),
        "there is no server socket at that path",
        "name the server in database.url or DATABASE_URL, or correct the host",
    ),
    (
        ("timeout expired", "Connection timed out", "timed out"),
        "no answer in time",
        "check host, port and firewall, or raise database.connect_timeout",
    ),
    (
        ("No route to host", "Network is unreachable", "Host is unreachable"),
        "the host cannot be reached",
        "check host and network",
    ),
    (
        ("too many connections for role",),
        "the role has no connection left",
        "see pg_stat_activity for who holds them, or raise the limit: ALTER ROLE … CONNECTION LIMIT",
    ),
    (
        ("is not currently accepting connections",),
        "the database takes no connections",
        "ALTER DATABASE … ALLOW_CONNECTIONS true, unless that is intended",
    ),
    (
        ("too many connections for database",),
        "the database has no connection left",
        "see pg_stat_activity for who holds them, or raise the limit: ALTER DATABASE … CONNECTION LIMIT",
    ),
    (
        ("query_wait_timeout",),
        "the pooler has no free connection to its server",
        "see the pooler's log: its server may be down, or its pool too small; it is tried again",
    ),
    (
        ("cannot connect to server", "server login has been failing", "server login failed"),
        "the pooler cannot connect to its server",
        "see the pooler's log, and its line for this database",
    ),
    (
        ("bouncer config error",),
        "the pooler does not know the database or the user",
        "correct both in the connection's settings, or add them to the pooler's databases and users",
    ),
    (
        ("no more connections allowed", "max_client_conn", "max_db_connections", "Max client"),
        *_POOL_FULL,
    ),
    (("too many clients", "too many connections", "connection slots are reserved"), *_FULL),
    (("is starting up", "is shutting down", "in recovery mode", "not yet accepting connections"), *_STARTING),
    (
        ("server closed the connection", "terminating connection", "connection to server was lost"),
        *_CLOSED,
    ),
    (("Connection reset", "Broken pipe", "the connection is lost", "connection is closed"), *_CLOSED),
    (
        ("startup parameter",),
        "the pooler does not take a parameter of the connection",
        "remove options from the URL and PGOPTIONS, or add the parameter to the pooler's ignore_startup_parameters",
    ),
    (("definition of service",), "the service is in no service file", "correct PGSERVICE, or the service file"),
    (
        ("could not match",),
        "hosts and ports differ in number",
        "write one port for all hosts, or one for each",
    ),
    (
        (
            "invalid port number",
            "invalid integer value",
            "invalid sslmode",
            "invalid connection option",
            "unrecognized configuration parameter",
            "invalid value for parameter",
        ),
        "a parameter of the connection has an impossible value",
        "correct the URL's parameters and the PG* variables",
    ),
    (("FATAL:  role ", "no such user"), *_NO_ROLE),
    (("FATAL:  database ", "no such database"), *_DATABASE),
)

# A server that answers refuses the login: waiting does not help.
REFUSED_LOGINS = frozenset(
    message for message, _ in (_PASSWORD, _ADDRESS, _DATABASE, _NO_PASSWORD, _NO_ROLE, _NOT_LET_IN, _TLS_WANTED)
)


def by_state(state: str) -> Failure | None:
    """What a SQLSTATE means, by itself or by its class; None if neither is known."""
    named = next((failure for kind, failure in _STATES.items() if kind.sqlstate == state), None)
    return named or _CLASSES.get(state[:2])


def by_words(said: str) -> Failure | None:
    """What the first known phrase in a text of libpq, a pooler or a server means; None if there is none."""
    return next(
        (("unavailable", message, hint) for phrases, message, hint in _PHRASES if any(map(said.__contains__, phrases))),
        None,
    )
