"""The other sections of the configuration file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_serializer, model_validator

from exporter.catalog import ErrorClassName
from exporter.config.expressions import LogColumn
from exporter.config.names import ColumnName, LabelName, QualifiedName, TableName, names_once
from exporter.config.section import Section
from exporter.config.types import (
    Amount,
    Count,
    Duration,
    ListenAddress,
    Moment,
    PathText,
    Pattern,
    PeriodName,
    Text,
    TokenPrice,
    ValidFrom,
    format_duration,
    split_listen_address,
    within,
)
from exporter.diagnostics import setting_error
from exporter.periods import DAY, FARTHEST, MONTH, WEEK


class DatabaseUrl(Section):
    """A URL, or a file that holds it; either may also come from the environment."""

    url: Text | None = Field(default=None, repr=False)
    url_file: PathText | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.url is not None and self.url_file is not None:
            raise setting_error("write url or url_file, not both", "url_file")
        return self


class Database(DatabaseUrl):
    """Where the log is."""

    connect_timeout: Annotated[Duration, within("2s", "1m")] = 5.0
    max_replica_lag: Annotated[Duration, within("1s", "1h")] = 60.0


TableKey = Literal["log", "budgets", "group_budgets", "routes", "recommendations", "approvals", "user_names"]


class Tables(Section):
    """The tables; null switches an optional one off.

    Those in `accept_unproven` are read even if it cannot be proven that all their rows are visible.
    """

    log: TableName = QualifiedName(None, "ai_operation_log")
    budgets: TableName | None = QualifiedName(None, "cost_budgets")
    group_budgets: TableName | None = None
    routes: TableName | None = QualifiedName(None, "ai_model_routes")
    recommendations: TableName | None = QualifiedName(None, "helix_recommendations")
    approvals: TableName | None = QualifiedName(None, "approval_gates")
    accept_unproven: tuple[TableKey, ...] = ()


class Models(Section):
    """The models: aliases, timeouts (seconds), which are free of charge, and whether input has what was cached."""

    aliases: Mapping[LabelName, LabelName] = Field(default_factory=dict)
    timeouts: Mapping[LabelName, Annotated[Duration, within("1s", "1h")]] = Field(default_factory=dict)
    default_timeout: Annotated[Duration, within("1s", "1h")] = 120.0
    free: tuple[LabelName, ...] = ()
    cached_in_input: bool = True

    _each_name_once = field_validator("aliases", "timeouts", mode="before")(names_once)

    @model_validator(mode="after")
    def _names_of_the_log(self) -> Self:
        for loose, name in self.aliases.items():
            if self.aliases.get(name, name) != name:
                raise setting_error(f"write the name in the log for {loose!r}", "aliases")
        for setting, names in (("timeouts", self.timeouts), ("free", self.free)):
            for name in names:
                known = self.aliases.get(name, name)
                if known != name:
                    raise setting_error(f"write {known!r}, the name in the log, instead of {name!r}", setting)
        return self

    @property
    def longest_timeout(self) -> float:
        """The longest time, in seconds, that a call to any model can take."""
        return max([self.default_timeout, *self.timeouts.values()])


class ConfiguredPrice(Section):
    """What a model's tokens cost, in USD per million, since a moment (None: always), and where that is from."""

    input: TokenPrice
    output: TokenPrice
    cached: TokenPrice | None = None
    valid_from: ValidFrom | None = None
    source: Text = "the configuration"

    @property
    def valid_from_seconds(self) -> int | None:
        """`valid_from` in seconds since the epoch."""
        return None if self.valid_from is None else int(self.valid_from.timestamp())


class ConfiguredBudget(Section):
    """What a user, a group or, without either, the team may spend in a period; one of its ends is at `reset_at`.

    Without that the calendar says where a day, week or month begins.
    """

    user: LabelName | None = None
    group: LabelName | None = None
    limit_usd: Amount
    soft_limit_usd: Amount | None = None
    period: PeriodName
    reset_at: Moment | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.user is not None and self.group is not None:
            raise setting_error("write a user or a group: a budget is of one of them", "group")
        if self.soft_limit_usd is not None and self.soft_limit_usd > self.limit_usd:
            raise setting_error("write at most limit_usd", "soft_limit_usd")
        if self.reset_at is None and self.period not in (DAY, WEEK, MONTH):
            raise setting_error("write a moment at which a period ends, like 2026-12-01T00:00Z", "reset_at")
        if self.reset_at is not None and abs(self.reset_at - datetime.now(UTC)).total_seconds() > FARTHEST:
            raise setting_error("write a moment at which a period ends, within ten years of now", "reset_at")
        return self

    @property
    def reset_seconds(self) -> int | None:
        """`reset_at` in seconds since the epoch."""
        return None if self.reset_at is None else int(self.reset_at.timestamp())


class ErrorClass(Section):
    """A class of errors and the patterns that recognize its messages."""

    name: ErrorClassName = Field(alias="class")
    patterns: tuple[Pattern, ...] = Field(min_length=1)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"class": self.name, "patterns": list(self.patterns)}


class DisplayNames(Section):
    """A table with what people are called: by `key`, the id that the log has; `name` is a column or an expression."""

    table: TableName
    key: ColumnName
    name: LogColumn


class Users(Section):
    """Whether users are shown, how, by which names, and how many."""

    mode: Literal["off", "id", "hmac"] = "id"
    hmac_key_file: PathText | None = None
    names: DisplayNames | None = None
    top: Annotated[Count, Field(ge=0, le=10_000)] = 20
    max_series: Annotated[Count, Field(ge=1, le=10_000)] = 100

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.names is not None and self.mode != "id":
            raise setting_error(f"leave the names out, or write mode: id; {self.mode} is there to hide users", "names")
        if self.mode == "hmac" and self.hmac_key_file is None:
            raise setting_error("write the path of a file with at least 16 random bytes", "hmac_key_file")
        return self


class Groups(Section):
    """How many groups are shown, and their limits in USD a day by their names in the log."""

    top: Annotated[Count, Field(ge=0, le=10_000)] = 20
    max_series: Annotated[Count, Field(ge=1, le=10_000)] = 100
    daily_limits: Mapping[LabelName, Amount] = Field(default_factory=dict)

    _each_name_once = field_validator("daily_limits", mode="before")(names_once)


class Scrape(Section):
    """How long a scrape may take, in seconds."""

    timeout: Annotated[Duration, within("1s", "10m")] = 10.0
    timeout_offset: Annotated[Duration, within("0s", "1m")] = 0.5
    max_timeout: Annotated[Duration, within("1s", "10m")] = 60.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.timeout_offset >= self.timeout:
            raise setting_error(f"write less than timeout ({format_duration(self.timeout)})", "timeout_offset")
        if self.timeout > self.max_timeout:
            raise setting_error(f"write at least timeout ({format_duration(self.timeout)})", "max_timeout")
        return self


class Worker(Section):
    """The background reader's pace, in seconds."""

    statement_budget: Annotated[Duration, within("50ms", "1m")] = 2.0
    pause: Annotated[Duration, within("0s", "1m")] = 1.0


class Web(Section):
    """Where metrics are served."""

    listen_address: ListenAddress = "127.0.0.1:9867"
    config_file: PathText | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host (``""``: every address) and port."""
        return split_listen_address(self.listen_address)
