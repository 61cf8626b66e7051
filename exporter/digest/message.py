"""A digest as one Discord message: an embed within Discord's limits, and the same as Markdown for a file.

What may be long is cut, and a list ends with how many more there are. Names and sentences that hold text of the log are
escaped as in messages of alerts: nothing mentions anybody, becomes a link or breaks the layout.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from exporter.digest.model import Advice, Anomaly, Digest, DigestForecast, FiredAlert, LeftOut, Mover, Reached
from exporter.digest.words import amount, change_of, day_name, exact
from exporter.forecast import projection
from exporter.humanize import printable, share, span_text

PICTURE = "digest.png"
"""The file's name, by which the embed shows it."""

_MOST_SECTION, _MOST_FOOTER, _MOST_REASON = 800, 600, 120
"""Characters: five sections, the title and the description are 6000 at most together."""

_MOST_NAME, _MOST_SENTENCE = 60, 140
_MOST_LISTED = 5

_GOOD, _WARN, _BAD = 0x57C38A, 0xF0965A, 0xE5534B
_WARNED_AT = 0.8
_SIGNS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}


def safe(text: str, most: int = _MOST_NAME) -> str:
    """Text of others, cut to so many characters, so that Discord shows it as it is. At most twice as long."""
    plain = printable(re.sub(r"\s+", " ", text).strip())
    if _length(plain) > most:
        plain = f"{_cut(plain, most - 1)}…"
    plain = re.sub(r"[\\*~|<\[`]", r"\\\g<0>", plain).replace("://", "\\://").replace("@", "@\u200b")
    # between letters it means nothing to Discord, and a phone's notification shows backslashes
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", plain)


def _length(text: str) -> int:
    """Characters as the strictest of Discord's clients count them: UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(text: str, most: int) -> str:
    return text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")


def embed(digest: Digest, *, picture: bool) -> dict[str, Any]:
    """The embed; with `picture` it shows the attached file `PICTURE`."""
    shown = {
        "title": title(digest),
        "description": "\n".join(_summary(digest)),
        "color": _color(digest),
        "fields": [{"name": name, "value": _listed(lines, none)} for name, lines, none in _sections(digest)],
        "footer": {"text": _footer(digest)},
    }
    return {**shown, "image": {"url": f"attachment://{PICTURE}"}} if picture else shown


def payload(digest: Digest, *, picture: bool) -> dict[str, Any]:
    """The JSON of the webhook's message: nobody is mentioned, whatever the text says."""
    attachments = [{"id": 0, "filename": PICTURE, "description": described(digest)}] if picture else []
    return {
        "embeds": [embed(digest, picture=picture)],
        "allowed_mentions": {"parse": []},
        "attachments": attachments,
    }


def as_markdown(digest: Digest, *, picture: bool) -> str:
    """The message as a file for people: what the embed says, as Discord is sent it."""
    shown = embed(digest, picture=picture)
    sections = [f"## {each['name']}\n\n{each['value']}" for each in shown["fields"]]
    images = [f"![{described(digest)}]({PICTURE})"] if picture else []
    parts = [f"# {shown['title']}", shown["description"], *sections, *images, shown["footer"]["text"]]
    return "\n\n".join(parts) + "\n"


def described(digest: Digest) -> str:
    """The picture in words, for those who cannot see it."""
    return f"Spend by day up to {day_name(digest.date)}: {exact(digest.day.cost)} on that day."


def title(digest: Digest) -> str:
    """What a phone's notification shows first."""
    limit = digest.daily_limit
    of = f" of {amount(limit)} ({share(digest.day.cost / limit)})" if limit else ""
    return f"{day_name(digest.date)}: {exact(digest.day.cost)}{of}"


def _summary(digest: Digest) -> Iterator[str]:
    day = digest.day
    failed = f", {share(day.failed / day.calls)} failed" if day.calls else ""
    yield f"{day.calls:,} {'call' if day.calls == 1 else 'calls'}{failed}{_against_usual(digest)}"
    month, limit = f"{digest.date:%B}", digest.monthly_limit
    of = f" of {amount(limit)} ({share(digest.month_cost / limit)})" if limit else ""
    yield f"**{month}{'' if digest.month_is_over else ' so far'}: {exact(digest.month_cost)}**{of}"
    if isinstance(digest.forecast, DigestForecast):
        yield from _expected(digest, digest.forecast)


def _against_usual(digest: Digest) -> str:
    day = digest.day
    if day.usual is None:
        return ""
    before = "the day before" if day.usual_days == 1 else f"the mean of the {day.usual_days} days before"
    if not day.usual:
        return f"; {before} was $0"
    if min(day.cost, day.usual) < 0:
        # more was refunded than spent: there is no share of that
        return f"; {before} was {exact(day.usual)}"
    change = day.cost / day.usual - 1
    if abs(change) < 0.005:
        return f"; as much as {before}"
    return f"; {share(abs(change))} {'more' if change > 0 else 'less'} than {before} ({exact(day.usual)})"


def _expected(digest: Digest, forecast: DigestForecast) -> Iterator[str]:
    today = datetime.fromordinal(digest.day.ordinal + 1)
    yield f"**Forecast:** today {_about(forecast.today)}, {today:%B} {_about(forecast.month)}"
    zone = ZoneInfo(digest.zone)
    for name, limit, reached in (
        ("Today's", digest.daily_limit, forecast.daily_limit_at),
        (f"{today:%B}'s", digest.monthly_limit, forecast.monthly_limit_at),
    ):
        if limit is not None and reached is Reached.PAST:
            yield f"⚠️ {name} limit of {amount(limit)} has been passed"
        elif limit is not None and isinstance(reached, int):
            at = datetime.fromtimestamp(reached, UTC).astimezone(zone)
            yield f"⚠️ {name} limit of {amount(limit)} is reached on {day_name(at)}, about {at:%H:%M}"


def _about(window: projection.Forecast) -> str:
    expected, lower, upper = (amount(round(units)) for units in (window.expected, window.lower, window.upper))
    return f"{expected} ({lower} to {upper})"


def _color(digest: Digest) -> int:
    """Red where a limit is passed, orange where one is near or an alert still fires, else green."""
    shares = [
        cost / limit
        for cost, limit in ((digest.day.cost, digest.daily_limit), (digest.month_cost, digest.monthly_limit))
        if limit
    ]
    if max(shares, default=0.0) > 1:
        return _BAD
    forecast, alerts = digest.forecast, digest.alerts
    leads_past = isinstance(forecast, DigestForecast) and any(
        isinstance(at, int) or at is Reached.PAST for at in (forecast.daily_limit_at, forecast.monthly_limit_at)
    )
    fires = not isinstance(alerts, LeftOut) and any(alert.still for alert in alerts)
    return _WARN if max(shares, default=0.0) >= _WARNED_AT or leads_past or fires else _GOOD


def _sections(digest: Digest) -> Iterator[tuple[str, Sequence[str], str]]:
    """Name, lines, and what stands there where there is none."""
    if digest.day.movers:
        yield "What moved", [_moved(mover) for mover in digest.day.movers], ""
    if not isinstance(digest.users, LeftOut):
        users = digest.users
        named = f": {', '.join(map(safe, users.named))}" if users.named else ""
        past = [f"{users.exceeded} past their daily limit{named}"] if users.exceeded else []
        warned = [f"{users.warned} past their warning"] if users.warned else []
        yield "Users", [f"• {line}" for line in past + warned], "All within their limits."
    if not isinstance(digest.anomalies, LeftOut):
        yield "Anomalies", [_odd(each) for each in digest.anomalies], "None."
    if not isinstance(digest.recommendations, LeftOut):
        advice = digest.recommendations
        saving = sum(each.saving or 0 for each in advice)
        name = f"What should change: up to {amount(saving)} a day" if saving else "What should change"
        yield name, [_advised(each) for each in advice], "Nothing is recommended."
    if not isinstance(digest.alerts, LeftOut):
        yield "Alerts in the last 24 hours", [_fired(each) for each in digest.alerts], "None fired."


def _moved(mover: Mover) -> str:
    name = f"{safe(mover.operation)}, {safe(mover.model)}"
    return f"{'▲' if mover.change > 0 else '▼'} {change_of(mover.change)} {name}: {amount(mover.cost)}"


def _odd(anomaly: Anomaly) -> str:
    cause = f"; {safe(anomaly.cause, _MOST_SENTENCE)}" if anomaly.cause else ""
    return f"• {safe(anomaly.subject, 2 * _MOST_NAME)}: {safe(anomaly.what, _MOST_SENTENCE)}{cause}"


def _advised(advice: Advice) -> str:
    saving = f": {amount(advice.saving)} a day" if advice.saving else ""
    return f"• {safe(advice.text, _MOST_SENTENCE)}{saving}"


def _fired(alert: FiredAlert) -> str:
    times = "once" if alert.times == 1 else f"{alert.times} times"
    still = ", still firing" if alert.still else ""
    return f"{_SIGNS.get(alert.severity, '⚪')} {safe(alert.name)}: {times}, {span_text(alert.seconds)}{still}"


def _listed(lines: Sequence[str], none: str) -> str:
    """As many lines as there is room for, at least one of them cut, and how many more there are."""
    if not lines:
        return none
    shown: list[str] = []
    for line in lines[:_MOST_LISTED]:
        if shown and _length("\n".join([*shown, line])) > _MOST_SECTION - 30:
            break
        shown.append(line)
    more = len(lines) - len(shown)
    return "\n".join([*shown, *([f"… and {more} more"] if more else [])])


def _footer(digest: Digest) -> str:
    """What the reader has to know; Markdown means nothing here."""
    left_out = [_cut(printable(reason), _MOST_REASON) for reason in digest.left_out]
    notes = [f"Days are in {digest.zone}", *map(printable, digest.notes)]
    if left_out:
        notes.append(f"Left out: {'; '.join(left_out)}")
    return _cut(". ".join(notes), _MOST_FOOTER)
