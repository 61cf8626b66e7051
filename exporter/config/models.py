"""The configuration as a whole, and the part of it that decides how rows are classified."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from exporter.catalog import USUAL_OPERATIONS
from exporter.config.bounds import FIRST_UPPER_BOUNDS, UPPER_BOUNDS
from exporter.config.columns import LOG_ROLE_NAMES, Columns, LogColumns
from exporter.config.error_classes import DEFAULT_ERROR_CLASSES
from exporter.config.expressions import MARK
from exporter.config.names import BudgetZoneName, LabelName, TableName, ZoneName, names_once, written_column
from exporter.config.section import Section
from exporter.config.sections import (
    ConfiguredBudget,
    ConfiguredPrice,
    Database,
    DatabaseUrl,
    ErrorClass,
    Groups,
    Models,
    Scrape,
    Tables,
    Users,
    Web,
    Worker,
)
from exporter.config.sources import SOURCES, SourceName, with_source
from exporter.config.types import DOLLARS, Amount, Count, Duration, PathText, format_duration, within
from exporter.diagnostics import setting_error

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["logfmt", "json"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)

_MINUTE, _QUARTER_HOUR, _HOUR = 60.0, 900.0, 3600.0


def _default_error_classes() -> tuple[ErrorClass, ...]:
    classes = DEFAULT_ERROR_CLASSES.items()
    return tuple(ErrorClass.model_validate({"class": name, "patterns": patterns}) for name, patterns in classes)


NAMES = 2
"""How names become labels: by 1, which earlier versions did, what is looked up by a name is not cleaned before."""


PRICES = 1
"""How the expected cost is reckoned: by 0, which earlier versions did, not at all."""


def _in_quotes(column: object) -> object:
    return written_column(column) if isinstance(column, str) and not column.startswith(MARK) else column


class Classification(Section):
    """All that decides which series a row counts in, and whether; kept with the state, to see when it has changed.

    The bounds are no setting, but another version may have others, or of more measures; a state that does not name any
    was kept with `FIRST_UPPER_BOUNDS`. A measure without a bound is not read.
    Latency edges and the list of error classes are not here: a state that was kept with others cannot be read at all.
    `users` tells by which names users are kept (`Pseudonyms.scheme`); whoever keeps them sets it. `names` is how names
    become labels (`NAMES`); a state that does not say was kept by the first way. `prices` is how the expected cost is
    reckoned (`PRICES`); a state that does not say was kept without one. `refunds` says that costs below 0 are used.
    ``model_dump_json`` and ``model_validate_json`` are inverse to each other. Earlier versions wrote the columns' names
    without the quotes that they need.
    """

    log_table: TableName
    log_columns: LogColumns
    log_time_zone: str
    budget_time_zone: str
    aliases: Mapping[str, str]
    free: tuple[str, ...]
    timeouts: Mapping[str, float]
    default_timeout: float
    error_classes: tuple[ErrorClass, ...]
    max_series: int
    bounds: Mapping[str, int] = Field(default_factory=lambda: dict(FIRST_UPPER_BOUNDS))

    @field_validator("log_columns", mode="before")
    @classmethod
    def _quote_columns(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: _in_quotes(value) if name in LOG_ROLE_NAMES else value for name, value in value.items()}

    users: str = ""
    names: int = 1
    prices: int = 0
    refunds: bool = False
    cached_in_input: bool = True

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical JSON: equal whenever rows are classified alike."""
        fields = self.model_dump(mode="json")
        fields["free"] = sorted(set(self.free))
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def without_error_classes(self) -> Self:
        """The same for reads that need no error classes: matching their patterns is most of the work of such a read."""
        return self.model_copy(update={"error_classes": ()})


class Config(Section):
    """Every setting, checked; durations are seconds, money is exact."""

    source: SourceName = "helix"
    database: Database = Database()
    recommendations: DatabaseUrl = DatabaseUrl()
    tables: Tables = Tables()
    columns: Columns = Columns()
    log_time_zone: ZoneName = "UTC"
    budget_time_zone: BudgetZoneName = "UTC"
    daily_limit_usd: Amount | None = None
    monthly_limit_usd: Amount | None = None
    budgets: tuple[ConfiguredBudget, ...] = ()
    models: Models = Models()
    prices: Mapping[LabelName, tuple[ConfiguredPrice, ...]] = Field(default_factory=dict)
    error_classes: tuple[ErrorClass, ...] = Field(default_factory=_default_error_classes)
    expected_operations: tuple[LabelName, ...] = USUAL_OPERATIONS
    users: Users = Users()
    groups: Groups = Groups()
    max_series: Annotated[Count, Field(ge=1, le=10_000)] = 200
    zero_hold: Annotated[Duration, within("0s", "1h")] = 60.0
    horizon: Annotated[Duration, within("2h", "48h")] = 172_800.0
    open_window: Annotated[Duration, within("1m", "1h")] | None = None
    optional_interval: Annotated[Duration, within("0s", "10m")] = 60.0
    history_weeks: Annotated[Count, Field(ge=0, le=8)] = 8
    scrape: Scrape = Scrape()
    worker: Worker = Worker()
    web: Web = Web()
    state_dir: PathText = Path("state")
    log_level: LogLevel = "info"
    log_format: LogFormat = "logfmt"

    _each_name_once = field_validator("prices", mode="before")(names_once)

    @model_validator(mode="before")
    @classmethod
    def _over_those_of_the_source(cls, value: object) -> object:
        if not isinstance(value, dict) or value.get("source") not in SOURCES:
            return value
        return with_source(value, value["source"])

    @model_validator(mode="after")
    def _prices_of_the_log(self) -> Self:
        for model, prices in self.prices.items():
            known = self.models.aliases.get(model, model)
            if known != model:
                raise setting_error(f"write {known!r}, the name in the log, instead of {model!r}", "prices")
            if len({each.valid_from for each in prices}) < len(prices):
                raise setting_error("write another valid_from for each price of a model", "prices", model)
        return self

    @model_validator(mode="after")
    def _groups_of_the_log(self) -> Self:
        if self.columns.log.has_groups:
            return self
        column = "name the column with the group, columns.log.group"
        if self.tables.group_budgets is not None:
            raise setting_error(f"{column}, or write null: the log has no groups", "tables", "group_budgets")
        hint = f"{column}, or write no limits of groups"
        if self.groups.daily_limits:
            raise setting_error(hint, "groups", "daily_limits")
        if any(budget.group is not None for budget in self.budgets):
            raise setting_error(hint, "budgets")
        return self

    # not of the section: a state may have been kept by such a rate, which counts for nothing
    @model_validator(mode="after")
    def _dollars_are_dollars(self) -> Self:
        for code in self.columns.log.currencies:
            if code in DOLLARS:
                raise setting_error(f"leave {code} out: all money is in US dollars", "columns", "log", "currencies")
        return self

    @model_validator(mode="after")
    def _each_budget_once(self) -> Self:
        known: set[tuple[str | None, str | None, str]] = set()
        for budget in self.budgets:
            if (key := (budget.user, budget.group, budget.period)) in known:
                whose = "the team" if key[:2] == (None, None) else repr(budget.user or budget.group)
                raise setting_error(f"write one {budget.period} budget for {whose}", "budgets")
            known.add(key)
        return self

    @model_validator(mode="after")
    def _horizon(self) -> Self:
        if self.horizon % _QUARTER_HOUR:
            raise setting_error("write a multiple of 15m, up to 48h", "horizon")
        least = self.open_window_seconds + 2 * _HOUR
        if self.horizon < least:
            rounded = -(-least // _QUARTER_HOUR) * _QUARTER_HOUR
            hint = f"write at least {format_duration(rounded)}: two hours more than the open window"
            raise setting_error(hint, "horizon")
        return self

    @model_validator(mode="after")
    def _replica_lag(self) -> Self:
        # both together are what a scrape of a standby reads again
        most = _HOUR + _MINUTE - self.open_window_seconds
        if self.database.max_replica_lag > most:
            hint = f"write at most {format_duration(most)}: an hour and a minute less the open window"
            raise setting_error(hint, "database", "max_replica_lag")
        return self

    @property
    def has_period_budgets_of_groups(self) -> bool:
        """Whether groups have, or may have, budgets with other periods than a day."""
        has_table = self.tables.group_budgets is not None and self.columns.group_budgets.period is not None
        return self.columns.log.has_groups and (has_table or any(each.group is not None for each in self.budgets))

    @property
    def open_window_seconds(self) -> float:
        """How far back every scrape reads: as set, or the longest model timeout and a minute; an hour at most."""
        if self.open_window is not None:
            return self.open_window
        return min(self.models.longest_timeout + _MINUTE, _HOUR)

    def classification(self) -> Classification:
        """The settings that decide which series a row counts in."""
        return Classification(
            log_table=self.tables.log,
            log_columns=self.columns.log,
            log_time_zone=self.log_time_zone,
            budget_time_zone=self.budget_time_zone,
            aliases=self.models.aliases,
            free=self.models.free,
            timeouts=self.models.timeouts,
            default_timeout=self.models.default_timeout,
            error_classes=self.error_classes,
            max_series=self.max_series,
            bounds=dict(UPPER_BOUNDS),
            names=NAMES,
            prices=PRICES,
            refunds=True,
            cached_in_input=self.models.cached_in_input,
        )
