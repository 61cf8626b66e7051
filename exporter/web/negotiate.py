"""The format and the compression that a client prefers.

`choose_encoder` of prometheus_client ignores weights and fails on a version that is no number, and its `gzip_accepted`
ignores ``q=0``; so both get only what is known here.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import isfinite

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

from exporter.web.encoding import Encoder

_VERSIONS = {"text/plain": ("", "0.0.4", "1.0.0"), "application/openmetrics-text": ("", "1.0.0")}


# scrapers say the same each time
@lru_cache(maxsize=16)
def choose_format(accept: str | None) -> tuple[Encoder, str]:
    """The encoder and its content type that an ``Accept`` header prefers; text 0.0.4 if nothing fits."""
    for kind, parameters, weight in sorted(_weighted(accept), key=lambda item: -item[2]):
        version, escaping = parameters.get("version", ""), parameters.get("escaping")
        if weight > 0 and version in _VERSIONS.get(kind, ()):
            # any other scheme would change the names of our metrics, and no rule would match them
            agreed = escaping if escaping == "allow-utf-8" else "underscores"
            return choose_encoder(f"{kind};version={version};escaping={agreed}")
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


@lru_cache(maxsize=16)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the client takes gzip: named, or meant by ``*``, and not with ``q=0``."""
    weights = {coding: weight for coding, _, weight in _weighted(accept_encoding)}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weighted(header: str | None) -> Iterator[tuple[str, dict[str, str], float]]:
    for item in (header or "").split(","):
        name, *rest = (part.strip() for part in item.split(";"))
        parameters = {key.strip().lower(): value.strip() for key, _, value in (text.partition("=") for text in rest)}
        yield name.lower(), parameters, _weight(parameters.get("q", "1"))


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if isfinite(weight) else 0.0
