"""One scrape's samples, as sums to compare, and what must hold of them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import pytest

from exporter import catalog
from exporter.catalog import COLLECTORS

Key = tuple[str, frozenset[tuple[str, str]]]

_RISING = ("_total", "_bucket", "_count", "_sum")
# counts of this process alone: they begin anew with each
_OF_THE_PROCESS = {"ai_exporter_state_commit_failures_total"} | {metric.name for metric in catalog.STANDARD}


class Scraped(dict[Key, float]):
    """One scrape's samples by name and labels."""

    def one(self, name: str, **labels: str) -> float:
        """The value of the one sample that has exactly these labels."""
        return self[name, frozenset(labels.items())]

    def having(self, name: str, **labels: str) -> dict[Key, float]:
        """The samples of a name that have these labels among theirs."""
        wanted = frozenset(labels.items())
        return {key: value for key, value in self.items() if key[0] == name and wanted <= key[1]}

    def total(self, name: str, **labels: str) -> float:
        """Sum of a name's samples that have these labels among theirs."""
        return sum(self.having(name, **labels).values())

    def micro(self, name: str, **labels: str) -> int:
        """Sum of a name's samples in micro-dollars, each rounded to the nearest."""
        return sum(round(value * 1e6) for value in self.having(name, **labels).values())

    def has(self, name: str) -> bool:
        """Whether there is any sample of a name."""
        return any(key[0] == name for key in self)

    def labels(self, name: str, label: str) -> list[str]:
        """The values that a label has in a name's samples."""
        return sorted({dict(key[1])[label] for key in self if key[0] == name})

    @property
    def up(self) -> float:
        """Whether the log was read."""
        return self.one("ai_operation_log_up")

    @property
    def collectors(self) -> dict[str, float]:
        """How each collector fared."""
        return {name: self.one("ai_exporter_collector_success", collector=name) for name in COLLECTORS}

    @property
    def counters(self) -> dict[Key, float]:
        """The samples that must never fall, but for those that say how the reading itself went."""
        others = ("ai_exporter_", "process_", "python_")
        return {key: value for key, value in self.items() if _rises(key[0]) and not key[0].startswith(others)}

    @property
    def money(self) -> int:
        """Micro-dollars in the cost counters less those taken back: what the rows as last read add up to."""
        refunds = self.micro("ai_operation_refunds_usd_total")
        return self.micro("ai_operation_cost_usd_total") - refunds - self.micro("ai_operation_cost_corrections_usd")


class Figures(NamedTuple):
    """What is summed for one operation and model; cost in micro-dollars."""

    calls: int
    failures: int
    cost: int
    input_tokens: int
    output_tokens: int


def counted(scraped: Scraped) -> dict[tuple[str, str], Figures]:
    """The counters by operation and model, those that are all zero left out."""
    found: dict[tuple[str, str], Figures] = {}
    for _, labels in scraped.having("ai_operations_total"):
        of = dict(labels)
        figures = Figures(
            round(scraped.one("ai_operations_total", **of)),
            round(scraped.total("ai_operation_failures_total", **of)),
            scraped.micro("ai_operation_cost_usd_total", **of),
            round(scraped.one("ai_operation_input_tokens_total", **of)),
            round(scraped.one("ai_operation_output_tokens_total", **of)),
        )
        if any(figures):
            found[of["operation"], of["model"]] = figures
    return found


def spend(scraped: Scraped, window: str) -> dict[tuple[str, str], int]:
    """Micro-dollars of the spend gauges of `today` or `month`, by operation and model, zeros left out."""
    return {
        (dict(labels)["operation"], dict(labels)["model"]): micro
        for (_, labels), value in scraped.having(f"ai_spend_{window}_usd").items()
        if (micro := round(value * 1e6))
    }


def assert_no_counter_fell(before: Mapping[Key, float], after: Mapping[Key, float]) -> None:
    """No counter that was there is gone or lower."""
    for key, value in before.items():
        if _rises(key[0]) and key[0] not in _OF_THE_PROCESS:
            name = f"{key[0]}{dict(key[1])}"
            assert key in after, f"{name} is gone; it was {value}"
            assert after[key] >= value, f"{name} fell from {value} to {after[key]}"


def _rises(name: str) -> bool:
    metric = catalog.ALL.get(name)
    if metric is not None:
        return metric.kind == "counter"
    return name.endswith(_RISING)


def micro(usd: Decimal) -> int:
    """Micro-dollars of an exact amount, which must have no finer digits."""
    exact = usd * 1_000_000
    assert exact == int(exact), f"{usd} is finer than a micro-dollar"
    return int(exact)


def summed(figures: Mapping[tuple[str, str], Figures]) -> Figures:
    """All of them together."""
    return Figures(*(sum(column) for column in zip(*figures.values(), strict=True))) if figures else Figures(*[0] * 5)


def said(caplog: pytest.LogCaptureFixture, *words: str) -> str:
    """The last message of the log that holds all the words."""
    found = [record.getMessage() for record in caplog.records]
    return next((text for text in reversed(found) if all(word in text for word in words)), "")


def assert_blind(scraped: Scraped) -> None:
    """The log is not read: no figure from the database is shown as if it were fresh."""
    assert scraped.up == 0
    assert scraped.collectors["log"] == 0
    for name in ("ai_spend_today_usd", "ai_spend_month_usd", "ai_user_spend_today_usd", "ai_budget_users"):
        assert not scraped.has(name)
