"""Check that the database's encoding can represent the names in the configuration."""

from collections.abc import Iterator

from exporter.config import Config
from exporter.findings import Finding, ok, warn
from exporter.humanize import listing
from exporter.preflight.context import CheckContext

ENCODING = "encoding"

_QUERY = "SELECT pg_catalog.current_setting('server_encoding')"


def check_encoding(context: CheckContext) -> list[Finding]:
    """Check that the encoding has the characters of the configuration; UTF-8 has them all."""
    ((encoding,),) = context.session.run(_QUERY)
    if encoding == "UTF8":
        return []
    settings = ((setting, context.session.charset.lacking(text)) for setting, text in _settings(context.config))
    found = [(setting, lacking) for setting, lacking in settings if lacking]
    if not found:
        return [ok(ENCODING, encoding + (": text is read as UTF-8" if encoding == "SQL_ASCII" else ""))]
    characters = listing({character for _, lacking in found for character in lacking})
    where = listing({setting for setting, _ in found})
    detail = f"the database's encoding {encoding} lacks {characters}"
    hint = "remove these names and patterns from the configuration; they are harmless"
    return [warn(ENCODING, f"{detail}: names and patterns with them, in {where}, never match", hint)]


def _settings(config: Config) -> Iterator[tuple[str, str]]:
    models = config.models
    for setting, names in (("aliases", models.aliases), ("timeouts", models.timeouts), ("free", models.free)):
        for name in names:
            yield f"models.{setting}", name
    for number, error_class in enumerate(config.error_classes):
        for place, pattern in enumerate(error_class.patterns):
            yield f"error_classes[{number}].patterns[{place}]", pattern
    for name in config.expected_operations:
        yield "expected_operations", name
