"""The site of the documentation: every page is in it, and links out of `docs/` lead to the repository."""

import re

import pytest
import yaml

from docs.site_hooks import rewritten
from tests.support import ROOT

PAGES = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


class Loader(yaml.SafeLoader):
    """Reads what mkdocs does with tags of its own as text."""


Loader.add_multi_constructor("", lambda *_: None)


def leaves(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [leaf for part in (nav.values() if isinstance(nav, dict) else nav) for leaf in leaves(part)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_navigation_once() -> None:
    nav = leaves(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"])
    assert sorted(nav) == sorted(PAGES)


def test_every_page_is_linked_from_the_first() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)", (ROOT / "docs" / "index.md").read_text()))
    assert linked == PAGES - {"index.md"}


@pytest.mark.parametrize(
    ("source", "markdown", "with_repository", "without"),
    [
        ("a.md", "see [the file](../x/y.yml), or", "see [the file](R/x/y.yml), or", "see the file, or"),
        ("a.md", "[`x`](../config.example.yaml)", "[`x`](R/config.example.yaml)", "`x`"),
        ("runbooks/a.md", "[x](../state.md#who)", "[x](../state.md#who)", "[x](../state.md#who)"),
        ("dev/a.md", "[x](../../exporter/cli.py)", "[x](R/exporter/cli.py)", "x"),
        (
            "a.md",
            "![x](../x.png) [y](b.md) [z](https://a/../b)",
            *2 * ("![x](../x.png) [y](b.md) [z](https://a/../b)",),
        ),
        ("a.md", "[a](../b) and [c](../d)", "[a](R/b) and [c](R/d)", "a and c"),
    ],
)
def test_a_link_out_of_the_folder(source: str, markdown: str, with_repository: str, without: str) -> None:
    assert rewritten(markdown, source, "R") == with_repository
    assert rewritten(markdown, source, "") == without
