"""Check how users are shown, and the key for it."""

from exporter.config import Config, ConfigError, read_hmac_key
from exporter.findings import Finding, fail, ok

USERS = "users"
_MODES = {"off": "not shown", "id": "shown by their ID in the log"}


def check_users(config: Config) -> Finding:
    """Check the setting `users.mode`, and its key file."""
    if config.users.mode != "hmac":
        return ok(USERS, _MODES[config.users.mode])
    try:
        key = read_hmac_key(config)
    except ConfigError as error:
        return fail(USERS, f"the key in {config.users.hmac_key_file} cannot be used", f"users.hmac_key_file: {error}")
    return ok(USERS, f"hashed with a key of {len(key)} bytes")
