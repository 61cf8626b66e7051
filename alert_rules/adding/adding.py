"""`rules add`: the admin API's request becomes an alert in alerts.yaml, and its webhook's URL a file beside it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alert_rules.adding.appending import append_alert
from alert_rules.adding.changing import Change, Places, Secret, change
from alert_rules.adding.request import AddRequest, alert_id, parse_request
from alert_rules.adding.secrets import check_webhook_url, read_secret, secret_path
from alert_rules.language.channels import Channels
from alert_rules.model.dimensions import Dimension
from alert_rules.model.errors import RulesError
from exporter.yaml_source import read_document

_UNDONE = "the alert was not added: all files are as they were"
_PLACE = re.compile(r":(\d+):\d+: ")

ACTIVE, PENDING = "active", "pending"
"""Whether the servers have loaded an alert, or still have to."""

__all__ = ["ACTIVE", "PENDING", "Added", "Places", "add_alert"]


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
    quantities: Mapping[str, Dimension],
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
    request = parse_request(text, quantities)
    if unknown := [name for name in request.channels if name not in channels.names]:
        known = ", ".join(channels.names)
        raise RulesError(
            [f"channel: no channel {', '.join(unknown)} — write one of {known}, or add it to channels.yaml"]
        )
    file = str(places.alerts)

    def plan(before: bytes) -> Change:
        after = append_alert(before, request.settings, file)
        return Change(request.name, after, _secret(request, places, channels, replace=replace_webhook))

    def build_and_blame() -> None:
        try:
            build()
        except RulesError as error:
            # The line is taken out again before anybody reads this.
            raise RulesError(_by_field(error.problems, file, places.alerts.read_bytes(), request)) from None

    made = change(places, plan, build_and_blame, _UNDONE)
    return Added(alert_id(made.name), made.name, status(made.name), made.secret.path if made.secret else None)


def _by_field(problems: tuple[str, ...], file: str, content: bytes, request: AddRequest) -> list[str]:
    """Problems in the lines that were added, each with the request's field instead of its place in the file."""
    document = read_document(content)
    data = document.data if isinstance(document.data, dict) else {}
    number = len(data.get("alerts") or ()) - 1
    within = [place.line for path, place in document.values.items() if path[:2] == ("alerts", number)]
    fields = {
        place.line: str(path[2])
        for path, place in document.keys.items()
        if path[:2] == ("alerts", number) and len(path) == 3
    }

    def blamed(problem: str) -> str:
        place = _PLACE.match(problem, len(file)) if problem.startswith(file) else None
        line = int(place[1]) if place else 0
        if not place or not fields or not min(fields) <= line <= max(within):
            return problem
        field = fields[max(known for known in fields if known <= line)]
        field = request.origins.get(field, field)
        found = problem[place.end() :]
        return found if found.startswith(f"{field}:") else f"{field}: {found}"

    return [blamed(problem) for problem in problems]


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
