"""Which format and which compression a client wants."""

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

Encoder = Callable[[Any], bytes]
_ESCAPINGS = ("escaping=underscores", "escaping=allow-utf-8")
"""Ways to write names, of which all names here come out as they are. By others no rule would know them again."""
_VERSIONS = {"text/plain": ("", "0.0.4", "1.0.0"), "application/openmetrics-text": ("", "1.0.0")}


def choose_format(accept: str | None) -> tuple[Encoder, str]:
    """The encoder and its content type for an ``Accept`` header, best liked first; text 0.0.4 if nothing fits."""
    wanted = sorted(_weighted(accept), key=lambda item: -item[2])
    for kind, parameters, weight in wanted:
        # Only what is known here goes on: a version that is no number would be an error, and would be echoed.
        if weight > 0 and kind in _VERSIONS and _version(parameters) in _VERSIONS[kind]:
            known = [text for text in parameters if text.startswith("version=") or text in _ESCAPINGS]
            return choose_encoder(";".join((kind, *known)))
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the client takes gzip: named, or meant by ``*``, and not with ``q=0``."""
    weights = {coding: weight for coding, _, weight in _weighted(accept_encoding)}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weighted(header: str | None) -> Iterator[tuple[str, list[str], float]]:
    for item in (header or "").split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = next((_weight(text[2:]) for text in parameters if text.lower().startswith("q=")), 1.0)
        yield name.lower(), parameters, weight


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if isfinite(weight) else 0.0


def _version(parameters: list[str]) -> str:
    return next((text[len("version=") :] for text in parameters if text.startswith("version=")), "")
