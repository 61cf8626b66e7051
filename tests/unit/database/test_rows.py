"""From result rows to slices: labels, and statements that share a slice."""

import unicodedata
from collections.abc import Sequence
from copy import deepcopy
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import USD
from exporter.config import LABEL_LENGTH, UPPER_BOUNDS, Config, clean_label
from exporter.database.log_query import BY_GROUP, BY_SERIES, BY_USER
from exporter.database.log_query import EACH as EACH_ROW
from exporter.database.measures import INVALID_REASONS
from exporter.database.rows import BucketReader, SpanRow
from exporter.figures import SUMMED, Figure
from exporter.ledger.model import UNATTRIBUTED, Bucket, Series, SkippedValue
from exporter.ledger.spenders import groups_of, users_of

SLICE = 1_772_452_800
RULES = Config.model_validate({"models": {"aliases": {"m2": "m1"}}}).classification()

Row = Any

GROUPED = Config.model_validate({"columns": {"log": {"group": "team"}}}).classification()

NOTHING = dict.fromkeys([*get_type_hints(SpanRow), *SUMMED])


def row(grouped_by: int, **columns: object) -> Row:
    return SimpleNamespace(**{**NOTHING, "grouped_by": grouped_by, "slice": SLICE, "rows": 1, **columns})


def series_row(
    ended: str = "ok", rows: int = 1, cost: str = "0.5", oldest: float = SLICE, model: str = "m1", invalid: int = 0
) -> Row:
    final = {} if ended == "pending" else {"latency_bucket": 3, "timeouts_reached": 0}
    sums = {"cost": Decimal(cost), "input_tokens": 10, "output_tokens": 5, "unpriced": 0}
    sums |= {"latency_microseconds": 1000 * rows}
    times = {"newest": oldest + 1, "oldest": oldest}
    return row(
        BY_SERIES, operation="chat", model=model, ended=ended, invalid=invalid, rows=rows, **final, **sums, **times
    )


def user_row(user: str | None, cost: str, start: int = SLICE) -> Row:
    return row(BY_USER, slice=start, username=user, cost=Decimal(cost))


def fault_row(count: int) -> Row:
    return series_row("running", count, "0", model="faulty", invalid=1)


def read(*statements: Sequence[Row], **named: bool) -> dict[int, Bucket]:
    found = BucketReader(RULES)
    for rows in statements:
        found.add(rows, **named)
    assert found.rows == sum(map(len, statements))
    return found.buckets()


BLANKS = st.text(st.sampled_from(" \n\u00a0\u2003\u200b\u200e\u2060\ufeff\x01"), max_size=3)


def unseen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cs", "Cf", "Zl", "Zp")


@given(st.text(max_size=200))
def test_a_label_has_no_control_character_and_nothing_unseen_around_it(text: str) -> None:
    label = clean_label(text, "missing")
    if all(map(unseen, text)):
        assert label == "missing"
        return
    assert not unseen(label[0])
    assert not unseen(label[-1])
    assert len(label) <= LABEL_LENGTH
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in label)
    assert clean_label(label, "missing") == label


@given(BLANKS, st.sampled_from(["gpt-4", "分類", "نام\u200cها", "a b"]), BLANKS)
def test_a_label_is_the_name_whatever_cannot_be_seen_around_it(before: str, name: str, behind: str) -> None:
    assert clean_label(before + name + behind, "missing") == name


def test_a_label_that_the_log_leaves_out_is_the_one_for_it() -> None:
    assert clean_label(None, "missing") == "missing"


def test_statements_that_read_parts_of_one_slice_add_up() -> None:
    """A quarter of an hour that is too slow is read piece by piece; each piece has rows of the whole slice's."""
    first = [series_row(), series_row("pending", 2, oldest=SLICE + 5), user_row("ann", "0.5"), fault_row(3)]
    second = [series_row(model="m2"), series_row("pending", oldest=SLICE + 2), user_row("ann", "0.25"), fault_row(4)]
    minute = read(first, second)[SLICE]
    cell = minute.cells[Series("chat", "m1")]
    assert cell[Figure.ROWS] == 5
    assert cell[Figure.COST] == 2 * USD
    assert minute.users == {"ann": 3 * USD // 4}
    assert minute.waiting["pending"] == (3, SLICE + 2)
    assert minute.skipped == {SkippedValue(next(iter(UPPER_BOUNDS)), INVALID_REASONS[0]): 7}
    assert read(first, second) == read([*first, *second]) == read(second, first)


EACH = st.builds(
    lambda series, user, cost: SimpleNamespace(
        **{**vars(series), "grouped_by": EACH_ROW, "username": user, "cost": Decimal(cost)}
    ),
    st.builds(
        series_row,
        ended=st.sampled_from(["ok", "timeout", "rate_limit", "pending", "running", "null", "unknown"]),
        oldest=st.integers(SLICE, SLICE + 59),
        model=st.sampled_from(["m1", "m2", "m3", "other"]),
        invalid=st.sampled_from([0, 1, 2]),
    ),
    st.sampled_from([None, "ann", "bob"]),
    st.sampled_from(["0", "0.5", "0.25"]),
)


@given(st.lists(EACH, max_size=8), st.lists(EACH, max_size=8))
def test_rows_are_added_to_what_is_known_and_leave_that_as_it_is(known: list[Row], more: list[Row]) -> None:
    reader = BucketReader(RULES)
    before = reader.extended(SLICE, Bucket(), known)
    assert before == (read(known)[SLICE] if known else Bucket())
    kept = deepcopy(before)
    assert reader.extended(SLICE, before, more) == (read([*known, *more])[SLICE] if known or more else Bucket())
    assert before == kept
    assert Bucket() == reader.extended(SLICE, Bucket(), [])


def test_users_are_left_out_where_they_are_not_asked_for() -> None:
    (minute,) = read([series_row(), user_row(None, "0.5")], by_user=False).values()
    assert minute.users == {}
    assert minute.cells[Series("chat", "m1")][Figure.COST] == USD // 2


def test_groups_are_kept_beside_users_of_the_same_name() -> None:
    rows = [series_row(), user_row("red", "0.5"), row(BY_GROUP, groupname="red", cost=Decimal("0.25"))]
    rows += [row(BY_GROUP, groupname=name, cost=cost) for name, cost in ((None, Decimal(1)), ("other", Decimal(2)))]
    # blanks around a name do not count, and what is no amount is nothing
    rows += [row(BY_GROUP, groupname="\tred ", cost=Decimal("0.5")), row(BY_GROUP, groupname="blue", cost=None)]
    found = BucketReader(GROUPED)
    found.add(rows)
    (minute,) = found.buckets().values()
    assert users_of(minute.users) == {"red": USD // 2}
    assert groups_of(minute.users) == {"red": 3 * USD // 4, UNATTRIBUTED: USD, '"other"': 2 * USD, "blue": 0}
    assert minute.cells[Series("chat", "m1")][Figure.ROWS] == 1
    # a statement of series alone has no names, and one of single rows has both
    found.add(rows, by_user=False)
    assert found.buckets()[SLICE].users == minute.users
    single = SimpleNamespace(**{**vars(series_row()), "grouped_by": EACH_ROW, "username": "ann", "groupname": "red"})
    extended = found.extended(SLICE, minute, [single])
    assert groups_of(extended.users)["red"] == 5 * USD // 4
    assert users_of(extended.users) == {"red": USD // 2, "ann": USD // 2}


def test_a_user_is_one_string_however_often_it_is_found() -> None:
    name = "a user whose name is no constant"
    rows = [user_row(name[:6] + name[6:], "1"), user_row(name[:9] + name[9:], "1", SLICE + 900)]
    users = [user for minute in read(rows).values() for user in minute.users]
    assert users == [name, name]
    assert users[0] is users[1]
