"""`rules add`: put the admin API's request into alerts.yaml, and its webhook's URL into a file beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from alert_rules.adding.appending import append_alert
from alert_rules.adding.changing import Change, Places, Secret, change
from alert_rules.adding.request import AddRequest, parse_request
from alert_rules.adding.secrets import check_webhook_url, read_secret, secret_path
from alert_rules.language.channels import Channels
from alert_rules.model.conventions import alert_id
from alert_rules.model.errors import RulesError

_UNDONE = "the alert was not added: all files are as they were"

ACTIVE, PENDING = "active", "pending"
"""Whether the servers have loaded an alert, or still have to."""


@dataclass(frozen=True, slots=True)
class Added:
    """The answer to a request; `secret` is the file that a new webhook's URL was written into."""

    id: str
    name: str
    status: str = ACTIVE
    secret: Path | None = field(default=None, compare=False)


def add_alert(
    text: str | bytes,
    places: Places,
    channels: Channels,
    build: Callable[[], None],
    *,
    replace_webhook: bool = False,
    status: Callable[[str], str] = lambda _: ACTIVE,
) -> Added:
    """Add the alert that a request asks for, and build.

    `change` says what `build` must do, and what a killed process leaves. `status` answers afterwards, by the alert's
    name, whether the servers have loaded what was built. Raises `RulesError` for what is wrong with the request; then
    nothing is changed.
    """
    request = parse_request(text, channels.names)

    def plan(before: bytes) -> Change:
        after = append_alert(before, request.settings, str(places.alerts))
        return Change(request.name, after, _secret(request, places, channels, replace=replace_webhook))

    made = change(places, plan, build, _UNDONE)
    return Added(alert_id(made.name), made.name, status(made.name), made.secret.path if made.secret else None)


def _secret(request: AddRequest, places: Places, channels: Channels, *, replace: bool) -> Secret | None:
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
    return None if before == url else Secret(path, url, before)
