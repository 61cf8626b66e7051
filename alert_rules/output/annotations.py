"""Write an alert's annotations: templates that Prometheus fills in at every evaluation."""

import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import quote

from alert_rules.compiler.builtin_alerts import BuiltinAlert
from alert_rules.language.spec import Links
from alert_rules.model.alerts import OPERATORS, Alert, Bound, Reason, Variant
from alert_rules.model.conventions import UNKNOWN_AFTER, WIDE_WINDOW
from alert_rules.model.dimensions import Dimension, shown
from alert_rules.model.quantities import Aside, Contributors
from alert_rules.quantities.contributors import user_name
from alert_rules.quantities.definitions import MODEL_TIMEOUTS
from alert_rules.quantities.recordings import known_jobs

RUNBOOKS = "docs/runbooks"
"""The folder of the runbooks in this project: a page for each alert, of the alert's name."""


def annotations(alert: Alert, variant: Variant, links: Links) -> dict[str, str]:
    """The annotations of one rule; empty ones are left out.

    `value` is the figure in its unit; `contributors` three lines at most, the biggest first, and one for the rest.
    `rank` is a text that is the greater, the worse the alert is within its group: messages name the worst first, while
    labels, which say which alert it is, do not change with it. `budget_day_ends` is the second at which the day or
    month ends that a figure is of: what resolves then has not been fixed. `unknown_from` is the second from which an
    end means only that nothing is known any more, and `unknown_because` why. `job` is there where there are several
    jobs. `user` is what the alert's user is called.
    """
    return _without_empty(
        summary=alert.summary,
        description=_description(variant),
        value=_value(variant),
        rank=_rank(variant),
        contributors=_causes(variant),
        budget_day_ends=_whole(f"{variant.window_end}{{$of}}", ()) if variant.window_end else "",
        budget_period="month" if ":month" in variant.window_end else "",
        unknown_from=_unknown_from(alert, variant),
        unknown_because=_unknown_because(variant),
        runbook_url=runbook_url(alert.name, links),
        dashboard_url=dashboard_url(alert.comparisons[0].quantity.dashboard, variant.by, links),
        job=job_of_several(),
        user=_called("user") if "user" in variant.by else "",
    )


def builtin_annotations(alert: BuiltinAlert, links: Links) -> dict[str, str]:
    """The annotations of a built-in alert."""
    value = shown(alert.dimension) if alert.dimension else ""
    description = alert.description.replace("{value}", value)
    for number, (name, record) in enumerate(alert.figures.items()):
        description = description.replace(f"{{{name}}}", _beside(name, record, alert, ", " if number else ": "))
    return _without_empty(
        summary=alert.summary,
        description=description,
        value=value,
        budget_day_ends=_whole(f"{alert.window_end}{{$of}}", ()) if alert.window_end else "",
        runbook_url=runbook_url(alert.name, links),
        dashboard_url=dashboard_url(alert.dashboard, alert.by, links),
        # Without a value, the description already names the job.
        job=job_of_several() if value else "",
    )


def _without_empty(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _beside(name: str, record: str, alert: BuiltinAlert, joint: str) -> str:
    """A figure beside the alert's own, where it is known: `, $2 expected`."""
    if alert.dimension is None:
        raise ValueError(f"{alert.name} has no dimension")
    value = shown(alert.dimension, "$found")
    return _with(record + "{$of}", alert.by, f"{_FOUND}{joint}{value} {name}")


def runbook_url(name: str, links: Links) -> str:
    """Where the runbook of an alert stands."""
    return f"{links.runbooks or RUNBOOKS}/{quote(name)}.md"


def dashboard_url(uid: str, by: Collection[str], links: Links) -> str:
    """The dashboard that shows the figure, with its variables set to the alert's labels."""
    if "period" in by:
        # the budgets of groups and of the team have no user
        return f"{links.grafana}/d/{uid}{{{{ with $labels.user }}}}?var-user={{{{ . | urlquery }}}}{{{{ end }}}}"
    words = [f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in by if label in _VARIABLES]
    return f"{links.grafana}/d/{uid}" + ("?" + "&".join(words) if words else "")


_VARIABLES = ("operation", "model", "user")


def job_of_several() -> str:
    """The job of an alert, where Prometheus has seen exporters of several jobs; else nothing."""
    return f"{{{{ if query `count({known_jobs().name}) > 1` }}}}{{{{ $labels.job }}}}{{{{ end }}}}"


def _value(variant: Variant) -> str:
    if variant.reasons:
        return _reasons(variant, [reason.short for reason in variant.reasons], ", ", "not known")
    return shown(variant.dimension)


def _description(variant: Variant) -> str:
    value, counts = shown(variant.dimension), _counts(variant)
    if variant.reasons:
        return _reasons(variant, [reason.sentence for reason in variant.reasons], ". ", variant.sentence) + "."
    if variant.sentence:
        return variant.sentence.format(value=value)
    subject = variant.subject
    if variant.window_end and not variant.by:
        subject = f"The team's {subject[0].lower()}{subject[1:]}"
    of = "".join(f" of {label} {_called(label)}" for label in variant.by)
    if "period" in variant.by:
        user, group = f"of user {_called('user')}", f"of group {_called('group')}"
        whose = f"if $labels.user }}}}{user}{{{{ else if $labels.group }}}}{group}{{{{ else }}}}of the team{{{{ end"
        of = f" {{{{ {whose} }}}} for {{{{ $labels.period }}}}"
    limit = variant.limit.noun
    if variant.limit.query:
        limit += f" of {_looked_up(variant.limit, variant.dimension)}"
    also = f" {variant.also}" if variant.also else ""
    asides = "".join(_aside(aside, variant.by) for aside in variant.asides)
    return f"{subject}{of} is {value}{counts}, {variant.relation} {limit}{also}{asides}."


def _called(label: str) -> str:
    """The value of one of an alert's labels, of a user what that user is called."""
    return user_name("$labels.user") if label == "user" else f"{{{{ $labels.{label} }}}}"


def _aside(aside: Aside, by: Iterable[str]) -> str:
    label = f'{{{{ . | first | label "{aside.label}" }}}}'
    said = aside.sentence.format(value=shown(aside.dimension, "$found") if aside.dimension else label)
    return _with(aside.query, by, f"{_FOUND}. {said}")


def _counts(variant: Variant) -> str:
    """How many calls a figure is of: ` (3 of 42 calls)`, ` (over 42 calls in the last hour)`; nothing if not known."""
    series = variant.counted
    if series is None:
        return ""
    calls = _whole(series.calls + "{$of}", variant.by)
    if variant.dimension is Dimension.RATIO and series.numerator:
        calls = f"{_whole(series.numerator + '{$of}', variant.by)} of {calls}"
    else:
        calls = f"over {calls}"
    wide = _query(f"{series.window}{{$of}} == {WIDE_WINDOW}", variant.by)
    known = _query(series.calls + "{$of}", variant.by)
    hour = f"{{{{ if {wide} }}}} in the last hour{{{{ end }}}}"
    return f"{{{{ if {known} }}}} ({calls} calls{hour}){{{{ end }}}}"


def _took(variant: Variant) -> str:
    if not variant.took:
        return ""
    took = shown(Dimension.DURATION, "(. | first | value)")
    return _with(variant.took, variant.by, f"; on average they took {took}")


def _rank(variant: Variant) -> str:
    """How bad an alert is: the team's before each user's, and then how far the figure is past its limit."""
    tier = _TIERS.get(variant.labels.get("scope", ""), 1)
    lowest_first = variant.relation in (OPERATORS["<"], OPERATORS["<="])
    # a call costs thousandths of a cent; for other figures, more digits mean nothing
    digits = 9 if variant.dimension is Dimension.MONEY and not variant.limit.query else 3
    form = f'"{tier}%0{_WHOLE_DIGITS + 1 + digits}.{digits}f"'
    text = f"{{{{ printf {form} $value }}}}"
    if variant.limit.query:
        limit = variant.limit.query
        past = f"{limit} / on () (vector({{$value}}) > 0)" if lowest_first else f"{{$value}} / ({limit} > 0)"
    elif lowest_first:
        past = "1 / (vector({$value}) > 0)"
    else:
        return text
    # a limit of 0, or a figure that fell to 0: nothing is further past it
    most = f"{tier}{'9' * _WHOLE_DIGITS}"
    return _with(past, variant.limit.by, f"{{{{ . | first | value | printf {form} }}}}{{{{ else }}}}{most}")


_WHOLE_DIGITS = 14
_TIERS = {"team": 3, "unlisted": 2}


def _looked_up(limit: Bound, dimension: Dimension) -> str:
    return _with(limit.query, limit.by, _FOUND + shown(dimension, "$found"))


def _contributors(causes: Contributors, by: Iterable[str]) -> str:
    def over(calls: str) -> str:
        # `1 call`, `12 calls`
        number = '{{ . | first | value | printf "%.0f" }} call{{ if ne (. | first | value) 1.0 }}s{{ end }}'
        return f" over {_with(calls, by, number, causes.named)}" if calls else ""

    line = f"{causes.line}: {shown(causes.dimension, '.Value')}{over(causes.calls)}"
    lines = f"{{{{ range {_query(causes.top, by)} }}}}{line}\n{{{{ end }}}}"
    more = "" if causes.more is None else _contributors(causes.more, by)
    if not causes.rest:
        return lines + more
    value = shown(causes.dimension, "(. | first | value)")
    return lines + _with(causes.rest, by, f"others: {value}{over(causes.rest_calls)}\n") + more


def _causes(variant: Variant) -> str:
    if not variant.reasons:
        return "" if variant.contributors is None else _contributors(variant.contributors, variant.by)
    # of the first reason that holds
    told = "{{ else ".join(
        f"if {_query(reason.query + '{$of}', variant.by)} }}}}"
        + ("" if reason.contributors is None else _contributors(reason.contributors, variant.by))
        for reason in variant.reasons
    )
    return f"{{{{ {told}{{{{ end }}}}"


def _unknown_from(alert: Alert, variant: Variant) -> str:
    if variant.counted is not None and not variant.reasons:
        return _whole(f"vector(time()) unless on () {variant.counted.while_unreadable}{{$of}}", variant.by)
    if not variant.unknown_from:
        return ""
    # a later second than this is set anew at each evaluation: it is not the end yet
    ahead = f"{variant.unknown_from}{{$of}} < time() + {UNKNOWN_AFTER}"
    # the alert resolves when it has been kept firing for as long
    return _whole(f"({ahead}) + {alert.keep_firing_for}", variant.by)


def _unknown_because(variant: Variant) -> str:
    """Why nothing is known at the end, where it is not that nobody calls any more."""
    if variant.counted is None or variant.reasons:
        return ""
    known = _query(variant.counted.while_unreadable + "{$of}", variant.by)
    return f"{{{{ if not ({known}) }}}}too few calls any more{{{{ end }}}}"


def _whole(query: str, by: Iterable[str]) -> str:
    """The number that an expression yields for the alert's own labels, such as calls or a second; empty for none."""
    return _with(query, by, '{{ . | first | value | printf "%.0f" }}')


def _reasons(variant: Variant, texts: Iterable[str], joint: str, otherwise: str) -> str:
    """A text for each reason that holds, and `otherwise` where none does."""
    names = [f"$reason{number}" for number in range(len(variant.reasons))]
    asked = "".join(
        f"{{{{ {name} := {_query(reason.query + '{$of}', variant.by)} }}}}"
        for name, reason in zip(names, variant.reasons, strict=True)
    )
    timeout = _looked_up(Bound("", MODEL_TIMEOUTS.value + "{$of}", MODEL_TIMEOUTS.by), Dimension.DURATION)
    told = ""
    for number, (name, reason, text) in enumerate(zip(names, variant.reasons, texts, strict=True)):
        of = {
            "timeout": timeout,
            "counts": _own_counts(variant, reason, _counts),
            "took": _own_counts(variant, reason, _took),
        }
        said = text.format(value=shown(reason.dimension, "$found"), **of)
        between = f"{{{{ if or {' '.join(names[:number])} }}}}{joint}{{{{ end }}}}" if number else ""
        told += f"{{{{ with {name} }}}}{between}{_FOUND}{said}{{{{ end }}}}"
    if otherwise:
        told += f"{{{{ if not (or {' '.join(names)}) }}}}{otherwise.format()}{{{{ end }}}}"
    return asked + told


def _own_counts(variant: Variant, reason: Reason, tell: Callable[[Variant], str]) -> str:
    """Counts of the variant's figure, left out where they no longer belong to the reason."""
    told = tell(variant)
    if not told or not reason.unless:
        return told
    return f"{{{{ if not ({_query(reason.unless, variant.by)}) }}}}{told}{{{{ end }}}}"


_FOUND = "{{ $found := . | first | value }}"


def _with(expr: str, by: Iterable[str], text: str, named: Iterable[str] = ()) -> str:
    """A text for what an expression finds for the alert's own labels; nothing where it finds nothing."""
    return f"{{{{ with {_query(expr, by, named)} }}}}{text}{{{{ end }}}}"


def _query(expr: str, by: Iterable[str], named: Iterable[str] = ()) -> str:
    """A template's call that runs an expression for the alert's own labels, whatever characters they contain.

    In the expression `{$of}` stands for the matchers of these labels, `{$one}` for these and those of the sample that
    is being shown, `{$job}` for that of the job alone, and `{$value}` for the alert's value.
    """
    own = {label: f"$labels.{label}" for label in ("job", *by)}
    matchers = {"of": own, "job": {"job": own["job"]}, "one": {**own, **{label: f".Labels.{label}" for label in named}}}
    values: list[str] = []

    def spelled(found: re.Match[str]) -> str:
        if found[1] == "value":
            values.append("$value")
            return "%g"
        values.extend(matchers[found[1]].values())
        return "{" + ",".join(f"{label}=%q" for label in matchers[found[1]]) + "}"

    text = re.sub(r"\{\$(of|one|job|value)\}", spelled, expr.replace("%", "%%"))
    return f"query (printf `{text}` {' '.join(values)})"
