"""Check that the expected operations, and the models of the routes, are in the log."""

from collections.abc import Collection, Mapping, Sequence

import yaml

from exporter.database.routes import Route
from exporter.findings import Finding, ok, warn
from exporter.humanize import listing, span_text
from exporter.preflight.context import CheckContext
from exporter.preflight.recent_activity import RecentActivity, unread
from exporter.preflight.similar import candidates

OPERATIONS, MODEL_NAMES = "registered operations", "model names"


def check_operations(context: CheckContext) -> list[Finding]:
    """Check that each expected operation has recent calls."""
    return evaluate_operations(context.recent_activity, context.config.expected_operations)


def evaluate_operations(recent: RecentActivity, expected: Sequence[str]) -> list[Finding]:
    """Evaluate which operations have calls, which have none, and which are not expected."""
    since = _since(recent)
    if not recent.operations:
        if not recent.reach:
            return [unread(OPERATIONS, "see `time index`, or raise scrape.timeout")]
        return [warn(OPERATIONS, f"no calls {since}", "make sure that the application writes into this table")]
    missing = [name for name in expected if name not in recent.operations]
    others = [name for name in recent.operations if name not in expected]
    findings = [ok(OPERATIONS, f"{len(expected) - len(missing)} of {len(expected)} expected ones were called {since}")]
    if missing:
        findings = [warn(OPERATIONS, f"not called {since}: {listing(missing)}", _missing_hint(missing, others, recent))]
    if others:
        findings.append(ok("other operations", f"called {since}, but not in expected_operations: {listing(others)}"))
    return findings


def _missing_hint(missing: Collection[str], others: Collection[str], recent: RecentActivity) -> str:
    renamed = {
        name: alike[0]
        for name in missing
        if (alike := candidates(name, {other: recent.operations[other] for other in others}))
    }
    lines = [f"expected_operations: write {new} for {old}" for old, new in sorted(renamed.items())]
    if len(renamed) < len(missing):
        lines.append("call each once, or remove from expected_operations those that no longer exist")
    return "\n".join(lines)


def check_model_names(context: CheckContext) -> list[Finding]:
    """Check that the routes and the log use the same model names."""
    if context.routes is None:
        return [ok(MODEL_NAMES, "there are no routes")]
    return [evaluate_model_names(context.recent_activity, context.routes, context.config.models.aliases)]


def evaluate_model_names(recent: RecentActivity, routes: Sequence[Route], aliases: Mapping[str, str]) -> Finding:
    """Evaluate the routes' models; for those that are not in the log, the hint has aliases."""
    since = _since(recent)
    if not recent.models:
        return ok(MODEL_NAMES, f"not compared: no calls {since}")
    named = {model for route in routes for model in (route.primary_model, route.fallback_model) if model}
    if not named:
        return ok(MODEL_NAMES, "the routes name no model")
    unknown = sorted(named - recent.models.keys())
    if not unknown:
        return ok(MODEL_NAMES, f"all {len(named)} models of the routes are in the log under the same name")
    found = {name: candidates(name, recent.models) for name in unknown}
    proposed = {name: names[0] for name, names in found.items() if names}
    notes = [f"# {name}: could also be {', '.join(names[1:4])}" for name, names in found.items() if len(names) > 1]
    lost = [name for name, names in found.items() if not names]
    if lost:
        notes.append(f"# no name in the log resembles {listing(lost)}; the log has {listing(recent.models)}")
    hint = "\n".join([*_alias_map(proposed, aliases), *notes])
    return warn(MODEL_NAMES, f"routes name models that are not in the log {since}: {listing(unknown)}", hint)


def _alias_map(proposed: Mapping[str, str], aliases: Mapping[str, str]) -> list[str]:
    """The complete setting, with the existing aliases; empty if there is nothing to add."""
    if not proposed:
        return []
    known = {loose: proposed.get(name, name) for loose, name in aliases.items()}
    text = yaml.safe_dump({"models": {"aliases": {**known, **proposed}}}, allow_unicode=True, width=10_000)
    return [str(line) for line in text.splitlines()]


def _since(recent: RecentActivity) -> str:
    within = f"within {span_text(recent.reach)}" if recent.reach else "so far"
    return within if recent.complete else f"{within} (reading older rows takes too long)"
