"""What the site needs beside the pages: links that leave `docs/` lead to the repository, or are text."""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)\s]*)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: object) -> str:
    """The page with each link out of `docs/` rewritten; mkdocs calls this for every page."""
    return rewritten(markdown, page.file.src_uri, (config.repo_url or "").rstrip("/"))


def rewritten(markdown: str, source: str, repository: str) -> str:
    """The text of the page `source`; without a `repository`, only the words of a link that leaves are left."""

    def target(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), match["target"]))
        if path.startswith("docs/"):
            return match[0]
        return f"[{match['text']}]({repository}/{path})" if repository else match["text"]

    return _LINK.sub(target, markdown)
