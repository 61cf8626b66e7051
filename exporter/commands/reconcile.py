"""`reconcile`: the log against what was recorded of it, and against what the provider says."""

import argparse
import os
import sys
from decimal import Decimal, InvalidOperation

from exporter.commands.options import add_json, add_state, configuration, web_address
from exporter.reconcile.run import Wanted, run_reconcile
from exporter.subcommands import path_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `reconcile`."""
    add_state(parser, exists=True)
    add_json(parser)
    parser.add_argument("--from", dest="since", metavar="TIME", help="a day or a time (default: the month's first day)")
    parser.add_argument("--to", dest="until", metavar="TIME", help="a day or a time, not in it (default: tomorrow)")
    parser.add_argument(
        "--by",
        choices=("operation", "model", "user", "group", "day"),
        default="model",
        help="what each line is of (default: %(default)s)",
    )
    parser.add_argument(
        "--time-zone",
        metavar="ZONE",
        help="of the days (default: budget_time_zone; with --provider-csv UTC, as providers have it)",
    )
    parser.add_argument(
        "--prometheus", type=web_address, metavar="URL", help="compare with its history, too (default: not)"
    )
    parser.add_argument("--prometheus-job", metavar="JOB", help="the exporter's job (default: ai-operation-exporter)")
    parser.add_argument(
        "--provider-csv",
        type=path_option,
        metavar="FILE",
        help="compare with a cost export of OpenAI, Anthropic, Google, OpenRouter or DeepSeek, too (default: not)",
    )
    parser.add_argument(
        "--provider-columns",
        metavar="COLUMNS",
        help="of another export: date=COLUMN,model=COLUMN,cost=COLUMN (default: those that are known)",
    )
    parser.add_argument(
        "--tolerance", type=_share, metavar="SHARE", default="1%", help="how far sources may differ (default: 1%%)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison; returns 1 where a source differs past the tolerance. Raises `UserError`."""
    wanted = Wanted(
        since=arguments.since,
        until=arguments.until,
        by=arguments.by,
        time_zone=arguments.time_zone,
        prometheus=arguments.prometheus,
        provider_csv=arguments.provider_csv,
        provider_columns=arguments.provider_columns,
        tolerance=arguments.tolerance,
        **({} if arguments.prometheus_job is None else {"prometheus_job": arguments.prometheus_job}),
    )
    return run_reconcile(configuration(arguments), os.environ, wanted, sys.stdout, as_json=arguments.json)


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
        if share.is_finite() and 0 <= share <= 1:
            return share
    except InvalidOperation:
        pass
    raise argparse.ArgumentTypeError("write a share like 1% or 0.01")
