"""Which series get a place, and what becomes of the rest; and calls that a fallback has served."""

from dataclasses import replace

import pytest

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger.exposed import spend_today
from exporter.ledger.model import OTHER, UNKNOWN, Series, TimeRange
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Classes, Log

FEW = replace(SETTINGS, max_series=2)


class TestPlaces:
    def test_beyond_the_limit_sums_are_kept_under_other(self) -> None:
        log = Log()
        exporter = started(log, settings=FEW)
        for number, model in enumerate(("a", "b", "c", "d", "a")):
            log.insert(START + number, model=model, cost=10**number)
            exporter.wait(10)
        costs = {series: total[Figure.COST] for series, total in exporter.state.totals.items()}
        assert costs == {Series("chat", "a"): 10001, Series("chat", "b"): 10, OTHER: 1100}
        assert exporter.state.progress.rows_overflowed == 2
        assert spend_today(exporter.state, FEW) == costs

    def test_routes_come_first_then_the_first_to_appear_then_names(self) -> None:
        log = Log()
        log.routes = {"mail": "z"}
        for second, model in ((-600, "b"), (-600, "a"), (-1200, "d")):
            log.insert(START + second, model=model)
        exporter = started(log, settings=replace(SETTINGS, max_series=3))
        order = sorted(exporter.state.admitted, key=lambda series: exporter.state.admitted[series].order)
        assert order == [Series("mail", "z"), Series("chat", "d"), Series("chat", "a"), OTHER]

    @pytest.mark.parametrize("chunk", [900, 3600, 86400])
    def test_they_do_not_depend_on_the_chunks_in_which_history_is_read(self, chunk: int) -> None:
        log = Log()
        for number in range(20):
            log.insert(START - 7 * number * number * 60, operation=f"o{number % 7}", model=f"m{number % 3}")
        chosen = started(log, settings=replace(SETTINGS, max_series=5), chunk=chunk).state.admitted
        known = started(log, settings=replace(SETTINGS, max_series=5), chunk=7200).state.admitted
        assert chosen == known

    def test_routes_alone_never_need_other(self) -> None:
        log = Log()
        log.routes = {"a": "m", "b": "m", "c": "m"}
        exporter = started(log, settings=FEW)
        assert set(exporter.state.admitted) == {Series("a", "m"), Series("b", "m")}

    def test_a_place_is_never_taken_away(self) -> None:
        log = Log()
        exporter = started(log, settings=FEW)
        log.insert(START, model="a", cost=1)
        exporter.wait(10)
        exporter.run(24 * 3600, 300)
        exporter.reconfigure(max_series=0)
        log.insert(exporter.clock, model="a", cost=1)
        log.insert(exporter.clock, model="b", cost=1)
        exporter.wait(10)
        assert exporter.count(Figure.COST, Series("chat", "a")) == 2
        assert exporter.count(Figure.COST, OTHER) == 1

    def test_a_pair_that_is_called_other_needs_no_second_place(self) -> None:
        log = Log()
        exporter = started(log, settings=replace(SETTINGS, max_series=0))
        log.insert(START, operation="other", model="other", cost=1)
        log.insert(START, cost=2)
        exporter.wait(10)
        assert set(exporter.state.admitted) == {OTHER}
        assert exporter.count(Figure.COST, OTHER) == 3

    def test_a_crash_before_the_commit_gives_the_same_places(self) -> None:
        log = Log()
        exporter = started(log, settings=FEW)
        for model in "ca":
            log.insert(START + 5, model=model)
        log.insert(START + 4, model="b")
        exporter.clock += 10
        from_plan = exporter.plan(exporter.read(TimeRange(START - 180, exporter.clock + 1))).admitted
        exporter.restart()
        exporter.scrape()
        assert {s: a.order for s, a in from_plan.items()} == {s: a.order for s, a in exporter.state.admitted.items()}

    def test_last_seen_times_bear_the_labels_of_series(self) -> None:
        log = Log()
        exporter = started(log, settings=replace(SETTINGS, max_series=1))
        log.insert(START, operation="a", model="x")
        log.insert(START + 1, operation="b", model="x", status="failed")
        log.insert(START + 2, operation="a", model="y")
        exporter.wait(10)
        state = exporter.state
        assert state.seen_operations == {"a": START + 2.0, "other": START + 1.0}
        assert state.succeeded_models == {"x": float(START), "other": START + 2.0}
        assert state.progress.newest == START + 2.0


SCARCE = replace(SETTINGS, max_series=6, ample=2)


class TestScarcePlaces:
    """Beyond `ample` a place is earned, so that a burst of names leaves room for what comes steadily."""

    def burst(self, log: Log, at: int, names: int = 30) -> None:
        for number in range(names):
            log.insert(at, operation=f"random-{number}", cost=1)

    def exporter(self, log: Log) -> Exporter:
        log.insert(START - 600, model="a")
        log.insert(START - 600, model="b")
        return started(log, settings=SCARCE)

    def test_a_burst_of_names_leaves_places_for_what_comes_steadily(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        self.burst(log, exporter.clock)
        exporter.wait(10)
        assert len(exporter.state.admitted) == 3
        for _ in range(8):
            log.insert(exporter.clock, operation="steady", cost=100)
            exporter.run(600)
        assert Series("steady", "m1") in exporter.state.admitted
        assert not any(series.operation.startswith("random") for series in exporter.state.admitted)
        assert exporter.count(Figure.COST) == 30 + 800
        # what came before the place was earned stays where it was counted
        assert 0 < exporter.count(Figure.COST, Series("steady", "m1")) < 800
        exporter.run(24 * 3600, 300)
        assert exporter.count(Figure.COST) == 830
        assert not any(exporter.state.corrections.values())

    def test_bursts_that_never_end_do_not_keep_it_out(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        for turn in range(12):
            for number in range(20):
                log.insert(exporter.clock, operation=f"random-{turn}-{number}", cost=1)
            for _ in range(2):
                log.insert(exporter.clock, operation="steady", cost=100)
            exporter.run(600)
        assert Series("steady", "m1") in exporter.state.admitted
        assert len(exporter.state.candidates) <= SCARCE.max_series
        assert exporter.count(Figure.COST) == 12 * 220

    @pytest.mark.parametrize("width", [60, 900])
    def test_late_rows_of_the_time_before_count_once_and_where_that_time_is_kept(self, width: int) -> None:
        log = Log()
        exporter = self.exporter(log)
        exporter.width = width
        for _ in range(6):
            log.insert(exporter.clock, operation="steady", cost=100)
            exporter.run(900)
        since = exporter.state.admitted[Series("steady", "m1")].since
        assert since % 900 == 0
        own = exporter.count(Figure.COST, Series("steady", "m1"))
        log.insert(since - 1, operation="steady", cost=10)
        log.insert(since, operation="steady", cost=7)
        exporter.run(6 * 3600, 300)
        assert exporter.count(Figure.COST, Series("steady", "m1")) == own + 7
        assert exporter.count(Figure.COST) == 617

    def test_routes_need_not_earn_their_place(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        self.burst(log, exporter.clock)
        exporter.wait(10)
        log.routes = {"mail": "m9"}
        exporter.wait(10)
        assert Series("mail", "m9") in exporter.state.admitted
        log.insert(exporter.clock, operation="mail", model="m9", cost=5)
        exporter.run(1800)
        log.insert(exporter.clock, operation="mail", model="m9", cost=5)
        exporter.run(1800)
        assert exporter.count(Figure.COST) == 40
        assert exporter.count(Figure.COST, Series("mail", "m9")) in (5, 10)

    def test_a_route_for_what_was_folded_counts_nothing_twice(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        self.burst(log, exporter.clock)
        exporter.wait(10)
        log.routes = {"random-7": "m1"}
        exporter.run(24 * 3600, 300)
        assert Series("random-7", "m1") in exporter.state.admitted
        assert exporter.count(Figure.COST) == 30
        assert not any(exporter.state.corrections.values())

    def test_what_was_seen_is_remembered_over_a_restart(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        for _ in range(3):
            log.insert(exporter.clock, operation="steady", cost=1)
            exporter.run(900)
            exporter.restart()
        exporter.scrape()
        assert Series("steady", "m1") in exporter.state.admitted

    @pytest.mark.parametrize("chunk", [900, 3600, 86400])
    def test_they_do_not_depend_on_the_chunks_in_which_history_is_read(self, chunk: int) -> None:
        log = Log()
        for number in range(60):
            log.insert(START - 7 * number * 60, operation=f"o{number % 7}", model=f"m{number % 3}")
        scarce = replace(SETTINGS, max_series=18, ample=4)
        chosen = started(log, settings=scarce, chunk=chunk).state.admitted
        known = started(log, settings=scarce, chunk=7200).state.admitted
        assert len(chosen) > 5
        assert chosen == known


class TestFallbacks:
    def exporter(self, log: Log, primary: str = "m1") -> Exporter:
        log.routes = {"chat": primary}
        log.insert(START - 600, operation="mail", model="m1")
        log.insert(START - 600, operation="mail", model="m2")
        return started(log)

    def test_calls_served_by_another_model_than_the_primary_count(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        log.insert(START, model="m1")
        log.insert(START, model="m2")
        log.insert(START, model="m2", status="pending")
        log.insert(START, operation="unrouted", model="m2")
        log.insert(START, model=UNKNOWN)
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS) == 1
        assert exporter.count(Figure.FALLBACKS, Series("chat", "m2")) == 1

    def test_a_changed_route_relabels_nothing_that_was_counted(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        log.insert(START, model="m1")
        log.insert(START, model="m2")
        exporter.wait(10)
        log.routes = {"chat": "m2"}
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS) == 1
        log.insert(START, model="m1")
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS, Series("chat", "m1")) == 1
        exporter.run(5 * 3600, 300)
        assert exporter.count(Figure.FALLBACKS) == 2

    def test_none_is_claimed_where_the_log_knows_no_such_primary(self) -> None:
        log = Log()
        exporter = self.exporter(log, "gemini_flash")
        log.insert(START, model="m2")
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS) == 0

    def test_a_primary_first_seen_in_the_same_read_is_known(self) -> None:
        log = Log()
        exporter = self.exporter(log, "late")
        log.insert(START, model="m2")
        log.insert(START + 1, operation="mail", model="late")
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS) == 1

    def test_a_primary_without_a_place_of_its_own_is_known_as_well(self) -> None:
        log = Log()
        for model in ("m1", "m2"):
            log.insert(START - 600, model=model)
        log.insert(START - 300, operation="mail", model="big")
        exporter = started(log, settings=FEW)
        log.routes = {"chat": "big"}
        exporter.run(600)
        log.insert(exporter.clock, model="m2", cost=USD)
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS) == 1

    def test_renamed_models_are_compared_by_their_new_name(self) -> None:
        log = Log()
        exporter = self.exporter(log)
        exporter.reconfigure(Classes(names={"m2": "m1"}))
        log.insert(exporter.clock, model="m2")
        exporter.wait(10)
        assert exporter.count(Figure.FALLBACKS) == 0
