"""`rules build`, `validate`, `explain` and `add`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TextIO

from alert_rules.adding import Places, add_alert
from alert_rules.annotations import RUNBOOKS
from alert_rules.building import Compiled, Sources, compile_sources, outputs, stale, write
from alert_rules.channels import load_channels
from alert_rules.errors import RulesError
from alert_rules.explaining import explain
from alert_rules.limits import team_limits, told_twice
from alert_rules.quantities import LIMITS, QUANTITIES
from alert_rules.runbook import write_first_runbook

FOLDER = Path("alert_rules")


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The subcommands; each sets `run`, which takes the parsed arguments and returns the exit code."""
    commands = parser.add_subparsers(required=True, metavar="command")

    build = commands.add_parser("build", help="compile alerts.yaml to rules and Alertmanager's configuration")
    _sources(build)
    _config(build)
    build.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    build.set_defaults(run=lambda arguments: _build(arguments, sys.stdout))

    validate = commands.add_parser("validate", help="say everything that is wrong with alerts.yaml and channels.yaml")
    _sources(validate)
    _config(validate)
    validate.set_defaults(run=lambda arguments: _validate(arguments, sys.stdout))

    explained = commands.add_parser("explain", help="an alert in words, with its PromQL")
    explained.add_argument("name", metavar="NAME", help="the alert's name")
    _sources(explained)
    explained.set_defaults(run=lambda arguments: _explain(arguments, sys.stdout))

    add = commands.add_parser("add", help="take an alert as JSON from standard input, keep it and build")
    _sources(add)
    add.add_argument("--secrets", type=Path, default=Path("secrets"), metavar="DIR", help="webhooks' URLs (secrets)")
    add.add_argument("--runbooks", type=Path, default=Path(RUNBOOKS), metavar="DIR", help="(%(default)s)")
    add.add_argument("--replace-webhook", action="store_true", help="let a new URL take the place of a channel's own")
    add.set_defaults(run=lambda arguments: _add(arguments, sys.stdin, sys.stdout))


def _sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--alerts", type=Path, default=FOLDER / "alerts.yaml", metavar="FILE", help="(%(default)s)")
    parser.add_argument("--channels", type=Path, default=FOLDER / "channels.yaml", metavar="FILE", help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=FOLDER / "generated", metavar="DIR", help="(%(default)s)")


def _config(parser: argparse.ArgumentParser) -> None:
    told = "the exporter's configuration: say which alerts tell the same as those on the team's limits"
    parser.add_argument("--config", type=Path, metavar="FILE", help=told)


def _warn(arguments: argparse.Namespace, built: Compiled) -> None:
    if arguments.config is not None:
        for warning in told_twice(built.alerts, team_limits(arguments.config)):
            print(f"warning: {arguments.alerts}: {warning}", file=sys.stderr)


def _compiled(arguments: argparse.Namespace) -> Compiled:
    return compile_sources(Sources(arguments.alerts, arguments.channels))


def _build(arguments: argparse.Namespace, out: TextIO) -> int:
    built = _compiled(arguments)
    texts = outputs(built)
    _warn(arguments, built)
    if arguments.check:
        if old := stale(arguments.out, texts):
            raise RulesError(f"{arguments.out / name}: not up to date — run `rules build`" for name in old)
        return 0
    write(arguments.out, texts)
    for name in texts:
        print(arguments.out / name, file=out)
    return 0


def _validate(arguments: argparse.Namespace, out: TextIO) -> int:
    built = _compiled(arguments)
    outputs(built)
    _warn(arguments, built)
    rules = sum(len(group.rules) for group in built.groups)
    print(f"{arguments.alerts}: {len(built.alerts)} alerts, {rules} rules, nothing wrong", file=out)
    return 0


def _explain(arguments: argparse.Namespace, out: TextIO) -> int:
    out.write(explain(_compiled(arguments), arguments.name))
    return 0


def _add(arguments: argparse.Namespace, request: TextIO, out: TextIO) -> int:
    added = add_alert(
        request.read(),
        Places(arguments.alerts, arguments.secrets),
        load_channels(arguments.channels),
        {name: quantity.dimension for name, quantity in QUANTITIES.items() if name not in LIMITS},
        lambda: write(arguments.out, outputs(_compiled(arguments))),
        replace_webhook=arguments.replace_webhook,
    )
    if page := write_first_runbook(_compiled(arguments), added.name, arguments.runbooks):
        print(f"a runbook to be completed: {page}", file=sys.stderr)
    print(json.dumps({"id": added.id, "status": added.status}), file=out)
    return 0
