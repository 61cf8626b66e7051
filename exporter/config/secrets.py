"""Secrets that the configuration keeps in files of their own."""

from pathlib import Path

from exporter.config.errors import ConfigError
from exporter.config.models import Config

_LEAST_KEY_BYTES = 16


def read_secret_file(path: Path) -> bytes:
    """A file's content without the line break at its end. Raises OSError."""
    content = path.read_bytes()
    return content.removesuffix(b"\n").removesuffix(b"\r")


def read_hmac_key(config: Config) -> bytes:
    """The key for hashing user names, at least 16 bytes. Raises `ConfigError`."""
    path = config.users.hmac_key_file
    if path is None:
        raise ConfigError(["set users.hmac_key_file"])
    try:
        key = read_secret_file(path)
    except OSError as error:
        raise ConfigError([f"name a file that can be read ({error.strerror})"]) from None
    if len(key) < _LEAST_KEY_BYTES:
        raise ConfigError([f"write at least {_LEAST_KEY_BYTES} random bytes into the file, not {len(key)}"])
    return key
