"""Which database: from the configuration, the environment or a file, to parameters that need no parsing again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import Error, pq
from psycopg.conninfo import conninfo_to_dict

from exporter.config import Config, ConfigError, read_secret_file
from exporter.database.url import UnreadableUrlError, is_url, parse_url

_DEFAULTS = pq.Conninfo.get_defaults()
_VARIABLES = {option.envvar.decode(): option.keyword.decode() for option in _DEFAULTS if option.envvar is not None}
_SECRET_PARAMETERS = frozenset(option.keyword.decode() for option in _DEFAULTS if option.dispchar == b"*") | {
    "scram_client_key",
    "scram_server_key",
}
_UNPRINTABLE = re.compile(r"[^ -~\u00a1-\U0010ffff]")
_LOCAL = "local socket"


@dataclass(frozen=True, slots=True)
class ConnInfo:
    """How to reach the database. Neither ``repr`` nor ``display`` shows a secret."""

    params: Mapping[str, str] = field(repr=False)
    source: str = "PG* variables"

    @property
    def user(self) -> str:
        """The role that logs in."""
        return self.params.get("user") or _system_user()

    @property
    def display(self) -> str:
        """``host:port/dbname as user``, for people."""
        service = self.params.get("service")
        if service and not self.params.get("host"):
            return _clean(f"service {service}")
        hosts = (self.params.get("host") or self.params.get("hostaddr") or _LOCAL).split(",")
        ports = (self.params.get("port") or "5432").split(",")
        if len(ports) != len(hosts):
            ports = ports[:1] * len(hosts)
        where = ",".join(f"{_bracketed(host)}:{port}" for host, port in zip(hosts, ports, strict=True))
        return _clean(f"{where}/{self.params.get('dbname') or self.user} as {self.user}")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be printed."""
        return tuple(value for name, value in self.params.items() if name in _SECRET_PARAMETERS and value)

    def __repr__(self) -> str:
        return f"ConnInfo({self.display!r}, source={self.source!r})"


def resolve_conninfo(config: Config, environ: Mapping[str, str]) -> ConnInfo:
    """The connection's parameters, with libpq's ``PG*`` variables for what the chosen source leaves open.

    The first of: ``database.url`` or ``database.url_file`` of the configuration, ``DATABASE_URL``,
    ``DATABASE_URL_FILE``; else ``PG*`` alone. ConfigError names the source and never quotes it.
    """
    source, text = _chosen(config, environ)
    params = _parse(text, source) if text is not None else {}
    if service := params.get("service") or environ.get("PGSERVICE"):
        # A service file stands between the text and the variables: libpq puts those together itself.
        params["service"] = service
    else:
        params = _from_variables(environ) | params
    if "password" not in params and (file := environ.get("PGPASSWORD_FILE")):
        params["password"] = _read(Path(file), "PGPASSWORD_FILE")
    elif "password" not in params and (password := environ.get("PGPASSWORD")):
        params["password"] = password
    for value in params.values():
        _check_characters(value, source)
    return ConnInfo(params, source)


def _chosen(config: Config, environ: Mapping[str, str]) -> tuple[str, str | None]:
    if config.database.url is not None:
        return "database.url", config.database.url
    if config.database.url_file is not None:
        return "database.url_file", _read(config.database.url_file, "database.url_file")
    if text := environ.get("DATABASE_URL", "").strip():
        return "DATABASE_URL", text
    if file := environ.get("DATABASE_URL_FILE"):
        return "DATABASE_URL_FILE", _read(Path(file), "DATABASE_URL_FILE")
    return "PG* variables", None


def _read(path: Path, source: str) -> str:
    try:
        content = read_secret_file(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError([f"{source}: {path}: {reason} — name a file that can be read"]) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise ConfigError([f"{source}: {path}: empty, or not UTF-8 — write the value into it"])
    return text


def _parse(text: str, source: str) -> dict[str, str]:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]  # docker's --env-file keeps the quotes
    _check_characters(text, source)
    if is_url(text):
        try:
            return parse_url(text)
        except UnreadableUrlError as error:
            reason = str(error)
        mend = "percent-encode the user and the password (@ is %40, / is %2F, : is %3A, % is %25)"
        raise ConfigError([f"{source}: the URL cannot be read: {reason} — {mend}"])
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except Error:
        pass  # outside of the handler, so that the driver's text is not even in the context
    mend = "write postgresql://user:password@host:5432/database, or host=… user=… password='…' dbname=…"
    raise ConfigError([f"{source}: neither a URL nor key=value words that libpq knows — {mend}"])


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        keyword: value
        for variable, keyword in _VARIABLES.items()
        if keyword != "password" and (value := environ.get(variable))
    }


def _check_characters(value: str, source: str) -> None:
    try:
        value.encode()
        sound = "\x00" not in value
    except UnicodeEncodeError:
        sound = False
    if not sound:
        raise ConfigError([f"{source}: holds a null character or is not UTF-8 — write it as UTF-8 text"])


def _system_user() -> str:
    values = (option.val for option in _DEFAULTS if option.keyword == b"user")
    return next((value.decode(errors="replace") for value in values if value), "?")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("/") else host


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
