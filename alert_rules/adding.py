"""`rules add`: the admin API's request becomes an alert in alerts.yaml, and its webhook's URL a file beside it."""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alert_rules.appending import append_alert
from alert_rules.channels import Channels
from alert_rules.dimensions import Dimension
from alert_rules.errors import RulesError
from alert_rules.files import locked, replace_file
from alert_rules.request import AddRequest, alert_id, parse_request
from alert_rules.secrets import check_webhook_url, read_secret, secret_path, write_secret

_UNDONE = "the alert was not added: all files are as they were"


@dataclass(frozen=True, slots=True)
class Places:
    """The files that an alert is added to: `secrets` is the folder that Alertmanager sees as its own."""

    alerts: Path
    secrets: Path


@dataclass(frozen=True, slots=True)
class Added:
    """The answer to a request."""

    id: str
    status: str = "active"


@dataclass(frozen=True, slots=True)
class _Secret:
    """A URL to be written, and what was in its file before."""

    path: Path
    url: str
    before: str | None


def add_alert(
    text: str | bytes,
    places: Places,
    channels: Channels,
    quantities: Mapping[str, Dimension],
    build: Callable[[], None],
    *,
    replace_webhook: bool = False,
) -> Added:
    """Add the alert that a request asks for, and build; RulesError says what is wrong with it, and nothing is changed.

    `build` compiles alerts.yaml as it then is, and raises where it cannot; it must not have written anything then. One
    request at a time: others wait. A process that is ended on the way leaves alerts.yaml as it was or with the whole
    alert, and the URL's file as it was or with the whole URL, never the alert before the URL.
    """
    request = parse_request(text, quantities)
    if unknown := [name for name in request.channels if name not in channels.names]:
        known = ", ".join(channels.names)
        raise RulesError(
            [f"channel: no channel {', '.join(unknown)} — write one of {known}, or add it to channels.yaml"]
        )
    alerts = places.alerts.resolve()
    with locked(alerts.parent):
        before, mode = _read(alerts)
        after = append_alert(before, request.settings, str(places.alerts))
        secret = _secret(request, places, channels, replace=replace_webhook)
        try:
            if secret:
                write_secret(secret.path, secret.url)
            replace_file(alerts, after, mode)
            build()
        except BaseException as error:
            _put_back(alerts, before, after, mode, secret)
            if isinstance(error, RulesError):
                raise RulesError([*error.problems, _UNDONE]) from None
            if isinstance(error, OSError):
                raise RulesError([f"{error.filename}: {error.strerror} — make it writable", _UNDONE]) from None
            raise
    return Added(alert_id(request.name))


def _read(path: Path) -> tuple[bytes, int]:
    try:
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise RulesError([f"{path}: {error.strerror} — name a file that can be read"]) from None


def _secret(request: AddRequest, places: Places, channels: Channels, *, replace: bool) -> _Secret | None:
    url = request.webhook_url
    if url is None:
        return None
    check_webhook_url(url)
    channel = next(channel for channel in channels.channels if channel.name == request.channels[0])
    path = secret_path(places.secrets, channel)
    before = read_secret(path)
    if before is not None and before != url and not replace:
        raise RulesError(
            [
                f"webhook_url: {path} holds another URL, which all alerts of the channel {channel.name} use — leave"
                " webhook_url out, name another channel, or replace it for all of them with --replace-webhook"
            ]
        )
    return None if before == url else _Secret(path, url, before)


def _put_back(alerts: Path, before: bytes, after: bytes, mode: int, secret: _Secret | None) -> None:
    # What somebody has saved in the meantime is theirs.
    if alerts.read_bytes() == after:
        replace_file(alerts, before, mode)
    if secret and read_secret(secret.path) == secret.url:
        write_secret(secret.path, secret.before)
