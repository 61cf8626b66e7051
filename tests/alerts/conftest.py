"""A receiver for Discord's messages."""

from collections.abc import Iterator

import pytest

from tests.support.discord_server import DiscordServer, discord_server


@pytest.fixture(scope="module")
def server() -> Iterator[DiscordServer]:
    """One with Discord's limits; what it got stands in it until the module ends."""
    with discord_server() as running:
        yield running
