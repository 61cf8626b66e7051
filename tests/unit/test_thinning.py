"""Each case of a test runs on a layout, and each test on both."""

from exporter.demo.schema import LAYOUTS, Layout
from tests.support.thinning import Case, on_the_diagonal


def of(test: str, *names: str, layouts: tuple[Layout, ...] = LAYOUTS) -> list[Case]:
    return [Case(test, name, layout) for layout in layouts for name in names]


def test_cases_take_turns() -> None:
    found = on_the_diagonal(of("t", "a", "b", "c"))
    assert found == {Case("t", "a", "success"), Case("t", "b", "status"), Case("t", "c", "success")}


def test_a_test_without_cases_runs_on_both_layouts() -> None:
    assert on_the_diagonal(of("t", "")) == set(of("t", ""))


def test_tests_do_not_take_each_others_turns() -> None:
    assert on_the_diagonal([*of("t", "a", "b"), *of("u", "a", "b")]) == {
        *on_the_diagonal(of("t", "a", "b")),
        *on_the_diagonal(of("u", "a", "b")),
    }


def test_what_is_there_for_one_layout_alone_runs() -> None:
    only = of("t", "a", "b", layouts=("status",))
    assert on_the_diagonal(only) == set(only)
