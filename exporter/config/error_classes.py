"""The default table of error classes.

A message gets the first class with a matching pattern, or ``other`` if none matches. Patterns are
PostgreSQL regular expressions, matched without regard to case: ``\\m`` is the start of a word, ``\\M`` its end.
"""

from collections.abc import Mapping

from exporter.catalog import ErrorClassName


def _code(numbers: str) -> str:
    """A pattern for a status code: first in the message, or after a word that announces one.

    A bare number is not enough: messages also count tokens and milliseconds.
    """
    return rf"(^|http|/[0-9.]+ |status|code|error|exception|response|returned|got)[^0-9a-z]*({numbers})\M"


# The order decides between classes whose words occur together: "429 … retry after timeout" is a rate limit,
# "504 gateway timeout" and "connection timed out" are timeouts, "too many tokens per minute" a rate limit.
DEFAULT_ERROR_CLASSES: Mapping[ErrorClassName, tuple[str, ...]] = {
    "rate_limit": (
        _code("429|402"),
        r"rate[ _-]?limit",
        r"too[ _-]?many[ _-]?requests",
        r"\mquota",
        r"_quota\M",
        r"resource[ _-]?exhausted",
        r"throttl",
        r"(tokens|requests) per (second|minute|hour|day)",
        r"credit balance|insufficient[ _-](credit|fund|balance)|payment required",
    ),
    "timeout": (
        _code("408|504|524"),
        r"time[ds]?[ _-]?out",
        r"deadline[ _-]?exceeded",
        r"\mdeadline\M",
        r"took too long",
    ),
    "auth": (
        _code("401|403"),
        r"unauthori[sz]ed",
        r"\mforbidden\M",
        r"authenticat",
        r"(invalid|incorrect|missing|expired|revoked|no|bad|wrong)[^.]{0,20}(api|access)[ _-]?(key|token)",
        r"(api|access)[ _-]?(key|token)[^.]{0,20}(invalid|incorrect|missing|expired|revoked|not valid)",
        r"permission",
        r"access denied",
    ),
    "context_length": (
        r"context[ _-]?(length|window|size|limit)",
        r"maximum context",
        r"too many (input |prompt |total )?tokens",
        r"(prompt|input|request|message)s?( is| are)? too (long|large)",
        r"(maximum|max|exceed[a-z]*)[^.]{0,40}(input|prompt|number of|allowed)[^.]{0,12} tokens",
        r"reduce the length",
    ),
    "content_filter": (
        r"content[ _-]?(filter|policy|moderation|management)",
        r"prohibited[ _-]?content",
        r"\msafety",
        r"moderat(ed|ion)",
        r"\mblocked\M",
        r"\mflagged\M",
        r"responsible[ _-]?ai",
    ),
    "provider": (
        _code("5[0-9][0-9]"),
        r"overload",
        r"internal[ _-]?(server[ _-]?)?error",
        r"bad gateway",
        r"service[ _-]?(is |temporarily |currently )*unavailable",
        r"(model|engine|server) (is )?(temporarily |currently )*(unavailable|busy|loading|at capacity)",
        r"server had an error",
    ),
    "network": (
        r"connect(ion)?[ _-]?(was |has been )?(refused|reset|abort|closed|lost|error|failed)",
        r"econn(refused|reset|aborted)|enotfound|ehostunreach|enetunreach|eai_again|epipe",
        r"\mdns\M|getaddrinfo|name resolution|name or service not known|resolve host",
        r"\mssl|\mtls\M|certificate",
        r"\msocket",
        r"unreachable",
        r"network",
        r"broken pipe|disconnected|remote end closed|incomplete read",
    ),
}
