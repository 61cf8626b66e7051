"""What the demo's calls look like: operations, models, prices, failures, users, routes and budgets."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import NAMESPACE_DNS, UUID, uuid5

DEEPSEEK = "deepseek-v3.2"
GEMINI = "gemini-2.0-flash"
CLAUDE = "claude-opus-4.5"


@dataclass(frozen=True)
class Model:
    """A model: list prices in USD per million tokens, speed in milliseconds, its client's timeout."""

    name: str
    route_name: str
    input_price: Decimal
    output_price: Decimal
    first_token_ms: float
    output_token_ms: float
    timeout_ms: int


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(DEEPSEEK, "deepseek", Decimal("0.28"), Decimal("0.42"), 300, 1.4, 60_000),
        Model(GEMINI, "gemini_flash", Decimal("0.10"), Decimal("0.40"), 180, 1.1, 30_000),
        Model(CLAUDE, "claude_opus", Decimal("5.00"), Decimal("25.00"), 450, 0.9, 120_000),
    )
}


@dataclass(frozen=True)
class Operation:
    """An operation: its share of the calls, typical tokens, and the route it takes (models as in the log).

    Calls of an operation that runs `day_and_night` do not follow the office's hours.
    """

    name: str
    title: str
    share: float
    input_tokens: int
    output_tokens: int
    primary: str
    fallback: str | None
    criticality: str
    day_and_night: bool = False


EMAIL_CLASSIFY = Operation(
    "email-classify", "Classify an e-mail", 0.40, 650, 25, GEMINI, DEEPSEEK, "low", day_and_night=True
)
OPERATIONS: tuple[Operation, ...] = (
    Operation("email-compose", "Compose an e-mail", 0.14, 1100, 420, DEEPSEEK, GEMINI, "medium"),
    EMAIL_CLASSIFY,
    Operation("email-respond", "Answer an e-mail", 0.12, 1600, 350, DEEPSEEK, CLAUDE, "medium"),
    Operation("calendar-prep", "Prepare a meeting", 0.07, 3200, 650, DEEPSEEK, GEMINI, "medium"),
    Operation("calendar-time", "Find a time", 0.07, 900, 120, GEMINI, None, "low"),
    Operation("task-prioritize", "Order the tasks", 0.08, 1400, 180, GEMINI, DEEPSEEK, "low"),
    Operation("task-breakdown", "Break a task down", 0.06, 1200, 700, DEEPSEEK, CLAUDE, "medium"),
    Operation("analytics-summary", "Summarise the week", 0.04, 5200, 800, CLAUDE, DEEPSEEK, "high"),
    Operation("analytics-anomaly", "Explain an anomaly", 0.02, 7500, 900, CLAUDE, None, "high"),
)

FAILURES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "timeout": (0.04, ("Request timed out after {timeout} ms", "ReadTimeout: the read operation timed out")),
    "rate_limit": (
        0.30,
        (
            "Error code: 429 - Rate limit reached for requests",
            "429 RESOURCE_EXHAUSTED: Quota exceeded for requests per minute",
        ),
    ),
    "auth": (0.08, ("Error code: 401 - Invalid API key provided", "403 PERMISSION_DENIED: API key expired")),
    "context_length": (
        0.14,
        (
            "Error code: 400 - This model's maximum context length is 131072 tokens",
            "prompt is too long: 214503 tokens > 200000 maximum",
        ),
    ),
    "content_filter": (
        0.08,
        (
            "Response blocked by content filter: finish_reason=SAFETY",
            "Output blocked by content filtering policy",
        ),
    ),
    "provider": (
        0.18,
        (
            "Error code: 503 - Service unavailable",
            "Error code: 529 - overloaded_error: Overloaded",
            "500 Internal Server Error",
        ),
    ),
    "network": (
        0.12,
        ("Connection reset by peer", "getaddrinfo failed: Temporary failure in name resolution"),
    ),
    "other": (
        0.06,
        ("Answer is not valid JSON: Expecting ',' delimiter: line 1 column 812", "Unexpected empty answer"),
    ),
}
"""For each error class its share of the failures, and messages as providers and clients word them."""

USERS: tuple[UUID, ...] = tuple(uuid5(NAMESPACE_DNS, f"user-{number}.demo.example") for number in range(1, 13))
BUSIEST_USER = USERS[0]
"""The user with the most calls: about a third of them."""

FORMER_USERS: tuple[UUID, ...] = tuple(uuid5(NAMESPACE_DNS, f"former-user-{n}.demo.example") for n in (1, 2))
"""Users without calls, whose budgets have no limit."""

DAILY_LIMITS: Mapping[UUID, Decimal | None] = {
    BUSIEST_USER: Decimal("120.00"),
    **dict.fromkeys(USERS[1:4], Decimal("60.00")),
    **dict.fromkeys(USERS[4:], Decimal("30.00")),
    **dict.fromkeys(FORMER_USERS, None),
}
"""Budgets per day. Nobody with calls is near the limit or without one: the demo is a calm system."""
