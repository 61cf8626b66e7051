"""The landing page."""

from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version

from exporter.web.messages import Response

_DISTRIBUTION = "ai-operation-exporter"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 48rem; padding: 0 1rem; }}
th, td {{ border-bottom: 1px solid #8884; padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top; }}
td {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{name}</h1>
<p>Version {version}. Cost, latency and health of LLM operations, for Prometheus.</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="-/healthy">Health</a></li>
<li><a href="-/ready">Readiness</a></li>
</ul>
<h2>Status</h2>
<table>
{rows}
</table>
</body>
</html>
"""


def program_version() -> str:
    """The installed version, ``unknown`` when run from a folder that was never installed."""
    return _installed_version(_DISTRIBUTION)


@cache
def _installed_version(distribution: str) -> str:
    # looked up once: later there may be no file descriptor left to read it
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def landing_page(rows: Iterable[tuple[str, str]]) -> Response:
    """Name, version, links, and a table of the rows (name, value)."""
    lines = "\n".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    text = _PAGE.format(name=_DISTRIBUTION, version=escape(program_version()), rows=lines)
    return Response(200, text.encode("utf-8", "replace"), "text/html; charset=utf-8")
