"""The sections of the configuration file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_serializer,
    model_validator,
)

from exporter.catalog import ErrorClassName
from exporter.config.expressions import Condition, Expression, LogColumn
from exporter.config.names import (
    ColumnName,
    LabelName,
    QualifiedName,
    TableName,
    column_name,
    names_once,
    written_column,
)
from exporter.config.types import (
    Amount,
    Count,
    Currency,
    Duration,
    ListenAddress,
    Moment,
    PathText,
    Pattern,
    PeriodName,
    Rate,
    Text,
    TokenPrice,
    ValidFrom,
    Word,
    format_duration,
    period_name,
    split_listen_address,
    within,
)
from exporter.diagnostics import setting_error, shown
from exporter.periods import DAY, FARTHEST, MONTH, WEEK


class Section(BaseModel):
    """A mapping in the file: frozen, without unknown settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        # "web:" with every line below it commented out is how people write "the defaults".
        return {} if value is None else value


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


class Outcomes(Section):
    """The words of the column `status`, by how a call that has one ended; null stands for rows without a word.

    A row with a word of `refund` is no call, but money that comes back.
    """

    ok: tuple[Word, ...] = ()
    failed: tuple[Word, ...] = ()
    timeout: tuple[Word, ...] = ()
    pending: tuple[Word, ...] = ()
    running: tuple[Word, ...] = ()
    refund: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _each_word_once(self) -> Self:
        known: dict[str | None, str] = {}
        for outcome, words in self:
            for word in words:
                if word in known:
                    raise setting_error(f"write {shown(word)} once: it also stands in {known[word]}", outcome)
                known[word] = outcome
        if not self.ok:
            raise setting_error("write the words of calls that have succeeded", "ok")
        return self

    @property
    def by_word(self) -> dict[str | None, str]:
        """How a call ended, by its word."""
        return {word: outcome for outcome, words in self for word in words}


_FIGURES = ("input_tokens", "output_tokens", "cost", "cached_tokens", "latency", "time_to_first_token")
MAY_LACK = frozenset(("user", "group", "error_message", *_FIGURES))
"""The roles that a log need not have a value for, as `"=NULL"` says; their metrics are absent then."""

TimeUnit = Literal["timestamp", "s", "ms", "us"]


class LogColumns(Section):
    """Columns of the log, or expressions; the catalog decides those that are not set.

    `outcomes` says what the words in `status` mean, `time_unit` what the numbers in `time` count since 1970, `where`
    which rows are calls, `currencies` what one of a currency is in US dollars.
    """

    time: ColumnName | None = None
    time_unit: TimeUnit = "timestamp"
    operation: LogColumn | None = None
    operation_type: LogColumn | None = None
    model: LogColumn | None = None
    user: LogColumn | None = None
    group: LogColumn | None = None
    input_tokens: LogColumn | None = None
    output_tokens: LogColumn | None = None
    cost: LogColumn | None = None
    currency: LogColumn | None = None
    currencies: Mapping[Currency, Rate] = Field(default_factory=dict)
    cached_tokens: LogColumn | None = None
    latency: LogColumn | None = None
    time_to_first_token: LogColumn | None = None
    success: LogColumn | None = None
    status: LogColumn | None = None
    error_message: LogColumn | None = None
    free: LogColumn | None = None
    outcomes: Outcomes | None = None
    where: Condition | None = None

    @field_validator("currencies", mode="before")
    @classmethod
    def _each_currency_once(cls, value: object) -> object:
        codes = [code.strip().upper() for code in value if isinstance(code, str)] if isinstance(value, dict) else []
        for code in codes:
            if codes.count(code) > 1:
                raise setting_error(f"write {code!r} once: capitals and blanks around it do not count")
        return value

    @model_validator(mode="after")
    def _words_of_the_status(self) -> Self:
        if self.outcomes is not None and self.success is not None and self.status is None:
            raise setting_error("write outcomes for columns.log.status; success is true or false", "outcomes")
        if self.currencies and self.currency is None:
            raise setting_error("write columns.log.currency too, which says the currency of each cost", "currencies")
        for role in sorted(self.lacking - MAY_LACK):
            raise setting_error(f"write a column or a value: only {', '.join(sorted(MAY_LACK))} can be lacking", role)
        return self

    @property
    def roles(self) -> dict[str, str]:
        """What is set for each role: a column's name, or an expression."""
        columns = {role: getattr(self, role) for role in LOG_ROLE_NAMES}
        return {role: written for role, written in columns.items() if written is not None}

    @property
    def has_groups(self) -> bool:
        """Whether the log has the group of a call, such as its team."""
        return self.group is not None and "group" not in self.lacking

    @property
    def has_expressions(self) -> bool:
        """Whether SQL of the configuration is part of reading the log."""
        written = self.roles.values()
        return self.where is not None or self.currency is not None or any(isinstance(e, Expression) for e in written)

    @property
    def is_computed(self) -> bool:
        """Whether there is more to reading the log than its columns' names."""
        return self.has_expressions or self.time_unit != "timestamp" or self.outcomes is not None

    @property
    def lacking(self) -> frozenset[str]:
        """The roles that the log is said to have no value for."""
        return frozenset(
            role for role, written in self.roles.items() if isinstance(written, Expression) and written.is_null
        )


_NO_ROLES = ("time_unit", "currencies", "outcomes", "where")
LOG_ROLE_NAMES = tuple(name for name in LogColumns.model_fields if name not in _NO_ROLES)
"""The settings that name a column of the log."""


class FixedPeriod(str):
    """The period of all rows of a table, as it is written: `='30d'`."""

    @property
    def period(self) -> str:
        """The name of the period."""
        return period_name(self.removeprefix("='").removesuffix("'"))


def _column_or_period(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("="):
        return column_name(value)
    if not (value.startswith("='") and value.endswith("'")):
        raise setting_error("write a column, or one period for all rows: \"='30d'\"")
    fixed = FixedPeriod(value)
    return FixedPeriod(f"='{fixed.period}'")


def _written_period(value: str) -> str:
    return value if isinstance(value, FixedPeriod) else written_column(value)


PeriodColumn = Annotated[
    str, PlainValidator(_column_or_period), PlainSerializer(_written_period, return_type=str, when_used="json")
]


class _OfUser(Section):
    user: ColumnName | None = None


class _OfGroup(Section):
    group: ColumnName | None = None


class _Limits(Section):
    """Columns with the limits of one user or group, and what the table says they spent.

    The limits are daily ones or, where there is a `period`, such that begin again after it.
    """

    daily_limit: ColumnName | None = None
    monthly_limit: ColumnName | None = None
    warning_threshold: ColumnName | None = None
    spent_today: ColumnName | None = None
    spent_month: ColumnName | None = None

    limit: ColumnName | None = None
    soft_limit: ColumnName | None = None
    period: PeriodColumn | None = None
    reset_at: ColumnName | None = None

    @model_validator(mode="after")
    def _daily_or_by_period(self) -> Self:
        if self.period is None:
            for role in ("limit", "soft_limit", "reset_at"):
                if getattr(self, role) is not None:
                    raise setting_error("write period too: how long the limit is for", role)
            return self
        if self.limit is None:
            raise setting_error("write limit too: the column of the limit for the period", "period")
        for role in ("daily_limit", "monthly_limit", "warning_threshold", "spent_today", "spent_month"):
            if getattr(self, role) is not None:
                raise setting_error("leave this out: a table with a period has limit and soft_limit", role)
        return self

    @property
    def fixed_period(self) -> str | None:
        """The name of the period of all rows; None where a column says it, or the limits are daily."""
        return self.period.period if isinstance(self.period, FixedPeriod) else None

    @property
    def named(self) -> dict[str, str | None]:
        """The column that is set for each role."""
        return {
            role: None if isinstance(name := getattr(self, role), FixedPeriod) else name
            for role in type(self).model_fields
        }


class BudgetColumns(_Limits, _OfUser):
    """Columns of the users' budgets."""


class GroupBudgetColumns(_Limits, _OfGroup):
    """Columns of the groups' budgets: see `columns.log.group`."""


class RouteColumns(Section):
    """Columns of the model routes."""

    operation: ColumnName | None = None
    primary_model: ColumnName | None = None
    fallback_model: ColumnName | None = None
    enabled: ColumnName | None = None
    estimated_cost: ColumnName | None = None


class RecommendationColumns(Section):
    """Columns of the recommendations."""

    type: ColumnName | None = None
    status: ColumnName | None = None
    savings: ColumnName | None = None
    operation: ColumnName | None = None
    current_config: ColumnName | None = None
    proposed_config: ColumnName | None = None
    confidence: ColumnName | None = None
    reasoning: ColumnName | None = None


class ApprovalColumns(Section):
    """Columns of the approval gates."""

    status: ColumnName | None = None


class Columns(Section):
    """Explicit columns of each table; they take precedence over the catalog."""

    log: LogColumns = LogColumns()
    budgets: BudgetColumns = BudgetColumns()
    group_budgets: GroupBudgetColumns = GroupBudgetColumns()
    routes: RouteColumns = RouteColumns()
    recommendations: RecommendationColumns = RecommendationColumns()
    approvals: ApprovalColumns = ApprovalColumns()


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
    def _one_owner(self) -> Self:
        if self.user is not None and self.group is not None:
            raise setting_error("write a user or a group: a budget is of one of them", "group")
        return self

    @model_validator(mode="after")
    def _amounts_and_times(self) -> Self:
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
    def _names_of_ids(self) -> Self:
        if self.names is not None and self.mode != "id":
            raise setting_error(f"leave the names out, or write mode: id; {self.mode} is there to hide users", "names")
        return self

    @model_validator(mode="after")
    def _key_for_hmac(self) -> Self:
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
