"""Checks that every page of docs/ is at most two clicks from README.md.

A click on a folder opens its README.md, as on the repository's host.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tools.links import LINK, prose
from tools.source import ROOT, report

PAGES = ("docs/**/*.md", "docs/**/*.ipynb")
CLICKS = 2


def faults(root: Path) -> list[str]:
    """The pages that are further away, or that no link leads to."""
    reached = start = {root.resolve() / "README.md"}
    for _ in range(CLICKS):
        start = {target for page in start for target in _targets(page)} - reached
        reached = reached | start
    pages = {page.resolve() for pattern in PAGES for page in root.glob(pattern)}
    return [
        f"{page.relative_to(root.resolve()).as_posix()} is more than {CLICKS} clicks from README.md"
        for page in sorted(pages - reached)
    ]


def _targets(page: Path) -> Iterator[Path]:
    """The files that a page links to; notebooks and other files lead no further."""
    if page.suffix != ".md" or not page.is_file():
        return
    for link in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        name = unquote(link).partition("#")[0]
        target = (page.parent / name).resolve()
        yield target / "README.md" if target.is_dir() else target


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
