"""Settings: from a YAML file to checked, frozen values."""

from exporter.config.bounds import LARGEST_AMOUNT, UPPER_BOUNDS
from exporter.config.errors import ConfigError
from exporter.config.loader import ENVIRONMENT_PATH, load_config, read_config
from exporter.config.models import LOG_FORMATS, LOG_LEVELS, Classification, Config
from exporter.config.names import LABEL_LENGTH, QualifiedName, clean_label
from exporter.config.secrets import read_hmac_key, read_secret_file
from exporter.config.sections import ConfiguredPrice, ErrorClass
from exporter.config.types import Duration, format_duration, parse_duration

__all__ = [
    "ENVIRONMENT_PATH",
    "LABEL_LENGTH",
    "LARGEST_AMOUNT",
    "LOG_FORMATS",
    "LOG_LEVELS",
    "UPPER_BOUNDS",
    "Classification",
    "Config",
    "ConfigError",
    "ConfiguredPrice",
    "Duration",
    "ErrorClass",
    "QualifiedName",
    "clean_label",
    "format_duration",
    "load_config",
    "parse_duration",
    "read_config",
    "read_hmac_key",
    "read_secret_file",
]
