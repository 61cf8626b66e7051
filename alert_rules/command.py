"""`rules build`, `validate`, `explain`, `add`, `list`, `remove`, `disable` and `enable`."""

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from alert_rules.adding.adding import ACTIVE, PENDING, add_alert
from alert_rules.adding.changing import Places
from alert_rules.adding.managing import remove, switch, unused_secrets
from alert_rules.adding.runbook import write_first_runbook
from alert_rules.compiler.duplicates import team_limits, told_twice
from alert_rules.language.channels import load_channels
from alert_rules.language.source import read_source
from alert_rules.loaded.differences import Built
from alert_rules.loaded.inventory import builtin_names, inventory, table
from alert_rules.loaded.reloading import Reload, activate
from alert_rules.loaded.servers import Servers, rule_states
from alert_rules.model.conventions import alert_id
from alert_rules.model.errors import RulesError
from alert_rules.output.annotations import RUNBOOKS
from alert_rules.output.building import Compiled, Sources, compile_sources, outputs, routing, stale, write
from alert_rules.output.explaining import explain
from exporter.subcommands import Subcommands, path_option

FOLDER = Path("alert_rules")
_LONGEST_WAIT = 3600  # seconds

Connect = Callable[[str | None, str | None], Servers]
"""The servers at two addresses, Prometheus' and Alertmanager's; None for the one that the environment names."""


def add_commands(parser: argparse.ArgumentParser, connect: Connect) -> None:
    """The subcommands; each sets `run`, which takes the parsed arguments and returns the exit code."""
    commands = Subcommands(parser)

    build = commands.add_parser("build", help="compile alerts.yaml to rules and Alertmanager's configuration")
    _sources(build)
    _output(build)
    _config(build)
    build.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    build.set_defaults(run=_build)

    validate = commands.add_parser("validate", help="report every error in alerts.yaml and channels.yaml")
    _sources(validate)
    _config(validate)
    validate.set_defaults(run=_validate)

    explained = commands.add_parser("explain", help="explain an alert in words, with its PromQL")
    explained.add_argument("name", metavar="NAME", help="the alert's name")
    _sources(explained)
    explained.set_defaults(run=_explain)

    add = commands.add_parser("add", help="add an alert, read as JSON from standard input, and build")
    _changes(add)
    add.add_argument(
        "--runbooks",
        type=_runbooks,
        default=Path(RUNBOOKS),
        metavar="DIR",
        help="where to write a first runbook, if the folder exists (default: %(default)s)",
    )
    add.add_argument("--replace-webhook", action="store_true", help="replace the URL of a channel that has another one")
    add.set_defaults(run=lambda arguments: _add(arguments, connect))

    listed = commands.add_parser("list", help="list all alerts, and whether Prometheus has loaded them")
    _sources(listed)
    _addresses(listed)
    listed.add_argument("--json", action="store_true", help="print JSON, for a script")
    listed.set_defaults(run=lambda arguments: _list(arguments, connect))

    for name, what in (
        ("remove", "remove an alert from alerts.yaml, and build"),
        ("disable", "switch an alert off, but keep it in alerts.yaml, and build"),
        ("enable", "switch an alert on again, and build"),
    ):
        changed = commands.add_parser(name, help=what)
        changed.add_argument("id", metavar="ID", help="the id that `add` printed, or the name")
        _changes(changed)
        changed.set_defaults(command=name, run=lambda arguments: _change(arguments, connect))


def _sources(parser: argparse.ArgumentParser) -> None:
    for name, what in (("alerts", "the alerts"), ("channels", "where alerts are sent")):
        parser.add_argument(
            f"--{name}",
            type=path_option,
            default=FOLDER / f"{name}.yaml",
            metavar="FILE",
            help=f"{what} (default: %(default)s)",
        )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=path_option,
        default=FOLDER / "generated",
        metavar="DIR",
        help="where to write the rules and Alertmanager's configuration (default: %(default)s)",
    )


def _runbooks(text: str) -> Path:
    folder = path_option(text)
    if "://" in text or (os.path.lexists(folder) and not folder.is_dir()):
        raise argparse.ArgumentTypeError(f"{text!r} is no folder; name the folder with the runbooks' pages")
    return folder


def _addresses(parser: argparse.ArgumentParser) -> None:
    for part in ("prometheus", "alertmanager"):
        what = f"{part.capitalize()}'s address (default: ${part.upper()}_URL, or else the port of docker-compose.yml)"
        parser.add_argument(f"--{part}-url", metavar="URL", help=what)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"write a number of seconds from 0 to {_LONGEST_WAIT}")
    return seconds


def _changes(parser: argparse.ArgumentParser) -> None:
    _sources(parser)
    _output(parser)
    parser.add_argument(
        "--secrets",
        type=path_option,
        default=Path("secrets"),
        metavar="DIR",
        help="the files with the webhooks' URLs (default: %(default)s)",
    )
    _addresses(parser)
    parser.add_argument(
        "--reload-command",
        metavar="COMMAND",
        default=os.environ.get("RULES_RELOAD_COMMAND", ""),
        help="reload both servers with this command (default: $RULES_RELOAD_COMMAND, or else a request to /-/reload)",
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=15.0,
        metavar="SECONDS",
        help="wait for the servers for at most this long (default: %(default)g s)",
    )


def _config(parser: argparse.ArgumentParser) -> None:
    told = (
        "the exporter's configuration: warn about an alert whose amount is the team's own limit (default: no warning)"
    )
    parser.add_argument("--config", type=path_option, metavar="FILE", help=told)


def _warn(arguments: argparse.Namespace, built: Compiled) -> None:
    if arguments.config is not None:
        for warning in told_twice(built.alerts, team_limits(arguments.config)):
            print(f"warning: {arguments.alerts}: {warning}", file=sys.stderr)


def _compiled(arguments: argparse.Namespace) -> Compiled:
    return compile_sources(Sources(arguments.alerts, arguments.channels))


def _build(arguments: argparse.Namespace) -> int:
    built = _compiled(arguments)
    texts = outputs(built)
    _warn(arguments, built)
    if arguments.check:
        if old := stale(arguments.output, texts):
            raise RulesError(f"{arguments.output / name}: not up to date — run `rules build`" for name in old)
        return 0
    write(arguments.output, texts)
    for name in texts:
        print(arguments.output / name)
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    built = _compiled(arguments)
    outputs(built)
    _warn(arguments, built)
    rules = sum(len(group.rules) for group in built.groups)
    print(f"{arguments.alerts}: {len(built.alerts)} alerts, {rules} rules, nothing wrong")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    print(explain(_compiled(arguments), arguments.name), end="")
    return 0


def _add(arguments: argparse.Namespace, connect: Connect) -> int:
    load = _loader(arguments, connect)
    added = add_alert(
        sys.stdin.read(),
        _places(arguments),
        load_channels(arguments.channels),
        lambda: _write(arguments),
        replace_webhook=arguments.replace_webhook,
        status=lambda name: ACTIVE if load(name) else PENDING,
    )
    try:
        if page := write_first_runbook(_compiled(arguments), added.name, arguments.runbooks):
            _note(f"a runbook to be completed: {page}")
    except OSError as error:
        # the alert is there and built: its page must not turn the answer into an error
        _note(f"no runbook was written: {error.filename}: {error.strerror} — write it yourself")
    if added.secret:
        _note(
            f"the webhook's URL is in {added.secret}. Where that file is mounted into Alertmanager's container by"
            " itself, run docker compose restart alertmanager; verify --send-test-alert proves the channel"
        )
    print(json.dumps({"id": added.id, "status": added.status}))
    return 0


def _change(arguments: argparse.Namespace, connect: Connect) -> int:
    load = _loader(arguments, connect)
    places, builtin = _places(arguments), builtin_names(_compiled(arguments))
    if arguments.command == "remove":
        channels = load_channels(arguments.channels)
        before = unused_secrets(places, channels)
        changed, done = remove(arguments.id, places, builtin, lambda: _write(arguments)), "removed"
        for channel, path in unused_secrets(places, channels):
            if (channel, path) not in before:
                _note(
                    f"no alert uses the channel {channel} any more. Its webhook's URL stays in {path}: delete it if"
                    " nothing else needs it"
                )
    else:
        off = arguments.command == "disable"
        changed = switch(arguments.id, places, builtin, lambda: _write(arguments), disabled=off)
        done = "disabled" if off else ACTIVE
    print(json.dumps({"id": alert_id(changed), "status": done if load(changed) else PENDING}))
    return 0


def _list(arguments: argparse.Namespace, connect: Connect) -> int:
    compiled = _compiled(arguments)
    server = connect(arguments.prometheus_url, arguments.alertmanager_url).prometheus
    states = rule_states(Built(compiled.groups, routing(compiled)), server)
    listed = list(inventory(compiled, read_source(arguments.alerts, "--alerts"), states))
    if arguments.json:
        print(json.dumps([asdict(each) for each in listed], ensure_ascii=False, indent=2))
    else:
        print(table(listed), end="")
    return 0


def _places(arguments: argparse.Namespace) -> Places:
    return Places(arguments.alerts, arguments.secrets)


def _write(arguments: argparse.Namespace) -> None:
    write(arguments.output, outputs(_compiled(arguments)))


def _loader(arguments: argparse.Namespace, connect: Connect) -> Callable[[str], bool]:
    """A function that has the servers load an alert that was built, and reports on standard error what they have not.

    Raises `RulesError` for wrong addresses or a wrong command, before anything is changed.
    """
    servers = connect(arguments.prometheus_url, arguments.alertmanager_url)
    try:
        how = Reload(tuple(shlex.split(arguments.reload_command)), arguments.wait)
    except ValueError:
        raise RulesError(["--reload-command: a quote is not closed — close it"]) from None

    def load(name: str) -> bool:
        compiled = _compiled(arguments)
        missing = activate(Built(compiled.groups, routing(compiled)), [name], servers, how)
        for line in missing:
            _note(line)
        return not missing

    return load


def _note(text: str) -> None:
    print(text, file=sys.stderr)
