"""Read and check `channels.yaml`: where alerts can be sent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from alert_rules.language.source import Source, read_source
from alert_rules.model.conventions import CHANNEL_NAME
from alert_rules.model.errors import RulesError, wrong
from exporter.alerting import FAILURES, HEARTBEAT
from exporter.diagnostics import Form, setting_error
from exporter.yaml_source import SettingPath

SECRETS_FOLDER = "/etc/alertmanager/secrets"
"""Where Alertmanager finds the files with the webhooks' URLs, unless a channel names another file."""

# Discord refuses these in a webhook's name ("clyde" too), and names past 80 characters.
_USERNAMES_REFUSED = ("discord", "clyde")


def _absolute(value: str) -> str:
    if not value.startswith("/") or "://" in value:
        raise setting_error("write the absolute path of a file, as Alertmanager sees it; never the URL")
    return value


def _username(value: str) -> str:
    if any(word in value.lower() for word in _USERNAMES_REFUSED):
        raise setting_error("write a name without “discord” or “clyde”: Discord refuses those")
    return value


File = Annotated[str, AfterValidator(_absolute)]
Name = Annotated[str, StringConstraints(pattern=rf"^{CHANNEL_NAME}$")]
Username = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_username)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DiscordChannel(_Section):
    """A Discord channel, reached by its webhook."""

    type: Literal["discord"]
    webhook_url_file: File | None = None
    username: Username | None = None


class Webhook(_Section):
    """Another service that takes Alertmanager's own JSON; without a file, nobody is told."""

    type: Literal["webhook"] = "webhook"
    url_file: File | None = None


class _ChannelsFile(_Section):
    channels: dict[Name, DiscordChannel] = Field(min_length=1)
    failures: Webhook = Webhook()
    heartbeat: Webhook = Webhook()


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel by the name that alerts use; `webhook_url_file` is a path as Alertmanager sees it."""

    name: str
    webhook_url_file: str
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels in the file's order, the first being the default; and the two receivers beside them.

    `failures_url_file` takes what Discord cannot be trusted with (that Discord fails), `heartbeat_url_file` the
    watchdog; None where nobody is told.
    """

    channels: tuple[Channel, ...]
    failures_url_file: str | None = None
    heartbeat_url_file: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that an alert's `channel` may use."""
        return tuple(channel.name for channel in self.channels)

    @property
    def default(self) -> str:
        """Where an alert goes that names no channel known here."""
        return self.channels[0].name


def load_channels(path: Path) -> Channels:
    """Read and check a `channels.yaml`; RulesError has all problems, each `file:line:column: setting: found — hint`."""
    return channels_from(read_source(path, "--channels"))


def channels_from(source: Source) -> Channels:
    """The same from a file that has been read."""
    if source.flaws:
        raise wrong(source.flaws)
    where = source.where
    try:
        file = _ChannelsFile.model_validate(source.document.data)
    except ValidationError as error:
        found = _FORM.errors(error, source.document.data)
        problems = [f"{where(e.setting)}: {_dotted(e.setting)}: {e.found} — {e.hint}" for e in found]
        raise RulesError(dict.fromkeys(problems)) from None
    if taken := [name for name in (FAILURES, HEARTBEAT) if name in file.channels]:
        raise RulesError(
            f"{where(('channels', name))}: channels.{name}: taken by the receiver of that name — call it otherwise"
            for name in taken
        )
    return Channels(
        channels=tuple(
            Channel(name, channel.webhook_url_file or f"{SECRETS_FOLDER}/{secret_file_name(name)}", channel.username)
            for name, channel in file.channels.items()
        ),
        failures_url_file=file.failures.url_file,
        heartbeat_url_file=file.heartbeat.url_file,
    )


def secret_file_name(channel: str) -> str:
    """The name of the file that holds a channel's webhook URL."""
    return f"{channel}_webhook_url"


def _dotted(path: SettingPath) -> str:
    return ".".join(map(str, path)) or "the file"


def _quoted(setting: SettingPath, value: Any) -> str:
    # A URL in the place of a file's path is a secret: only a type is repeated.
    match value:
        case None:
            return "nothing"
        case str() if setting[-1:] == ("type",) and "/" not in value:
            return repr(value[:40])
        case str():
            return "a text (not shown)"
        case list():
            return "a list"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case _:
            return f"{value}"


_HINTS = {
    "missing": "set it",
    "model_type": "write a mapping, one 'name: value' a line",
    "dict_type": "write a mapping, one 'name: value' a line",
    "too_short": "write at least one channel",
    "string_type": "write a text",
    "string_too_short": "write a text, or leave the setting out",
    "string_too_long": "write at most {max_length} characters",
    "string_pattern_mismatch": "write small letters, digits, - and _, at most 63, a letter or digit first",
    "literal_error": "write {expected}",
}

_FORM = Form(_ChannelsFile, _quoted, _HINTS)
