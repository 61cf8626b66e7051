"""Request a part's pages over HTTP."""

import base64
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SECONDS = 10.0
_MOST_BYTES = 64 << 20


class UnansweredError(OSError):
    """A part did not answer, or not as expected; the text says which part, and what it did."""


@dataclass(frozen=True)
class Page:
    """The status and the text of an answer."""

    status: int
    text: str


class Part:
    """A part at its base URL, which can have a login (http://user:password@host)."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        split = urllib.parse.urlsplit(url)
        host = split.netloc.rpartition("@")[2]
        self._user = user or urllib.parse.unquote(split.username or "")
        self._password = password or urllib.parse.unquote(split.password or "")
        self.url = urllib.parse.urlunsplit((split.scheme, host, split.path.rstrip("/"), "", ""))

    def page(self, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Page:
        """The page at a path, whatever its status; with a body, a POST of JSON. Raises `UnansweredError`."""
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data)  # noqa: S310 - http or https, see endpoints.py
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self._password:
            login = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            # not to the target of a redirect
            request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return Page(answer.status, answer.read(_MOST_BYTES).decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            return Page(error.code, error.read(_MOST_BYTES).decode("utf-8", "replace"))
        except urllib.error.URLError as error:
            raise UnansweredError(f"{self.url} does not answer: {_reason(error.reason)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnansweredError(f"{self.url} does not answer: {_reason(error)}") from None

    def text(self, path: str) -> str:
        """The text at a path. Raises `UnansweredError` if the status is not 200."""
        return self._good(path, self.page(path)).text

    def json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path. Raises `UnansweredError` if there is none."""
        page = self._good(path, self.page(path, query))
        try:
            return json.loads(page.text)
        except ValueError:
            raise UnansweredError(f"{self.url}{path} does not answer with JSON") from None

    def _good(self, path: str, page: Page) -> Page:
        if page.status != 200:
            raise UnansweredError(f"{self.url}{path} answers {page.status}: {first_line(page.text)}")
        return page


def tell(text: str) -> None:
    """Say what is waited for, beside the findings."""
    print(f"waiting: {text}", file=sys.stderr, flush=True)


def first_line(text: str, most: int = 200) -> str:
    """The first line that is not blank, for a message."""
    return next((line.strip()[:most] for line in text.splitlines() if line.strip()), "nothing more")


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
