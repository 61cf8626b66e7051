"""The settings for the logs of public systems, as they are shipped: one file of YAML for each."""

from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from exporter.yaml_source import read_document

SourceName = Literal[
    "helix",
    "litellm",
    "new-api",
    "one-api",
    "dify",
    "bifrost",
    "open-webui",
    "phoenix",
    "sub2api",
    "claude-code-hub",
    "lunary",
]
SOURCES: tuple[SourceName, ...] = get_args(SourceName)
"""The names that `source` in the configuration can have."""


def source_text(name: str) -> str:
    """The settings of a source as YAML, for people."""
    return (files(__package__) / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def source_settings(name: str) -> dict[str, Any]:
    """The settings of a source, as a configuration file would have them; not to be changed."""
    settings: dict[str, Any] = read_document(source_text(name).encode()).data
    return settings


def with_source(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """The settings over those of a source: in sections each by itself, all others as a whole."""
    return _over(settings, source_settings(name))


def _over(settings: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    merged = {**below, **settings}
    for name, known in below.items():
        if isinstance(known, dict) and name != "outcomes":
            written = settings.get(name)
            # a section of which all lines are commented out is empty
            merged[name] = (
                _over({} if written is None else written, known) if isinstance(written, dict | None) else written
            )
    return merged
