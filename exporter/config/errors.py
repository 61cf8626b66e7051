"""The error of a configuration that cannot be used."""

from exporter.errors import UserError


class ConfigError(UserError):
    """Everything that is wrong with the configuration."""
