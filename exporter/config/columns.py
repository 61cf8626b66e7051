"""The sections of the configuration file that say what the columns of each table are."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, field_validator, model_validator

from exporter.config.expressions import Condition, Expression, LogColumn
from exporter.config.names import ColumnName, column_name, written_column
from exporter.config.section import Section
from exporter.config.types import Currency, Rate, Word, period_name
from exporter.diagnostics import setting_error, shown
from exporter.figures import DURATIONS, SUMMED


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


MAY_LACK = frozenset(("user", "group", "error_message", *SUMMED, *DURATIONS))
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
