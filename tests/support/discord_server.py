"""A local receiver with Discord's limits, and what it got as the reader sees it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.discord_receiver import DiscordReceiver

WEBHOOK_PATH = "/api/webhooks/1/token-of-the-test"


@dataclass(frozen=True)
class Message:
    """One message: its one embed's title and description."""

    webhook: str
    title: str
    description: str


@dataclass
class DiscordServer:
    """A running receiver; every channel has a webhook of its own on it."""

    receiver: DiscordReceiver

    def url(self, channel: str = "discord") -> str:
        """A channel's webhook."""
        return f"http://127.0.0.1:{self.receiver.port}/api/webhooks/1/{channel}"

    def write_secret(self, folder: Path, channel: str = "discord") -> None:
        """Write a channel's URL where Alertmanager looks for it."""
        folder.mkdir(exist_ok=True)
        (folder / f"{channel}_webhook_url").write_text(self.url(channel) + "\n")

    def messages(self, channel: str | None = None) -> list[Message]:
        """What was accepted, oldest first; of one channel, or of all."""
        return [
            Message(path.rpartition("/")[2], embed["title"], embed["description"])
            for path, body in list(self.receiver.accepted)
            for embed in body["embeds"]
            if channel is None or path.endswith(f"/{channel}")
        ]

    def titled(self, text: str) -> list[Message]:
        """The accepted messages whose title contains a text."""
        return [message for message in self.messages() if text in message.title]


@contextlib.contextmanager
def discord_server() -> Iterator[DiscordServer]:
    """Run a receiver on a free port of this machine."""
    receiver = DiscordReceiver()
    receiver.start()
    try:
        yield DiscordServer(receiver)
    finally:
        receiver.stop()
