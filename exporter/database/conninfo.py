"""Which database: from the configuration, the environment or a file, to parameters that need no parsing again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import Error, pq
from psycopg.conninfo import conninfo_to_dict

from exporter.config import Config, ConfigError, read_secret_file
from exporter.config.sections import DatabaseUrl
from exporter.database.foreign import notice
from exporter.database.plain import hidden_values, is_connection_string, is_plain, pieces
from exporter.database.url import UnreadableUrlError, UrlParameters, is_url, parse_url

_DEFAULTS = pq.Conninfo.get_defaults()
_VARIABLES = {option.envvar.decode(): option.keyword.decode() for option in _DEFAULTS if option.envvar is not None}
SECRET_PARAMETERS = frozenset(option.keyword.decode() for option in _DEFAULTS if option.dispchar == b"*") | {
    "scram_client_key",
    "scram_server_key",
}
_READ_BY_PEOPLE = {
    "host": "host",
    "hostaddr": "address",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "service": "service",
}
"""The parameters that messages name, and what people call them."""

_NAMING = frozenset(_READ_BY_PEOPLE)
"""At least one of these parameters tells which database is meant."""

_LOCAL = "local socket"
_WRITE = (
    "write postgresql://user:password@host:5432/database, or host=… port=… user=… password='…' dbname=… "
    "with spaces between them and no semicolons"
)


@dataclass(frozen=True, slots=True)
class ConnInfo:
    """How to reach the database. Neither ``repr`` nor ``display`` shows a secret, or what is no plain name.

    `notices` are sentences for people about what the source says in vain; they hold no secret either.
    """

    params: Mapping[str, str] = field(repr=False)
    source: str = "PG* variables"
    notices: tuple[str, ...] = ()

    @property
    def user(self) -> str:
        """The role that logs in, as it was written: for SQL, and not to be shown unless it is plain."""
        return self.params.get("user") or _system_user()

    @property
    def display(self) -> str:
        """``host:port/dbname as user``, for people."""
        service = self.params.get("service")
        if service and not self.params.get("host"):
            return f"service {self._shown('service', service)}"
        hosts = self._hosts()
        ports = self._shown("port", self.params.get("port") or "5432").split(",")
        if len(ports) != len(hosts):
            ports = ports[:1] * len(hosts)
        where = ",".join(f"{_bracketed(host)}:{port}" for host, port in zip(hosts, ports, strict=True))
        user = self._shown("user", self.user)
        database = self.params.get("dbname")
        return f"{where}/{self._shown('dbname', database) if database else user} as {user}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be printed."""
        secrets = [value for name, value in self.params.items() if name in SECRET_PARAMETERS and value]
        misplaced = list(hidden_values({name: self.params.get(name, "") for name in _READ_BY_PEOPLE}))
        return tuple(dict.fromkeys([*secrets, *misplaced, *sorted(pieces(misplaced))]))

    def _hosts(self) -> list[str]:
        for keyword in ("host", "hostaddr"):
            if value := self.params.get(keyword):
                return self._shown(keyword, value).split(",")
        return [_LOCAL]

    @staticmethod
    def _shown(keyword: str, value: str) -> str:
        return value if is_plain(keyword, value) else f"({_READ_BY_PEOPLE.get(keyword, keyword)} not shown)"

    def __repr__(self) -> str:
        return f"ConnInfo({self.display!r}, source={self.source!r})"


def resolve_conninfo(config: Config, environ: Mapping[str, str]) -> ConnInfo:
    """The connection's parameters, with libpq's ``PG*`` variables for what the chosen source leaves open.

    The first of: ``database.url`` or ``database.url_file`` of the configuration, ``DATABASE_URL``,
    ``DATABASE_URL_FILE``; else ``PG*`` alone. ConfigError names the source and never quotes it, or says
    that nothing tells which database is meant.
    """
    source, text = _chosen(config.database, "database", "DATABASE_URL", environ) or ("PG* variables", None)
    info = _resolved(source, text, environ)
    if text is None and not info.params.keys() & _NAMING:
        raise ConfigError(
            [
                "no database is given — set DATABASE_URL, or database.url in the file that --config names, to "
                "postgresql://user:password@host:5432/database"
            ]
        )
    return info


def resolve_writer(config: Config, environ: Mapping[str, str]) -> ConnInfo:
    """As `resolve_conninfo`, for the role that writes recommendations, which has to be named.

    The first of: ``recommendations.url`` or ``recommendations.url_file``, ``RECOMMENDATIONS_DATABASE_URL``,
    ``RECOMMENDATIONS_DATABASE_URL_FILE``.
    """
    chosen = _chosen(config.recommendations, "recommendations", "RECOMMENDATIONS_DATABASE_URL", environ)
    if chosen is None:
        raise ConfigError(
            [
                "--store: no database is given to write to — set RECOMMENDATIONS_DATABASE_URL, or recommendations.url "
                "in the file that --config names, to a URL with the role of deploy/sql/role_recommendations.sql"
            ]
        )
    return _resolved(*chosen, environ)


def _resolved(source: str, text: str | None, environ: Mapping[str, str]) -> ConnInfo:
    read = _parse(text, source) if text is not None else UrlParameters({})
    params = read.known
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
    _check_names(params, source)
    return ConnInfo(params, source, (notice(read.foreign),) if read.foreign else ())


def _chosen(setting: DatabaseUrl, section: str, variable: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """What tells where the database is, and the text; None where nothing does."""
    if setting.url is not None:
        return f"{section}.url", setting.url
    if setting.url_file is not None:
        return f"{section}.url_file", _read(setting.url_file, f"{section}.url_file")
    if text := environ.get(variable, "").strip():
        return variable, text
    if file := environ.get(f"{variable}_FILE"):
        return f"{variable}_FILE", _read(Path(file), f"{variable}_FILE")
    return None


def _read(path: Path, source: str) -> str:
    shown = path if is_shown(path) else "the name is not shown, since there is no such folder"
    try:
        content = read_secret_file(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        problem = f"{source}: {shown}: {reason} — name a file that can be read"
    else:
        try:
            if text := content.decode("utf-8-sig"):
                return text
        except UnicodeDecodeError:
            pass
        problem = f"{source}: {shown}: empty, or not UTF-8 — write the value into it"
    # outside of the handler: the error of the operating system quotes the name
    raise ConfigError([problem])


def is_shown(path: Path) -> bool:
    """Whether a path may be printed: a secret that was written in its place has no folder that exists."""
    try:
        return is_plain("passfile", str(path)) and path.parent != Path() and path.parent.is_dir()
    except (OSError, ValueError):
        return False


def _parse(text: str, source: str) -> UrlParameters:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]  # docker's --env-file keeps the quotes
    if not text.strip():
        # to libpq it would mean the local server
        raise ConfigError([f"{source}: empty — {_WRITE}"])
    _check_characters(text, source)
    if is_url(text):
        try:
            return parse_url(text)
        except UnreadableUrlError as error:
            problem = f"{source}: the URL cannot be read: {error} — {error.hint}"
        raise ConfigError([problem])
    try:
        return UrlParameters({name: str(value) for name, value in conninfo_to_dict(text).items()})
    except Error:
        pass  # outside of the handler, so that the driver's text is not even in the context
    raise ConfigError([f"{source}: neither a URL nor key=value words that libpq knows — {_WRITE}"])


def _check_names(params: Mapping[str, str], source: str) -> None:
    """Refuse what cannot be a name: a name server or the database server would learn the secret in it."""
    for keyword, noun in _READ_BY_PEOPLE.items():
        value = params.get(keyword, "")
        refused = is_connection_string(value) or (keyword in ("host", "hostaddr", "port") and value)
        if value and refused and not is_plain(keyword, value):
            what = {"port": "a port", "hostaddr": "an IP address"}.get(keyword, f"the name of a {noun}")
            raise ConfigError([f"{source}: the {noun} ({keyword}) is not {what}, and is not shown — {_WRITE}"])


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
