"""The labels of users, by the setting `users`."""

from exporter.config import Config, read_hmac_key
from exporter.pseudonyms import Pseudonyms


def pseudonyms(config: Config) -> Pseudonyms:
    """The same labels as in /metrics. Raises `ConfigError` if the key cannot be read."""
    return Pseudonyms(read_hmac_key(config) if config.users.mode == "hmac" else None)
