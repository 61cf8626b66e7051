"""The default error classes, as PostgreSQL understands their patterns, on messages that providers send."""

import psycopg

from exporter.config.error_classes import DEFAULT_ERROR_CLASSES

MESSAGES = [
    ("rate_limit", "429 Too Many Requests"),
    ("rate_limit", "Error code: 429 - {'error': {'type': 'insufficient_quota'}}"),
    ("rate_limit", "RateLimitError: Rate limit reached: 40000 tokens per min, retry after timeout"),
    ("rate_limit", "RESOURCE_EXHAUSTED: Quota exceeded for requests"),
    ("rate_limit", "HTTP/1.1 429"),
    ("rate_limit", "ThrottlingException: Too many tokens per minute"),
    ("rate_limit", "Your credit balance is too low to access the API"),
    ("timeout", "504 Gateway Timeout"),
    ("timeout", "Request timed out."),
    ("timeout", "ReadTimeout: HTTPSConnectionPool(host='api', port=443)"),
    ("timeout", "connect ETIMEDOUT 10.0.0.1:443"),
    ("timeout", "context deadline exceeded"),
    ("timeout", "Connection timed out"),
    ("auth", "401 Unauthorized"),
    ("auth", "Error code: 401 - Incorrect API key provided: sk-***"),
    ("auth", "AuthenticationError: invalid x-api-key"),
    ("auth", "API key not valid. Please pass a valid API key."),
    ("auth", "403 Forbidden"),
    ("auth", "PERMISSION_DENIED: caller lacks permission"),
    ("context_length", "This model's maximum context length is 8192 tokens, you requested 9001 tokens"),
    ("context_length", "context_length_exceeded"),
    ("context_length", "prompt is too long: 201234 tokens > 200000 maximum"),
    ("context_length", "The input token count exceeds the maximum number of tokens allowed (1048576)"),
    ("context_length", "Too many tokens in the request"),
    ("content_filter", "Response blocked by content filter"),
    ("content_filter", "finish_reason: SAFETY"),
    ("content_filter", "content_policy_violation"),
    ("content_filter", "Your prompt was flagged"),
    ("provider", "500 Internal Server Error"),
    ("provider", "502 Bad Gateway"),
    ("provider", "<Response [503]>"),
    ("provider", "overloaded_error: Overloaded"),
    ("provider", "Error code: 529 - Overloaded"),
    ("provider", "The service is temporarily unavailable"),
    ("provider", "The server had an error while processing your request"),
    ("network", "Connection refused"),
    ("network", "[Errno 104] Connection reset by peer"),
    ("network", "APIConnectionError: Connection error."),
    ("network", "getaddrinfo ENOTFOUND api.example.com"),
    ("network", "SSLError: CERTIFICATE_VERIFY_FAILED"),
    ("network", "Server disconnected without sending a response."),
    ("network", "socket hang up"),
    ("other", "KeyError: 'choices'"),
    ("other", "Expecting value: line 1 column 1 (char 0)"),
    ("other", "used 429 tokens of 500"),
    ("other", "invalid JSON in tool call, 5 retries"),
    ("other", ""),
]


def test_every_known_message_gets_its_class(embedded_database: str) -> None:
    with psycopg.connect(embedded_database) as connection:
        found = []
        for _, message in MESSAGES:
            name = "other"
            for candidate, patterns in DEFAULT_ERROR_CLASSES.items():
                query = "SELECT %s::text ~* ANY (%s::text[])"
                row = connection.execute(query, (message, list(patterns))).fetchone()
                if row == (True,):
                    name = candidate
                    break
            found.append((name, message))
    assert found == MESSAGES


def test_every_class_has_a_message_here() -> None:
    assert set(DEFAULT_ERROR_CLASSES) | {"other"} == {name for name, _ in MESSAGES}
