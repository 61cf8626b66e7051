"""All recommendations for the last days of the log: what is read, and the rules in order."""

from collections.abc import Callable, Iterator, Mapping

from exporter.advisor.bursts import batchable_calls, read_bursts
from exporter.advisor.calls import Calls
from exporter.advisor.facts import Facts
from exporter.advisor.failures import failed_calls, read_failures, repeated_failures
from exporter.advisor.indexes import missing_indexes
from exporter.advisor.model import KINDS, MOST_OF_A_KIND, Recommendation
from exporter.advisor.prompts import growing_prompts
from exporter.advisor.registry import disabled_operations, silent_operations, unregistered_operations
from exporter.advisor.repeats import cacheable_calls, read_repeats
from exporter.advisor.spending import costly_operations, slow_operations
from exporter.advisor.switching import cheaper_models
from exporter.advisor.usage import read_usage
from exporter.config import Config
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.one_session import one_session
from exporter.database.routes import read_routes
from exporter.database.session import Session
from exporter.ledger.calendar import DAY
from exporter.ledger.model import TimeRange
from exporter.preflight.context import CheckContext
from exporter.prices.listed import PriceList

WEEK = 7 * DAY

_SECONDS = 600.0
_STATEMENT_SECONDS = 300.0

# what compares calls with each other sorts them: of more than these, the last days tell as much
_MANY_CALLS = 200_000

_PURE: tuple[Callable[[Facts], Iterator[Recommendation]], ...] = (
    costly_operations,
    slow_operations,
    growing_prompts,
    cheaper_models,
    disabled_operations,
    silent_operations,
    unregistered_operations,
)


def recommend(config: Config, environ: Mapping[str, str], seconds: float = WEEK) -> list[Recommendation]:
    """The recommendations for the last `seconds` of the log, those that save most first. Raises `UserError`."""
    info = resolve_conninfo(config, environ)
    with one_session(config, info, "recommend", _SECONDS, _STATEMENT_SECONDS) as session:
        return advise(session, info, config, seconds)


def advise(session: Session, info: ConnInfo, config: Config, seconds: float = WEEK) -> list[Recommendation]:
    """As `recommend`, in a session that is open. Raises `DatabaseError`."""
    rules = config.classification().without_error_classes()
    routes = read_routes(session, config)
    now = int(session.clock) + 1
    calls = Calls(session.log(rules), rules, TimeRange(now - int(seconds), now))
    facts = Facts(
        calls=calls,
        usages=read_usage(session, calls),
        prices=PriceList.of(config),
        routes=routes,
        expected=config.expected_operations,
    )
    found = [each for rule in _PURE for each in rule(facts)]
    failures = read_failures(session, calls)
    found += [*failed_calls(facts, failures), *repeated_failures(facts, failures)]
    recent = facts.recent(_MANY_CALLS)
    found += cacheable_calls(recent, read_repeats(session, recent.calls))
    found += batchable_calls(recent, read_bursts(session, recent.calls))
    found += missing_indexes(CheckContext(config, info, session))
    return _foremost(found)


def _foremost(found: list[Recommendation]) -> list[Recommendation]:
    """Those that save most first, and of each kind so many."""
    ranked = sorted(
        found, key=lambda each: (-each.saving, KINDS.index(each.kind), _size(each), each.operation, each.model or "")
    )
    counts = dict.fromkeys(KINDS, 0)
    kept = []
    for each in ranked:
        counts[each.kind] += 1
        if counts[each.kind] <= MOST_OF_A_KIND:
            kept.append(each)
    return kept


def _size(each: Recommendation) -> float:
    """Of what saves nothing that is known, the largest first."""
    return -float(each.figures.get("usd", each.figures.get("mean_latency_ms", each.figures.get("calls", 0))))
