"""Options that several commands share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from pydantic_core import PydanticCustomError

from exporter.config import Config, load_config
from exporter.config.types import split_listen_address


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration; see config.example.yaml")


def add_state(parser: argparse.ArgumentParser) -> None:
    """`--config`, `--state-dir` and `--log.level`, which `configuration` reads."""
    add_config(parser)
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="the state folder (default: state)")
    parser.add_argument(
        "--log.level", dest="log_level", choices=("debug", "info", "warning", "error"), help="(default: info)"
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    """`--config` and `--json`."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for a script")


def add_history_days(parser: argparse.ArgumentParser) -> None:
    """`--days`, of sample data."""
    parser.add_argument("--days", type=whole_number(1, 400), default=30, help="days of history (default: 30)")


def configuration(arguments: argparse.Namespace, *, read_files: bool = True) -> Config:
    """The configuration that the options of `add_state` name. Raises `ConfigError`."""
    config = load_config(arguments.config, os.environ, read_files=read_files)
    options = {"state_dir": arguments.state_dir, "log_level": arguments.log_level}
    return config.model_copy(update={name: value for name, value in options.items() if value is not None})


def listen_address(text: str) -> str:
    """The type of an option that takes `host:port`."""
    try:
        split_listen_address(text)
    except PydanticCustomError as error:
        raise argparse.ArgumentTypeError(error.message()) from None
    return text


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
