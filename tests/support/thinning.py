"""Which cases of tests on both layouts of the log run in each run: the others run in `make soak`."""

from collections.abc import Sequence
from typing import NamedTuple

from exporter.demo.schema import LAYOUTS, Layout


class Case(NamedTuple):
    """A test, what tells this case of it from others on the same layout, and the layout that it runs on."""

    test: str
    name: str
    layout: Layout


def on_the_diagonal(cases: Sequence[Case]) -> set[Case]:
    """Those of each test that run: its first case on the first layout, its second on the second, and so on.

    Each test sees both layouts, and each case one: what a case is about hardly ever depends on the columns as well. A
    test that has no other cases than its layouts runs on both, and so does a case that is there for one layout alone.
    """
    there = set(cases)
    numbers: dict[str, dict[str, int]] = {}
    for test, name, _ in cases:
        of_test = numbers.setdefault(test, {})
        of_test.setdefault(name, len(of_test))

    def runs(case: Case) -> bool:
        of_test = numbers[case.test]
        wanted = LAYOUTS[of_test[case.name] % len(LAYOUTS)]
        return len(of_test) == 1 or case.layout == wanted or case._replace(layout=wanted) not in there

    return {case for case in cases if runs(case)}
