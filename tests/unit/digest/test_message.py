"""The message is within Discord's limits whatever the log holds, and says what the figures say."""

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.discord_receiver import length, refusal
from exporter.digest.message import PICTURE, as_markdown, embed, payload, safe
from exporter.digest.model import (
    Advice,
    Anomaly,
    Digest,
    DigestDay,
    DigestForecast,
    FiredAlert,
    LeftOut,
    Mover,
    Reached,
    UsersPast,
)
from exporter.forecast import projection
from tests.support import ROOT
from tests.support.digests import THURSDAY, full_digest, units

AMOUNTS = st.integers(0, 10**24)
TEXTS = st.text(max_size=400) | st.sampled_from(
    ["@everyone" * 40, "_*~|`[<\\" * 40, "://" * 100, "🔥" * 300, "\ud800x"]
)
ESTIMATES = st.builds(projection.Forecast, AMOUNTS, AMOUNTS, AMOUNTS)
REACHED = st.sampled_from(Reached) | st.integers(0, 4_000_000_000)
LEFT_OUT = st.builds(LeftOut, TEXTS)
DAYS = st.builds(
    DigestDay,
    st.just(THURSDAY.toordinal()),
    st.integers(0, 10**12),
    st.integers(0, 10**6),
    AMOUNTS,
    st.none() | AMOUNTS,
    st.integers(1, 7),
    st.lists(st.builds(Mover, TEXTS, TEXTS, AMOUNTS, AMOUNTS), max_size=8).map(tuple),
)
DIGESTS = st.builds(
    Digest,
    st.sampled_from(["UTC", "America/Argentina/ComodRivadavia"]),
    DAYS,
    st.dictionaries(st.integers(THURSDAY.toordinal() - 20, THURSDAY.toordinal()), AMOUNTS),
    st.none() | AMOUNTS,
    st.none() | AMOUNTS,
    LEFT_OUT | st.builds(UsersPast, AMOUNTS, AMOUNTS, st.lists(TEXTS, max_size=3).map(tuple)),
    LEFT_OUT | st.builds(DigestForecast, ESTIMATES, ESTIMATES, st.just({}), REACHED, REACHED),
    LEFT_OUT | st.lists(st.builds(Anomaly, TEXTS, TEXTS, TEXTS), max_size=8).map(tuple),
    LEFT_OUT | st.lists(st.builds(Advice, TEXTS, st.none() | AMOUNTS), max_size=12).map(tuple),
    LEFT_OUT | st.lists(st.builds(FiredAlert, TEXTS, TEXTS, AMOUNTS, AMOUNTS, st.booleans()), max_size=30).map(tuple),
    st.lists(TEXTS, max_size=2).map(tuple),
)


def shown(digest: Digest) -> str:
    return as_markdown(digest, picture=False)


@given(DIGESTS, st.booleans())
def test_discord_takes_every_digest(digest: Digest, picture: bool) -> None:
    files = {0: (PICTURE, b"png")} if picture else {}
    message = payload(digest, picture=picture)
    assert refusal(message, version=10, files=files) is None, message
    assert message["allowed_mentions"] == {"parse": []}
    text = as_markdown(digest, picture=picture)
    assert not [sign for sign in text if not sign.isprintable() and sign not in "\n\u200b"]


@given(TEXTS)
def test_text_of_others_says_nothing_to_discord(text: str) -> None:
    escaped = safe(text, 60)
    assert length(escaped) <= 120
    assert "\n" not in escaped
    assert not re.search(r"@(?!\u200b)", escaped)
    assert "://" not in escaped.replace("\\://", "")
    bare = re.sub(r"\\.", "", escaped)
    assert not re.search(r"[*~|<\[`]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", bare)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("email-compose", "email-compose"),
        ("high_daily_spend", "high_daily_spend"),
        ("_emphasis_", "\\_emphasis\\_"),
        ("@everyone", "@\u200beveryone"),
        ("<@123>", "\\<@\u200b123>"),
        ("https://evil.example", "https\\://evil.example"),
        ("[a](b)", "\\[a](b)"),
        ("a\nb\u202ec\x1b[2J", "a b?c?\\[2J"),
        ("`x` **y** ||z|| \\", "\\`x\\` \\*\\*y\\*\\* \\|\\|z\\|\\| \\\\"),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_how_a_name_is_written(text: str, expected: str) -> None:
    assert safe(text) == expected


def test_a_whole_digest_in_words() -> None:
    text = shown(full_digest())
    for words in (
        "# Thursday, 18 June: $168.00 of $200 (84%)",
        "8,421 calls, 1.6% failed; 42% more than the mean of the 7 days before ($118.00)",
        "**June so far: $1,",
        "of $4,000 (",
        "**Forecast:** today $112 ($95 to $140), June $2,900 ($2,700 to $3,250)",
        "▲ +$41 email-compose, claude-opus-4.5: $61",
        "▼ −$9.50 analytics-summary, deepseek-v3.2: $20",
        "• 1 past their daily limit: 3f2a9c01\n• 3 past their warning",
        "• email-compose, claude-opus-4.5: $58.10 instead of about $17; twice the calls",
        "## What should change: up to $3.20 a day",
        "• Use deepseek-v3.2 for email-classify: $3.20 a day",
        "🟠 high_daily_spend: once, 2.8 h",
        "Days are in Europe/Berlin",
    ):
        assert words in text
    assert "Left out" not in text


def test_the_month_is_summed_through_the_day_alone() -> None:
    first = THURSDAY.replace(day=1).toordinal()
    spend = {
        first - 1: units(1000),
        first: units(1),
        THURSDAY.toordinal(): units(2),
        THURSDAY.toordinal() + 1: units(500),
    }
    assert "**June so far: $3.00** of $4,000 (0.1%)" in shown(full_digest(spend=spend))
    last = date(2026, 6, 30)
    assert "**June: $7.00**" in shown(full_digest(last, spend={last.toordinal(): units(7)}))


def test_on_the_first_of_a_month_the_forecast_is_of_the_new_one() -> None:
    text = shown(full_digest(date(2026, 6, 30)))
    assert "**June: $" in text
    assert ", July $2,900" in text


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ({"calls": 0, "failed": 0, "usual": None}, "0 calls\n"),
        ({"calls": 1, "failed": 1, "usual": 0}, "1 call, 100% failed; the mean of the 7 days before was $0\n"),
        ({"usual": units(168.1)}, "; as much as the mean of the 7 days before\n"),
        ({"usual": units(336), "usual_days": 1}, "; 50% less than the day before ($336.00)\n"),
        # more was refunded than spent: there is no share of that
        ({"usual": units(-10)}, "; the mean of the 7 days before was -$10.00\n"),
        ({"cost": units(-20), "usual": units(-10)}, "; the mean of the 7 days before was -$10.00\n"),
        ({"cost": units(-5), "usual": units(10)}, "; the mean of the 7 days before was $10.00\n"),
    ],
)
def test_the_day_against_a_usual_one(day: dict[str, Any], expected: str) -> None:
    digest = full_digest()
    assert expected in shown(replace(digest, day=replace(digest.day, **day)))


def test_when_a_limit_is_reached_is_said_in_the_budgets_zone() -> None:
    digest = full_digest()
    assert isinstance(digest.forecast, DigestForecast)
    at = 1_782_291_600  # 2026-06-24 09:00 UTC
    text = shown(replace(digest, forecast=replace(digest.forecast, monthly_limit_at=at)))
    assert "⚠️ June's limit of $4,000 is reached on Wednesday, 24 June, about 11:00" in text
    past = shown(replace(digest, forecast=replace(digest.forecast, daily_limit_at=Reached.PAST)))
    assert "⚠️ Today's limit of $200 has been passed" in past
    without = replace(digest, forecast=replace(digest.forecast, monthly_limit_at=at), monthly_limit=None)
    assert "⚠️" not in shown(without)


def test_what_is_left_out_is_said_in_one_line() -> None:
    missing: dict[str, Any] = {
        name: LeftOut(f"{name} (why)") for name in ("users", "forecast", "anomalies", "recommendations", "alerts")
    }
    shown_embed = embed(full_digest(**missing), picture=False)
    assert shown_embed["footer"]["text"] == (
        "Days are in Europe/Berlin. Left out: users (why); forecast (why); anomalies (why); recommendations (why);"
        " alerts (why)"
    )
    assert [each["name"] for each in shown_embed["fields"]] == ["What moved"]
    assert "image" not in shown_embed


def test_what_there_is_none_of_is_said() -> None:
    digest = full_digest(users=UsersPast(0, 0), anomalies=(), recommendations=(), alerts=())
    values = [each["value"] for each in embed(digest, picture=True)["fields"]]
    assert values[1:] == ["All within their limits.", "None.", "Nothing is recommended.", "None fired."]


def test_a_long_list_ends_with_how_many_more_there_are() -> None:
    alerts = tuple(FiredAlert(f"alert {number}", "critical", 2, 60, still=True) for number in range(12))
    (value,) = [
        each["value"] for each in embed(full_digest(alerts=alerts), picture=True)["fields"] if "Alerts" in each["name"]
    ]
    assert value.splitlines()[0] == "🔴 alert 0: 2 times, 60 s, still firing"
    assert value.splitlines()[-1] == "… and 7 more"


@pytest.mark.parametrize(
    ("changes", "color"),
    [
        ({"alerts": (), "daily_limit": units(1000)}, 0x57C38A),
        ({"alerts": ()}, 0xF0965A),
        ({"daily_limit": units(1000), "alerts": (FiredAlert("a", "info", 1, 15, still=True),)}, 0xF0965A),
        ({"daily_limit": units(150)}, 0xE5534B),
        ({"daily_limit": None, "monthly_limit": None, "alerts": ()}, 0x57C38A),
        ({"daily_limit": 0, "monthly_limit": 0, "alerts": ()}, 0x57C38A),
    ],
)
def test_the_color_says_how_bad_it_is(changes: dict[str, Any], color: int) -> None:
    assert embed(full_digest(**changes), picture=True)["color"] == color


def test_the_message_that_the_page_shows() -> None:
    """The text in docs/digest.md is what these figures make."""
    day = date(2026, 11, 26)
    models = ("task-breakdown", 6.58, 0.1), ("analytics-summary", 4.09, 3.06), ("analytics-anomaly", 2.44, 2.16)
    spend = {day.toordinal(): units(14.12), day.toordinal() - 1: units(160.29)}
    digest = full_digest(
        day,
        zone="UTC",
        day=DigestDay(
            day.toordinal(),
            2260,
            36,
            units(14.12),
            units(6.14),
            7,
            tuple(Mover(operation, "claude-opus-4.5", units(cost), units(usual)) for operation, cost, usual in models),
        ),
        spend=spend,
        daily_limit=units(10),
        monthly_limit=units(200),
        users=UsersPast(0, 0),
        forecast=DigestForecast(
            projection.Forecast(units(7.14), units(5.88), units(8.71)),
            projection.Forecast(units(195), units(193), units(197)),
        ),
        anomalies=(
            Anomaly(
                "task-breakdown, claude-opus-4.5",
                "$6.44 instead of about $0.0595 from 14:00 to 17:00",
                "54 times the calls",
            ),
        ),
        recommendations=(
            Advice("Try gemini-2.0-flash in place of claude-opus-4.5 for a part of analytics-summary", units(3)),
            *(Advice("Another", units(3.08 / 10)) for _ in range(10)),
        ),
        alerts=(FiredAlert("budget_exceeded", "critical", 1, 33840, still=False),),
    )
    page = (ROOT / "docs" / "digest.md").read_text()
    (block,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    said = shown(digest).replace("**", "").replace("# ", "").replace("#", "").splitlines()
    for line in block.splitlines():
        assert line in said or line.startswith("… and "), line
