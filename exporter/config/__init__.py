"""Settings: from a YAML file to checked, frozen values."""

from exporter.config.bounds import LARGEST_AMOUNT, UPPER_BOUNDS
from exporter.config.errors import ConfigError
from exporter.config.loader import ENVIRONMENT_PATH, load_config, read_config
from exporter.config.models import Classification, Config
from exporter.config.names import LABEL_LENGTH, QualifiedName, clean_label
from exporter.config.secrets import read_hmac_key, read_secret_file

__all__ = [
    "ENVIRONMENT_PATH",
    "LABEL_LENGTH",
    "LARGEST_AMOUNT",
    "UPPER_BOUNDS",
    "Classification",
    "Config",
    "ConfigError",
    "QualifiedName",
    "clean_label",
    "load_config",
    "read_config",
    "read_hmac_key",
    "read_secret_file",
]
