"""What each operation and model used hour by hour, as forecasts and judgements of odd hours need it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.advisor.calls import Calls, Spelling
from exporter.database.errors import TooManyRows
from exporter.database.session import Session
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import QUARTER_HOUR
from exporter.ledger.hourly import hour_start, total
from exporter.ledger.model import HourFigures, Series

Hours = Mapping[int, Mapping[Series, HourFigures]]
"""By the start of the hour in seconds since the epoch; an hour without calls is missing."""

MOST_GROUPS = 1_000_000
"""Quarter-hours times operations times models, at most."""

# an hour of the budget's zone may begin at any quarter
_QUARTERS = sql.SQL("""
SELECT floor(at / {width})::bigint, operation, operation_type, model, count(*) FILTER (WHERE is_call),
       count(*) FILTER (WHERE is_call AND failed),
       coalesce(sum(cost), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0)
FROM {calls}
GROUP BY 1, 2, 3, 4 LIMIT {most}
""")


def read_hours(session: Session, calls: Calls, zone: ZoneInfo) -> Hours:
    """The hours of the calls' span. Raises `TooManyRows` where there are more than `MOST_GROUPS`."""
    count = 0
    statement = _QUARTERS.format(
        width=sql.Literal(QUARTER_HOUR),
        calls=replace(calls, with_refunds=True).subquery("cost", "input_tokens", "output_tokens"),
        most=sql.Literal(MOST_GROUPS + 1),
    )
    found: dict[int, dict[Series, HourFigures]] = defaultdict(dict)
    for quarter, operation, operation_type, model, number, failed, usd, tokens_in, tokens_out in session.stream(
        statement
    ):
        count += 1
        hour = found[hour_start(quarter * QUARTER_HOUR, zone)]
        series = Series(*calls.labels(Spelling(operation, operation_type, model)))
        figures = HourFigures(number, failed, money_units(usd), int(tokens_in), int(tokens_out))
        hour[series] = total([hour[series], figures]) if series in hour else figures
    if count > MOST_GROUPS:
        raise TooManyRows(f"the last weeks have more than {MOST_GROUPS} groups", "nothing, if this part is not needed")
    return found
