"""The addresses of the parts: from options, the environment, or the ports of docker-compose.yml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from exporter.config import ConfigError, read_secret_file

DEFAULTS: Mapping[str, str] = {
    "exporter": "http://127.0.0.1:9867",
    "prometheus": "http://127.0.0.1:9090",
    "alertmanager": "http://127.0.0.1:9093",
    "grafana": "http://127.0.0.1:3000",
}
"""The URL of each part, as docker-compose.yml publishes it."""


@dataclass(frozen=True)
class Endpoints:
    """The URL of each part, empty for one to leave out, and Grafana's login."""

    exporter: str
    prometheus: str
    alertmanager: str
    grafana: str
    grafana_user: str = "admin"
    grafana_password: str = field(default="", repr=False)


def is_web_address(url: str) -> bool:
    """Whether a text is the URL of a server."""
    try:
        split = urlsplit(url)
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        return False


def variable(part: str) -> str:
    """The environment variable with a part's URL."""
    return f"{part.upper()}_URL"


def endpoints_from(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> Endpoints:
    """The endpoints: `flags` by part, then EXPORTER_URL and so on, then `DEFAULTS`.

    Grafana's login is $GRAFANA_USER with $GRAFANA_PASSWORD or the file $GRAFANA_PASSWORD_FILE. Raises `ConfigError`.
    """
    urls = {}
    for part, default in DEFAULTS.items():
        flag = flags.get(part)
        urls[part] = (environ.get(variable(part), default) if flag is None else flag).strip()
        if urls[part] and not is_web_address(urls[part]):
            raise ConfigError([f"--{part}-url or ${variable(part)}: not a URL — write http://host:port"])
    password = environ.get("GRAFANA_PASSWORD", "")
    if not password and (file := environ.get("GRAFANA_PASSWORD_FILE")):
        try:
            password = read_secret_file(Path(file)).decode().strip()
        except (OSError, ValueError):
            raise ConfigError(
                [f"$GRAFANA_PASSWORD_FILE: {file} cannot be read — set it to the path of a text file"]
            ) from None
    return Endpoints(**urls, grafana_user=environ.get("GRAFANA_USER") or "admin", grafana_password=password)
