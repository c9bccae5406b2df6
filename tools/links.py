"""Checks that the links of all pages lead to a file, and to a heading of it if they name one.

Links to other sites are not followed. Pages that the code names as `docs/….md` must exist, too.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tools.source import ROOT, report

#: The pages.
PAGES = ("*.md", "docs/**/*.md")
#: The files that may name pages.
SOURCES = (
    "src/**/*.py",
    "src/**/*.toml",
    "research/**/*",
    "benchmarks/*",
    "tools/*.py",
    "pyproject.toml",
    "dev",
)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
NAMED = re.compile(r"\bdocs/[\w/-]+\.md\b(?:#[\w-]+)?")


def faults(root: Path) -> list[str]:
    """The links that lead nowhere, by page.

    And the pages that the code names but that are not there.
    """
    lines = []
    for page in _files(root, PAGES):
        path = page.relative_to(root).as_posix()
        links = LINK.findall(prose(page.read_text(encoding="utf-8")))
        lines += [f"{path}: {fault}" for link in links if (fault := link_fault(root, page, link))]
    for source in _files(root, SOURCES):
        path = source.relative_to(root).as_posix()
        names = NAMED.findall(source.read_text(encoding="utf-8"))
        top = root / "README.md"
        lines += [f"{path}: {fault}" for name in names if (fault := link_fault(root, top, name))]
    return lines


def _files(root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (
            path for path in sorted(root.glob(pattern)) if path.is_file() and path.suffix != ".pyc"
        )


def link_fault(root: Path, page: Path, link: str) -> str:
    """What is wrong with a link of a page; "" if nothing is, or if it leads to another site."""
    if re.match(r"\w[\w+.-]*:", link):
        return ""
    name, _, anchor = unquote(link).partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(root.resolve()):
        return f"'{link}' leads out of the repository"
    if not target.exists():
        return f"'{link}' leads to no file"
    if anchor and (
        target.suffix != ".md" or anchor not in anchors(target.read_text(encoding="utf-8"))
    ):
        return f"'{link}' leads to no heading of {target.relative_to(root.resolve()).as_posix()}"
    return ""


def anchors(markdown: str) -> set[str]:
    r"""The anchors of a page as GitHub makes them, and those set by hand.

    Example:
        >>> sorted(anchors("# Is it `a_b`?\n\n## [Two](x.md) - *C*\n\n## Two\n\n## Two\n\n<a id=\"here\"></a>\n"))
        ['here', 'is-it-a_b', 'two', 'two---c', 'two-1']
    """
    text = without_fences(markdown)
    names = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    counts: dict[str, int] = {}
    for heading in re.findall(r"^ {0,3}#{1,6} +(.+?)(?: +#+)? *$", text, re.MULTILINE):
        anchor = anchor_of(heading)
        count = counts.get(anchor, 0)
        counts[anchor] = count + 1
        names.add(f"{anchor}-{count}" if count else anchor)
    return names


def anchor_of(heading: str) -> str:
    """The anchor of a heading.

    Example:
        >>> anchor_of("PartAL's options: 1×1 & more"), anchor_of("**`[train]`** keys")
        ('partals-options-11--more', 'train-keys')
    """
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    words = re.sub(r"(?<!\w)[*_]+|[*_]+(?!\w)", "", words)
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def without_fences(markdown: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", markdown, flags=re.MULTILINE | re.DOTALL)


def prose(markdown: str) -> str:
    """A page without its blocks and pieces of code.

    Example:
        >>> prose("a `[b](c)` [`d`](e)")
        'a  [](e)'
    """
    return re.sub(r"(`+).+?\1", "", without_fences(markdown))


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
