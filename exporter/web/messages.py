"""The parts of a request and a response that this server uses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tornado.httputil import HTTPHeaders

_AUTHORITY = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What a client asks, the subject alternative names of its certificate, and the network it comes from."""

    method: str
    target: str
    headers: HTTPHeaders
    names: frozenset[str] = frozenset()
    network: str = ""

    @property
    def path(self) -> str:
        """The path, without the query."""
        return _AUTHORITY.sub("", self.target, count=1).partition("?")[0] or "/"

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The parameters of the query, each with its values."""
        return parse_qs(self.target.partition("?")[2])


@dataclass(frozen=True)
class Response:
    """What is sent back; a body of None also leaves out ``Content-Length``."""

    status: int
    body: bytes | None
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def sentence(status: int, text: str, **headers: str) -> Response:
    """A response of one line of text; ``Retry_After="1"`` adds the header ``Retry-After: 1``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, f"{text}\n".encode("utf-8", "replace"), headers=named)
