"""The command line."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from alert_rules.command import FOLDER
from alert_rules.command import add_commands as add_rules_commands
from alert_rules.errors import RulesError
from exporter.config import Config, ConfigError, load_config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseError
from exporter.logs import install_logging
from exporter.process.serving import UsageError, backfill_moment, serving
from exporter.process.signals import SignalReceiver
from exporter.process.watchdog import watching
from exporter.scrape.exposition import DISTRIBUTION
from exporter.state.command import adopt, forget_series, rewind_state, show
from exporter.state.store import StateError
from exporter.web.server import WebError

if TYPE_CHECKING:
    from alert_rules.servers import Servers
    from exporter.findings import Finding
    from exporter.verify import Built

log = logging.getLogger(__name__)

_DEMO_STOP_SECONDS = 8.0  # its PostgreSQL has to end too; what starts programs kills them after ten
_FAILURES = (ConfigError, DatabaseError, RulesError, StateError, UsageError, WebError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a failure that is said on standard error, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    install_logging("info", [])
    command: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return command(arguments)
    except _FAILURES as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=DISTRIBUTION, description="Exact metrics of LLM operations, from the PostgreSQL table that logs them."
    )
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {version(DISTRIBUTION)}")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="serve /metrics")
    _common(serve)
    _web(serve)
    serve.add_argument(
        "--backfill-since",
        metavar="DATE",
        help="count history from here on too; only with a state folder that was never used",
    )
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="look at the connection, the grants, the tables and the state first")
    _common(check)
    check.set_defaults(run=_check)

    operations = commands.add_parser("operations", help="the newest calls in the log")
    _report(operations)
    operations.add_argument("--limit", type=_whole(1, 10_000), default=20, help="rows at most (20)")
    operations.add_argument("--days", type=_whole(1, 400), default=7, help="how far back to look (7)")
    operations.add_argument("--operation", metavar="NAME", help="only this operation")
    operations.add_argument("--model", metavar="NAME", help="only this model")
    operations.add_argument("--user", metavar="ID", help="only this user, by the id that the log has")
    operations.add_argument("--failed", action="store_true", help="only calls that failed or timed out")
    operations.set_defaults(run=_operations)

    budget = commands.add_parser("budget", help="users' daily limits, and what they spent today")
    _report(budget)
    budget.add_argument("--user", metavar="ID", help="only this user")
    budget.set_defaults(run=_budget)

    verified = commands.add_parser("verify", help="look at all running parts: does a row become a message?")
    verified.add_argument("--config", type=Path, metavar="FILE", help="the exporter's configuration")
    for part in ("exporter", "prometheus", "alertmanager", "grafana"):
        what = "empty where there is none" if part == "grafana" else "the port of docker-compose.yml"
        verified.add_argument(f"--{part}-url", metavar="URL", help=f"else ${part.upper()}_URL, else {what}")
    for name in ("alerts", "channels"):
        what = f"what should be loaded ({FOLDER / name}.yaml, where it is there)"
        verified.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)
    verified.add_argument("--send-test-alert", action="store_true", help="send a message to each channel, too")
    verified.set_defaults(run=_verify)

    demo = commands.add_parser(
        "demo", help="an embedded PostgreSQL with history and live traffic, and the exporter on it"
    )
    demo.add_argument("--layout", choices=("success", "status"), default="success", help="which layout the tables have")
    demo.add_argument("--days", type=_whole(1, 400), default=30, help="days of history (30)")
    demo.add_argument("--web.listen-address", dest="listen_address", default="127.0.0.1:9867", help="(127.0.0.1:9867)")
    demo.set_defaults(run=_demo)

    made = commands.add_parser("dashboards", help="the Grafana dashboards").add_subparsers(required=True)
    build = made.add_parser("build", help="write the dashboards' JSON")
    build.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    build.add_argument(
        "--alerts",
        type=Path,
        default=FOLDER / "alerts.yaml",
        metavar="FILE",
        help="the alerts whose thresholds are drawn (%(default)s)",
    )
    build.add_argument(
        "--output", type=Path, default=Path("dashboards/generated"), metavar="DIR", help="where to (%(default)s)"
    )
    build.add_argument(
        "--budget-time-zone",
        default="UTC",
        metavar="ZONE",
        help="where days are cut, as in the exporter's configuration (%(default)s)",
    )
    build.add_argument("--runbooks", default="", metavar="URL", help="the address of the alerts' pages")
    build.set_defaults(run=_dashboards)

    data = commands.add_parser(
        "demo-data", help="fill the empty tables of a database made for it with sample calls, and go on writing"
    )
    data.add_argument("--config", type=Path, metavar="FILE", help="the configuration, see config.example.yaml")
    data.add_argument("--days", type=_whole(1, 400), default=30, help="days of history (30)")
    data.add_argument("--ready-file", type=Path, metavar="FILE", help="made once the history is there")
    data.set_defaults(run=_demo_data)

    _state(commands.add_parser("state", help="what the state folder holds"))

    rules = commands.add_parser("rules", help="alerts, compiled to Prometheus rules and Alertmanager's routing")
    add_rules_commands(rules, _rule_servers)
    return parser


def _rule_servers(prometheus: str | None, alertmanager: str | None) -> "Servers":
    """Where rules are loaded, by flags, else by the environment; an empty address is none."""
    from alert_rules.servers import Servers
    from exporter.verify.places import places_from
    from exporter.verify.web import Part

    places = places_from(
        {"exporter": "", "grafana": "", "prometheus": prometheus, "alertmanager": alertmanager},
        {name: os.environ[name] for name in ("PROMETHEUS_URL", "ALERTMANAGER_URL") if name in os.environ},
    )
    return Servers(*(Part(url) if url else None for url in (places.prometheus, places.alertmanager)))


def _state(parser: argparse.ArgumentParser) -> None:
    state = parser.add_subparsers(required=True)
    shown = state.add_parser("show", help="print what the state was kept for, and how far it has come")
    _common(shown)
    shown.set_defaults(run=lambda arguments: show(_config(arguments), sys.stdout))
    adopted = state.add_parser("adopt", help="go on with this state on the database that is configured now")
    _common(adopted)
    adopted.set_defaults(run=lambda arguments: adopt(_config(arguments), os.environ, sys.stdout))

    forgotten = state.add_parser("forget", help="end series that are no longer needed, and free their places")
    _common(forgotten)
    forgotten.add_argument("--operation", required=True, metavar="NAME", help="the operation, as /metrics shows it")
    forgotten.add_argument("--model", metavar="NAME", help="only with this model")
    forgotten.set_defaults(
        run=lambda arguments: forget_series(_config(arguments), arguments.operation, arguments.model, sys.stdout)
    )

    rewound = state.add_parser("rewind", help="reopen what a clock that was ahead has closed, so that its rows count")
    _common(rewound)
    rewound.add_argument("--to", metavar="TIME", help="when the clock was last right (the newest counted row's time)")
    rewound.set_defaults(run=lambda arguments: rewind_state(_config(arguments), os.environ, arguments.to, sys.stdout))


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration, see config.example.yaml")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where the state is kept (state)")
    parser.add_argument("--log.level", dest="log_level", choices=("debug", "info", "warning", "error"))


def _web(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--web.listen-address", dest="listen_address", metavar="ADDRESS", help="(127.0.0.1:9867)")
    parser.add_argument(
        "--web.config.file", dest="web_config", type=Path, metavar="FILE", help="TLS and basic auth (exporter-toolkit)"
    )


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration, see config.example.yaml")
    parser.add_argument("--json", action="store_true", help="for a script")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{least} to {most}")
        return number

    return parse


def _config(arguments: argparse.Namespace, *, read_files: bool = True) -> Config:
    config = load_config(arguments.config, os.environ, read_files=read_files)
    web = {
        "listen_address": getattr(arguments, "listen_address", None),
        "config_file": getattr(arguments, "web_config", None),
    }
    changes = {
        "state_dir": arguments.state_dir,
        "log_level": arguments.log_level,
        "web": config.web.model_copy(update={name: value for name, value in web.items() if value is not None}),
    }
    return config.model_copy(update={name: value for name, value in changes.items() if value is not None})


def _serve(arguments: argparse.Namespace) -> int:
    with SignalReceiver() as signals:
        config = _config(arguments)
        since = None if arguments.backfill_since is None else backfill_moment(arguments.backfill_since, config)
        again = partial(_config, arguments)
        with serving(config, os.environ, since, again) as running, watching(running.server):
            log.info("serving %s/metrics", running.url)
            while signals.wait() == "reload":
                running.reload()
            log.info("stopping")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from exporter.preflight import run_check

    # what is wrong with a file is one line of the report, and keeps nothing else from being checked
    return run_check(_config(arguments, read_files=False), os.environ, sys.stdout)


def _operations(arguments: argparse.Namespace) -> int:
    from exporter.reports.recent import Wanted, run_operations

    config = load_config(arguments.config, os.environ)
    wanted = Wanted(
        arguments.limit, arguments.days, arguments.operation, arguments.model, arguments.user, arguments.failed
    )
    return run_operations(config, os.environ, wanted, sys.stdout, as_json=arguments.json)


def _budget(arguments: argparse.Namespace) -> int:
    from exporter.reports.budgets import run_budget

    config = load_config(arguments.config, os.environ)
    return run_budget(config, os.environ, arguments.user, sys.stdout, as_json=arguments.json)


def _verify(arguments: argparse.Namespace) -> int:
    from exporter.verify import places_from, run_verify

    config = load_config(arguments.config, os.environ)
    flags = {part: getattr(arguments, f"{part}_url") for part in ("exporter", "prometheus", "alertmanager", "grafana")}
    places = places_from(flags, os.environ)
    build = partial(_built, arguments.alerts, arguments.channels)
    return run_verify(config, os.environ, places, sys.stdout, test_alert=arguments.send_test_alert, build=build)


def _built(alerts: Path | None, channels: Path | None) -> "Built | Finding":
    """What the files build, or the finding that they are not there or cannot be built."""
    from alert_rules.building import Sources, compile_sources, routing
    from alert_rules.loaded import Built
    from exporter.verify import no_files, not_built

    default = FOLDER / "alerts.yaml"
    if alerts is None and not default.exists():
        return no_files()
    sources = Sources(alerts or default, channels or (alerts or default).with_name("channels.yaml"))
    try:
        compiled = compile_sources(sources)
    except RulesError as error:
        return not_built(error.problems[0], len(error.problems) - 1)
    return Built(compiled.groups, routing(compiled))


def _demo(arguments: argparse.Namespace) -> int:
    from exporter.demo.exporter import serve_demo
    from exporter.demo.postgres import EmbeddedPostgresError
    from exporter.demo.run import run_demo

    try:
        return run_demo(
            arguments.layout, arguments.days, arguments.listen_address, serve_demo, stop_seconds=_DEMO_STOP_SECONDS
        )
    except EmbeddedPostgresError as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return 1


def _dashboards(arguments: argparse.Namespace) -> int:
    from alert_rules.thresholds import thresholds
    from dashboards.alerts import alert_lines
    from dashboards.command import DashboardsError, build
    from dashboards.settings import Settings

    settings = Settings(alert_lines(thresholds(arguments.alerts)), arguments.budget_time_zone, arguments.runbooks)
    try:
        return build(settings, arguments.output, check=arguments.check, out=sys.stdout)
    except DashboardsError as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return 1


def _demo_data(arguments: argparse.Namespace) -> int:
    from exporter.demo.data import ForeignDataError, run_demo_data

    config = load_config(arguments.config, os.environ)
    info = resolve_conninfo(config, os.environ)
    try:
        return run_demo_data(config, info, arguments.days, arguments.ready_file, sys.stdout)
    except ForeignDataError as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return 1
