"""The message itself, rendered by the real amtool: bounded, never empty, and nobody's text but as text."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.discord_receiver import refusal
from tests.support.alertmanager import render
from tests.support.thorough import examples

FIRING, RESOLVED = "firing", "resolved"
NEVER = "0001-01-01T00:00:00Z"
MIDNIGHT, MIDNIGHT_UNIX = "2026-11-25T00:00:00Z", "1795564800"


def one(
    status: str = FIRING, ends: str = MIDNIGHT, starts: str = "2026-11-24T08:00:00Z", **annotations: str
) -> dict[str, Any]:
    return {"status": status, "annotations": annotations, "ends": ends, "starts": starts, "labels": {}}


def data(*alerts: dict[str, Any], **common: str) -> dict[str, Any]:
    """What Alertmanager gives a template: alerts made by `one`, and the labels that all of them have."""
    return {
        "receiver": "discord",
        "status": FIRING if any(alert["status"] == FIRING for alert in alerts) else RESOLVED,
        "alerts": [
            {
                "status": alert["status"],
                "labels": alert["labels"] | common,
                "annotations": alert["annotations"],
                "startsAt": alert["starts"],
                "endsAt": NEVER if alert["status"] == FIRING else alert["ends"],
                "generatorURL": "",
                "fingerprint": "0" * 16,
            }
            for alert in alerts
        ],
        "groupLabels": common,
        "commonLabels": common,
        "commonAnnotations": {
            name: text
            for name, text in alerts[0]["annotations"].items()
            if all(alert["annotations"].get(name) == text for alert in alerts)
        },
        "externalURL": "http://alertmanager",
    }


def assert_accepted(title: str, message: str) -> None:
    assert title.strip()
    assert message.strip()
    assert refusal({"embeds": [{"title": title, "description": message}]}) is None, (len(title), len(message))


LONG = dict.fromkeys(
    ("summary", "description", "value", "contributors", "rank", "job", "runbook_url", "dashboard_url"), 5000
)


def test_the_longest_notifications_stay_within_the_limits(tmp_path: Path) -> None:
    """Ninety alerts, or one, of the longest texts; of signs that double and of signs of four bytes."""
    labels = ("user", "operation", "model", "reason", "rung")
    many = [
        data(
            *(
                {
                    **one(status, **{name: text * size for name, size in LONG.items()}),
                    "labels": dict.fromkeys(labels, text * 5000),
                    "starts": f"2026-11-24T08:0{number % 4}:00Z",
                }
                for number, status in enumerate(statuses)
            ),
            alertname=text * 300,
            severity=text * 300,
            job=text * 300,
        )
        for text in ("x", "*", "@", "🔥", "a\n", "https://x/")
        for statuses in ([FIRING] * 90, [RESOLVED] * 90, [FIRING] * 45 + [RESOLVED] * 45, [FIRING], [RESOLVED])
    ]
    rendered = render(tmp_path, many)
    assert len(rendered) == len(many)
    for title, message in rendered:
        assert_accepted(title, message)
        # The bounds written at the head of the template.
        assert len(title) <= 236
        assert len(message) <= 3980


def test_nothing_to_say_is_still_a_message(tmp_path: Path) -> None:
    bare = [data(one()), data(one(RESOLVED)), data(one(description=" \n ", summary="", contributors="\n", value=" "))]
    texts = render(tmp_path, bare)
    for title, message in texts:
        assert_accepted(title, message)
    assert texts[0][0] == "⚪ Alert: several alerts"
    assert texts[0][1].strip() == "**Firing**\n• no description"
    assert texts[1][1].strip() == "**Resolved**\n• was firing"


@pytest.mark.parametrize("count", [2, 8, 9, 60])
def test_all_are_counted(tmp_path: Path, count: int) -> None:
    alerts = [one(description=f"user {i} is over") for i in range(count)]
    gone = [one(RESOLVED, value=f"${i}") for i in range(count)]
    (((title, message),)) = render(tmp_path, [data(*alerts, *gone, alertname="n", severity="critical")])
    assert title == f"🔴 CRITICAL: n ({count} firing)"
    firing, _, resolved = message.partition("**Resolved")
    assert f"**Firing: {count}**" in firing
    assert resolved.startswith(f": {count}**")
    for part in (firing, resolved):
        listed = part.count("• ")
        assert listed == min(count, 8)
        assert (f"… and {count - 8} more" in part) == (count > 8)


def ranked(user: str, rank: float, starts: str = "2026-11-24T08:00:00Z", **labels: str) -> dict[str, Any]:
    """An alert on a user, so bad; Alertmanager would sort it by the user's name."""
    return {
        **one(starts=starts, description=f"User {user} is at {rank:,.0f} %.", rank=f"1{rank:024.9f}"),
        "labels": {"user": user, **labels},
    }


def users_of(message: str) -> list[str]:
    """The users that a message lists, in its order."""
    return re.findall(r"User (\S+) is at", message)


LATER = "2026-11-24T08:20:00Z"
SIXTY = [ranked(f"user-{i:02}", 100 + i * 37 % 60) for i in range(60)]
WORST = ["user-47", "user-34", "user-21", "user-08", "user-55", "user-42", "user-29", "user-16"]


def test_the_worst_of_sixty_come_first(tmp_path: Path) -> None:
    ((_, message),) = render(tmp_path, [data(*SIXTY, alertname="over", severity="critical")])
    assert users_of(message) == WORST
    assert "**Firing: 60**, the worst first" in message
    assert "… and 52 more" in message
    assert "New" not in message


def test_who_joins_a_group_is_named_first(tmp_path: Path) -> None:
    """By the value, and by the name the last: of the worst, of the mildest, and of one in between."""
    before, *updates = render(
        tmp_path,
        [
            data(*SIXTY, *more, alertname="over", severity="critical")
            for more in (
                [],
                [ranked("zed", 9990, LATER)],
                [ranked("zed", 1, LATER)],
                [ranked(name, 130, LATER) for name in ("xenia", "yves", "zed")],
            )
        ],
    )
    for title, message in updates:
        assert message != before[1]
        assert title != before[0]
        assert "**New since 24 Nov 08:20 UTC: " in message
    worst = users_of(before[1])
    assert users_of(updates[0][1]) == ["zed", *worst[:7]]
    assert users_of(updates[1][1]) == ["zed", *worst[:7]]
    assert users_of(updates[2][1]) == ["xenia", "yves", "zed", *worst[:5]]
    assert "UTC: 1**" in updates[0][1]
    assert "UTC: 3**" in updates[2][1]
    assert "… and 53 more" in updates[0][1]


def test_many_new_ones_are_counted_and_their_worst_named(tmp_path: Path) -> None:
    joined = [ranked(f"new-{i}", 500 + i, f"2026-11-24T08:{20 + i // 5}:10Z") for i in range(12)]
    ((_, message),) = render(tmp_path, [data(*SIXTY, *joined, alertname="over", severity="critical")])
    new, _, rest = message.partition("**Firing: 72**, the worst first")
    assert "**New since 24 Nov 08:20 UTC: 12**" in new
    assert users_of(new) == ["new-11", "new-10", "new-9", "new-8"]
    assert "… and 8 more new" in new
    assert users_of(rest) == ["new-7", "new-6", "new-5", "new-4"]
    assert "… and 64 more" in rest


def test_who_joined_longer_ago_is_not_new_any_more(tmp_path: Path) -> None:
    joined = [ranked("first", 50, "2026-11-24T08:10:00Z"), ranked("second", 40, "2026-11-24T08:16:00Z")]
    ((_, message),) = render(tmp_path, [data(*SIXTY, *joined, alertname="over", severity="critical")])
    new, _, rest = message.partition("**Firing: 62")
    assert users_of(new) == ["second"]
    assert "first" not in users_of(rest)


def test_what_began_together_is_not_called_new(tmp_path: Path) -> None:
    together = [ranked(f"u{i}", i, f"2026-11-24T08:00:00.{i}Z") for i in range(3)]
    (_, several), (_, alone) = render(tmp_path, [data(*together), data(ranked("eve", 5))])
    assert "New" not in several + alone
    assert users_of(several) == ["u2", "u1", "u0"]


def test_equal_ranks_are_each_listed_once_and_those_without_come_last(tmp_path: Path) -> None:
    bare = [one(description=f"User bare-{i} is at") for i in range(2)]
    same = [ranked(f"same-{i}", 7, LATER if i == 1 else "2026-11-24T08:00:00Z") for i in range(3)]
    ((_, message),) = render(tmp_path, [data(*bare, *same)])
    assert users_of(message) == ["same-1", "same-0", "same-2", "bare-0", "bare-1"]


def test_a_thousand_alerts_are_ranked_too(tmp_path: Path) -> None:
    many = [ranked(f"user-{i:04}", i * 389 % 1000) for i in range(1000)]
    ((_, message),) = render(tmp_path, [data(*many, ranked("zed", 0.5, LATER))])
    ranks = [int(user[-4:]) * 389 % 1000 for user in users_of(message)[1:]]
    assert ranks == [999, 998, 997, 996, 995, 994, 993]
    assert "New since" in message


def test_severities_that_differ_within_a_message_are_seen_line_by_line(tmp_path: Path) -> None:
    lines = {"info": "🔵 i", "critical": "🔴 c", "warning": "🟠 w", "odd": "• o"}
    alerts = [{**one(description=lines[s][2:]), "labels": {"severity": s}} for s in lines]
    gone = [{**one(RESOLVED, value="3"), "labels": {"severity": "critical", "user": "eve"}}]
    (title, message), (mild, _), (over, _) = render(
        tmp_path, [data(*alerts, *gone, alertname="n"), data(alerts[0], alertname="n"), data(*gone, alertname="n")]
    )
    assert title == "🔴 CRITICAL: n (4 firing)"
    assert mild == "🔵 Info: n"
    assert over == "✅ Resolved: n"
    assert "\n".join(lines.values()) in message
    assert "• critical, user eve: was 3" in message


def test_the_job_is_told_where_the_alert_says_so(tmp_path: Path) -> None:
    (_, alone), (_, one_of_several) = render(
        tmp_path, [data(one(description="d"), job="ai"), data(one(description="d", job="ai"), job="ai")]
    )
    assert "job" not in alone
    assert one_of_several.endswith("\njob ai")


def test_severity_is_seen_at_a_glance(tmp_path: Path) -> None:
    severities = ("critical", "warning", "info")
    rendered = render(
        tmp_path,
        [
            data(one(s), alertname="Phase 8 Daily Cost Alert", severity=v)
            for s in (FIRING, RESOLVED)
            for v in severities
        ],
    )
    assert [title for title, _ in rendered] == [
        "🔴 CRITICAL: Phase 8 Daily Cost Alert",
        "🟠 Warning: Phase 8 Daily Cost Alert",
        "🔵 Info: Phase 8 Daily Cost Alert",
        "✅ Resolved (critical): Phase 8 Daily Cost Alert",
        "✅ Resolved (warning): Phase 8 Daily Cost Alert",
        "✅ Resolved (info): Phase 8 Daily Cost Alert",
    ]


def test_what_was_true_is_told_as_past(tmp_path: Path) -> None:
    (_, message), (_, all_over) = render(
        tmp_path,
        [
            data(
                one(summary="Much is spent.", description="$9 is spent."),
                {**one(RESOLVED, value="$212.40"), "labels": {"user": "bob"}},
            ),
            data(one(RESOLVED, summary="Much is spent.", value="$212.40")),
        ],
    )
    firing, _, resolved = message.partition("**Resolved**")
    assert "$9 is spent." in firing
    assert resolved.strip() == "• user bob: was $212.40"
    assert "$9" not in resolved
    assert all_over.startswith("Was: Much is spent.")


@pytest.mark.parametrize(
    ("ends", "day_ends", "said"),
    [
        (MIDNIGHT, MIDNIGHT_UNIX, True),
        ("2026-11-25T00:00:14.5Z", MIDNIGHT_UNIX, True),
        ("2026-11-24T23:59:59.9Z", MIDNIGHT_UNIX, False),
        (MIDNIGHT, "", False),
        (MIDNIGHT, "0", False),
        (MIDNIGHT, "soon", False),
    ],
)
def test_the_end_of_the_budget_day_is_said(tmp_path: Path, ends: str, day_ends: str, said: bool) -> None:
    ((_, message),) = render(tmp_path, [data(one(RESOLVED, ends, value="$3", budget_day_ends=day_ends))])
    assert ("• was $3; the budget day ended" in message) == said
    assert "• was $3" in message


def test_the_end_of_a_month_is_none_of_a_day(tmp_path: Path) -> None:
    ends = {"budget_day_ends": MIDNIGHT_UNIX, "budget_period": "month"}
    ((_, message),) = render(tmp_path, [data(one(RESOLVED, MIDNIGHT, value="$3", **ends))])
    assert "• was $3; the budget month ended" in message


def test_users_text_is_text(tmp_path: Path) -> None:
    nasty = "@everyone <@1> `x` **b** ~~s~~ ||p|| [l](https://evil.example) \\ _i_ __u__ snake_case_a_b \u202e\u2028end"
    first, second = render(
        tmp_path,
        [data(one(description=nasty), alertname=nasty[:60]), data({**one(RESOLVED), "labels": {"user": nasty}})],
    )
    assert (
        "• @\u200beveryone \\<@\u200b1> \\`x\\` \\*\\*b\\*\\* \\~\\~s\\~\\~ \\|\\|p\\|\\| \\[l](https\\://evil.example)"
        " \\\\ \\_i\\_ \\_\\_u\\_\\_ snake_case_a_b   end" in first[1]
    )
    assert "@everyone" not in first[0] + second[1]
    assert "@\u200beveryone" in second[1]


def test_only_links_are_links(tmp_path: Path) -> None:
    bad = ["javascript:alert(1)", "https://x/a b", "https://x/)[y](https://z", "https://x/" + "y" * 240, ""]
    good = {"dashboard_url": "https://g/d/ai-cost?var-user=a_b&from=now-1h", "runbook_url": "http://r/x%20y.md#z"}
    rendered = render(tmp_path, [*(data(one(dashboard_url=url, runbook_url=url)) for url in bad), data(one(**good))])
    ((_, in_the_project),) = render(tmp_path, [data(one(runbook_url="docs/runbooks/slow_operations.md"))])
    assert "unbook" not in in_the_project
    for _, message in rendered[:-1]:
        assert "](" not in message
    assert f"[Panel]({good['dashboard_url']})\n[Runbook]({good['runbook_url']})" in rendered[-1][1]


def test_several_alerts_link_the_page_that_shows_them_all(tmp_path: Path) -> None:
    alice, bob = (one(dashboard_url=f"https://g/d/ai-cost?var-user={user}") for user in ("alice", "bob"))
    (_, both), (_, twice) = render(tmp_path, [data(alice, bob), data(alice, alice)])
    assert "[Panel](https://g/d/ai-cost)" in both
    assert "[Panel](https://g/d/ai-cost?var-user=alice)" in twice


def test_the_team_and_its_users_are_told_apart(tmp_path: Path) -> None:
    alerts = [
        {**one(RESOLVED, value="$9"), "labels": labels}
        for labels in ({"scope": "team"}, {"scope": "unlisted"}, {"scope": "user", "user": "eve"})
    ]
    ((_, message),) = render(tmp_path, [data(*alerts)])
    assert "• team: was $9\n• users without a series: was $9\n• user eve: was $9" in message


def test_whose_budget_and_for_which_period_it_was_is_said(tmp_path: Path) -> None:
    alerts = [
        {**one(RESOLVED, value="95%"), "labels": labels}
        for labels in ({"group": "red", "period": "30d"}, {"user": "eve", "period": "week"}, {"period": "month"})
    ]
    ((_, message),) = render(tmp_path, [data(*alerts)])
    assert "• group red, for 30d: was 95%\n• user eve, for week: was 95%\n• for month: was 95%" in message


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("@*_`\n|<[:/"), max_size=400)
ALERTS = st.builds(
    lambda status, ends, starts, annotations, labels: {
        **one(status, ends, starts),
        "annotations": annotations,
        "labels": labels,
    },
    st.sampled_from([FIRING, RESOLVED]),
    st.sampled_from([MIDNIGHT, "2026-11-24T20:00:00Z"]),
    st.sampled_from(["2026-11-24T08:00:00Z", "2026-11-24T08:02:00Z", LATER]),
    st.dictionaries(st.sampled_from([*LONG, "budget_day_ends"]), TEXTS),
    st.dictionaries(st.sampled_from(["user", "operation", "model", "reason", "rung", "severity"]), TEXTS),
)
NOTIFICATIONS = st.builds(
    lambda alerts, common: data(*alerts, **common),
    st.lists(ALERTS, min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(["alertname", "severity", "job"]), TEXTS),
)


@settings(max_examples=examples(2), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NOTIFICATIONS, min_size=15, max_size=15))
def test_whatever_the_alerts_hold_discord_takes_it(notifications: list[Mapping[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for title, message in render(Path(folder), notifications):
            assert_accepted(title, message)
            assert not {"@everyone", "@here", "<@"} & set((title + message).split())
