"""The paths that the exporter serves, and the statuses that it answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

METHODS = ("GET", "HEAD")
"""Of every path."""


@dataclass(frozen=True)
class Endpoint:
    """A path, what it answers, and what its statuses mean.

    `open` paths need no password, and `rate_limit` counts them separately.
    """

    path: str
    answers: str
    content_type: str
    statuses: Mapping[int, str]
    open: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


_TEXT = "text/plain"
_HTML = "text/html"
_LATE = "the page took longer than 5 seconds"
_FAILED = "the page failed; the log says where"
_BUSY = "too many requests at once; try again after a second"

LANDING = Endpoint(
    "/",
    "The version and the status, with links to the other pages.",
    _HTML,
    {200: "the page", 500: _FAILED, 503: f"{_LATE}, or {_BUSY}"},
)
METRICS = Endpoint(
    "/metrics",
    "The metrics, in OpenMetrics or in Prometheus' text format, as `Accept` asks; compressed if `Accept-Encoding` "
    "has `gzip`. A HEAD request does not read the log.",
    "application/openmetrics-text or text/plain",
    {
        200: "the metrics, also while the database cannot be read: `ai_operation_log_up` is then 0",
        500: "the scrape failed; the log says where",
        503: "the scrape took longer than its timeout, or too many scrapes run at once; try again after a second",
    },
    parameters={
        "name[]": "show only the samples of this name; repeat it for several",
        "X-Prometheus-Scrape-Timeout-Seconds": "a header: how long the client waits; "
        "without it, `scrape.timeout` of the configuration counts",
    },
)
HEALTHY = Endpoint(
    "/-/healthy",
    "One line: whether the process works.",
    _TEXT,
    {200: "it works", 500: _FAILED, 503: f"restart it: the line says why; or {_LATE}, or {_BUSY}"},
    open=True,
)
READY = Endpoint(
    "/-/ready",
    "One line: whether the figures can be relied upon as soon as the database answers. An outage of the database alone "
    "leaves it at 200, so that `/metrics` stays reachable and says `ai_operation_log_up 0`.",
    _TEXT,
    {
        200: "they can",
        500: _FAILED,
        503: f"they cannot: the line says why; or {_LATE}, or {_BUSY}",
    },
    open=True,
)

ENDPOINTS: Mapping[str, Endpoint] = {each.path: each for each in (METRICS, HEALTHY, READY, LANDING)}
"""By path; any other path is answered with 404."""

REFUSALS: Mapping[int, str] = {
    400: "the request is not HTTP; the connection is closed. A head of more than 16 KiB gets no answer",
    401: "the password is missing or wrong (`basic_auth_users`); not for `/-/healthy` and `/-/ready`",
    403: "the client's certificate has none of the names in `client_allowed_sans`",
    404: "there is no such path",
    405: "the method is not GET or HEAD",
    429: "there are more requests than `rate_limit` allows; try again after a second",
    503: "too many logins at once, because somebody guesses passwords; try again after a second",
}
"""What any request may be refused with."""
