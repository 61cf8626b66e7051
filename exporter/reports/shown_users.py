"""How users are shown, as the configuration's `users` says."""

from exporter.config import Config, read_hmac_key
from exporter.pseudonyms import Pseudonyms


def pseudonyms(config: Config) -> Pseudonyms:
    """The labels that /metrics has too; `ConfigError` where the key cannot be read."""
    return Pseudonyms(read_hmac_key(config) if config.users.mode == "hmac" else None)
