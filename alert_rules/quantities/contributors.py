"""What a figure is made of: the models, classes and operations that a message names as its causes.

They are taken from the window that the figure is taken over, and of one replica only, the one with the most calls or
money: the sums of several replicas that have folded different series would not add up.
"""

from collections.abc import Iterable, Mapping

from alert_rules.model.conventions import duration
from alert_rules.model.dimensions import Dimension
from alert_rules.model.quantities import Contributors, RecordedSeries, Recording
from alert_rules.quantities.promql import promql
from alert_rules.quantities.recordings import level, read_throughout, wider
from exporter import catalog

MOST = 3
"""How many causes a message names; what is left is added up as "others"."""

_COUNTED_BY: Mapping[str, tuple[str, ...]] = {
    f"{metric.name}{suffix}": metric.labels
    for metric in catalog.ALL.values()
    for suffix in (("_sum", "_count") if metric.kind == "histogram" else ("",))
}


def counts(
    series: RecordedSeries, by: tuple[str, ...], window: int, cause: str | None, counted: str, calls: str
) -> Contributors | None:
    """The count of each cause; None without a label that distinguishes causes."""
    if cause is None:
        return None
    recordings = by_cause(series, by, window, cause, counted, calls, "by_cause")
    record = recordings[-1]
    return Contributors(
        f"sort_desc(topk({MOST}, {record.name}{{$of}} > 0))",
        _line(cause),
        Dimension.COUNT,
        (cause,),
        rest=f"sum({record.name}{{$of}} unless topk({MOST}, {record.name}{{$of}} > 0)) > 0",
        recordings=recordings,
    )


def means(
    series: RecordedSeries,
    by: tuple[str, ...],
    window: int,
    cause: str | None,
    counted: str,
    calls: str,
    dimension: Dimension,
) -> Contributors | None:
    """The mean and the number of calls of each cause; None without a label that distinguishes causes."""
    if cause is None:
        return None
    numbers = by_cause(series, by, window, cause, calls, calls, "calls_by_cause")
    number = numbers[-1]
    totals = by_cause(series, by, window, cause, counted, calls, "by_cause", beside=number)
    total = totals[-1]
    mean = f"{total.name}{{$of}} / ({number.name}{{$of}} > 0)"
    others = {record: f"sum({record.name}{{$of}} unless topk({MOST}, {mean}))" for record in (total, number)}
    return Contributors(
        f"sort_desc(topk({MOST}, {mean}))",
        _line(cause),
        dimension,
        (cause,),
        rest=f"{others[total]} / ({others[number]} > 0)",
        calls=f"{number.name}{{$one}}",
        rest_calls=others[number],
        recordings=(*numbers, *totals),
    )


def money(metric: catalog.Metric, by: tuple[str, ...], window: str) -> Contributors:
    """Which operations and models the spend of the present day or month is of.

    The others are named where they are a hundredth of it or more.
    """
    leading = promql(
        """
        topk by (job$by) (
          1, sum by (job, instance$by) ($metric and on (job, instance) $WINDOW_END{window="$window"} > time())
        )
        """,
        by,
        metric=metric.name,
        window=window,
    )
    name = f"{level(('instance', *metric.labels))}:{metric.name}:{'_'.join(('leading', *by))}"
    record = Recording(
        name, promql("$metric and on (job, instance$by) $leading", by, metric=metric.name, leading=leading)
    )
    left = f"(sum({name}{{$of}}) - sum(topk({MOST}, {name}{{$of}})))"
    return Contributors(
        f"sort_desc(topk({MOST}, {name}{{$of}} > 0))",
        "{{ .Labels.operation }} on {{ .Labels.model }}",
        Dimension.MONEY,
        ("operation", "model"),
        rest=f"{left} >= 0.01 * sum({name}{{$of}})",
        recordings=(record,),
    )


def present(metric: catalog.Metric, by: tuple[str, ...]) -> Contributors | None:
    """What a gauge of the present moment is made of; None where it is split by that already."""
    (cause,) = metric.labels
    if cause in by:
        return None
    read = promql("$metric and on (job, instance) $LOG_UP == 1", metric=metric.name).replace(
        metric.name, f"{metric.name}{{$of}}"
    )
    leading = f"topk(1, sum by (job, instance) ({read}))"
    return Contributors(
        f"sort_desc({metric.name}{{$of}} and on (job, instance) {leading})", _line(cause), Dimension.COUNT, (cause,)
    )


def odd_spend(by: tuple[str, ...]) -> Contributors:
    """What makes spend odd: of all operations the oddest, of one the factors of its spend, and who spends most now.

    Whose calls an operation's are is not known: the user is the one who spends most of all in the past hour.
    """
    if by != ("operation",):
        top = f"sort_desc(topk({MOST}, max by (operation) ({catalog.SPEND_ANOMALY.name}{{$of}}) > 0))"
        return Contributors(top, _line("operation"), Dimension.MONEY, ("operation",))
    factor, spent = catalog.SPEND_ANOMALY_FACTOR.name, f"{catalog.USER_SPEND_TODAY.name}{{$job}}"
    # where an hour ago was yesterday, all of today's
    risen = f"{spent} - ({spent} offset 1h <= {spent}) or {spent}"
    return Contributors(
        f"sort_desc(max by (factor) ({factor}{{$of}}))",
        '{{ .Labels.factor | reReplaceAll "_" " " }}',
        Dimension.MULTIPLE,
        ("factor",),
        more=Contributors(
            f"topk(1, max by (user) ({risen}) > 0)",
            f"most in the past hour by user {user_name('.Labels.user')}",
            Dimension.MONEY,
            ("user",),
        ),
    )


def user_name(user: str) -> str:
    """A template for what a user is called, or else for the id, which `user` is in a template."""
    query = f"query (printf `{catalog.USER_INFO.name}{{job=%q,user=%q}}` $labels.job {user})"
    return f'{{{{ with {query} }}}}{{{{ . | first | label "name" }}}}{{{{ else }}}}{{{{ {user} }}}}{{{{ end }}}}'


def by_cause(
    series: RecordedSeries,
    by: tuple[str, ...],
    window: int,
    cause: str,
    counted: str,
    calls: str,
    suffix: str,
    beside: Recording | None = None,
) -> tuple[Recording, ...]:
    """What a counter rose by for each cause, in the window of the figure and of the replica with the most `calls`.

    The last recording is the rise. With `beside`, another one by the same causes, only what that has is taken where
    they have the same labels. Nothing while the figure is only held: a gap's causes are not known.
    """
    if series.window:
        live = series.window.removesuffix("_held")
        taken = {span: promql("$live == $span", live=live, span=span) for span in wider(window)}
    else:
        taken = {window: series.value}
    # an aggregation of single series would be none
    whole = {*by, cause} >= set(_COUNTED_BY[counted])
    kept = ("instance", *_COUNTED_BY[counted]) if whole else (*by, cause)
    leading = {span: _leading(by, calls, span) for span in taken}
    risen = "($counted - min_over_time($counted[$span])) and "
    risen += "$beside" if whole and beside else "on (job, instance$by) $leading"
    template = f"{risen if whole else f'sum by (job$kept) ({risen})'} and on (job$by) $taken"
    # `beside` exists only for the window taken, and earlier choices win: the last one needs no condition
    last = risen if whole and beside else template
    choices = [
        promql(
            last if span == list(taken)[-1] else template,
            by,
            kept="".join(f", {label}" for label in kept),
            counted=counted,
            span=duration(span),
            leading=leading[span].name,
            beside=beside.name if beside else "",
            taken=condition,
        )
        for span, condition in taken.items()
    ]
    _, _, name = series.value.partition(":")
    # those of an operation by model and of a model by operation have the same labels
    of = "_".join(("_of", *by)) if whole else ""
    rise = Recording(f"{level(kept)}:{name}_{suffix}{of}", promql(" or ".join(choices)))
    return (rise,) if whole and beside else (*leading.values(), rise)


def _leading(by: tuple[str, ...], calls: str, window: int) -> Recording:
    """The calls of the replica that has counted the most of those that have read the log throughout the window."""
    expr = promql(
        """
        topk by (job$by) (
          1, sum by (job, instance$by) ($calls - min_over_time($calls[$span])) and on (job, instance) $readable
        )
        """,
        by,
        calls=calls,
        span=duration(window),
        readable=read_throughout(window).name,
    )
    stem = calls.removesuffix("_total")
    return Recording(f"{level(('instance', *by))}:{stem}:leading{duration(window)}", expr)


def first_beside(by: Iterable[str], *labels: str) -> str | None:
    """The first of the labels that a figure is not split by already."""
    return next((label for label in labels if label not in set(by)), None)


def _line(cause: str) -> str:
    return f"{{{{ .Labels.{cause} }}}}"
