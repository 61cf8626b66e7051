"""Options that several commands share."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

from pydantic_core import PydanticCustomError

from exporter.config import ENVIRONMENT_PATH, Config, load_config
from exporter.config.models import LOG_FORMATS, LOG_LEVELS
from exporter.config.types import parse_duration, split_listen_address
from exporter.subcommands import path_option
from exporter.verify.endpoints import is_web_address


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`."""
    parser.add_argument(
        "--config",
        type=path_option,
        metavar="FILE",
        help=f"the exporter's configuration (default: ${ENVIRONMENT_PATH}, or else all settings at their defaults)",
    )


def add_state(parser: argparse.ArgumentParser, *, exists: bool = False) -> None:
    """`--config` and `--state-dir`, which `configuration` reads; `exists` refuses a folder that is not there."""
    add_config(parser)
    parser.add_argument(
        "--state-dir",
        type=existing_folder if exists else path_option,
        metavar="DIR",
        help="the folder with the state (default: state_dir of the configuration, or else state)",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """`--log.level` and `--log.format`, which `configuration` reads."""
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=LOG_LEVELS,
        help="the least severe messages to log (default: log_level of the configuration, or else info)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=LOG_FORMATS,
        help="how to write each line of the log (default: log_format of the configuration, or else logfmt)",
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    """`--config` and `--json`."""
    add_config(parser)
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for a script")


def add_history_days(parser: argparse.ArgumentParser) -> None:
    """`--days`, of sample data."""
    parser.add_argument(
        "--days",
        type=whole_number(1, 400),
        default=30,
        metavar="DAYS",
        help="days of history to write (default: %(default)s)",
    )


def configuration(arguments: argparse.Namespace, *, read_files: bool = True) -> Config:
    """The configuration, with what the options of `add_state` and `add_log` say instead. Raises `ConfigError`."""
    config = load_config(arguments.config, os.environ, read_files=read_files)
    given = {name: getattr(arguments, name, None) for name in ("state_dir", "log_level", "log_format")}
    return config.model_copy(update={name: value for name, value in given.items() if value is not None})


def listen_address(text: str) -> str:
    """The type of an option that takes `host:port`."""
    try:
        split_listen_address(text)
    except PydanticCustomError as error:
        raise argparse.ArgumentTypeError(error.message()) from None
    return text


def web_address(text: str) -> str:
    """The type of an option that takes the address of a page."""
    if not is_web_address(text) or re.search(r"[\s{}]", text):
        raise argparse.ArgumentTypeError("write an address that begins with http:// or https://")
    return text


def existing_folder(text: str) -> Path:
    """The type of an option that names a folder to read from."""
    path = path_option(text)
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib's raises where the path cannot be looked up
        raise argparse.ArgumentTypeError(f"{text!r} is no folder; name one that is there")
    return path


def duration(most: str) -> Callable[[str], float]:
    """The type of an option that takes a duration such as `90s` or `1h`, in seconds: above zero, `most` at most."""

    def parse(text: str) -> float:
        try:
            seconds = parse_duration(text)
        except PydanticCustomError:
            seconds = 0.0
        if not 0 < seconds <= parse_duration(most):
            raise argparse.ArgumentTypeError(f"write a duration such as 90s, 30m, 1h or 2d, of at most {most}")
        return seconds

    return parse


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number within these bounds."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"write a whole number from {least} to {most}")
        return number

    return parse
