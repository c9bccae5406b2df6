"""Reads the files that the checks need: Python modules with their syntax trees, sections of Markdown."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Module:
    """A Python file: its path below the root, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The dotted name it is imported by, for a file below src/ or tools/."""
        parts = self.path.with_suffix("").parts
        parts = parts[1:] if parts[0] == "src" else parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


#: Each file is parsed once a process; nobody may change a tree.
_parse = cache(ast.parse)


def modules(root: Path, *folders: str) -> Iterator[Module]:
    """Yield the Python files below the folders, ordered by path."""
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            text = file.read_text(encoding="utf-8")
            yield Module(file.relative_to(root), text, _parse(text, str(file)))


def modules_by_package(root: Path) -> dict[str, list[Module]]:
    """The modules of the program by its packages; "(root)" has those outside of all packages."""
    by_package: dict[str, list[Module]] = {}
    for module in modules(root, "src"):
        _, _, package, *rest = module.path.parts
        by_package.setdefault(package if rest else "(root)", []).append(module)
    return by_package


def sections(markdown: str) -> dict[str, str]:
    r"""The text below each heading, including deeper headings; code marks in headings are ignored.

    Example:
        >>> sections("# a\nx\n## `b`\ny\n# c\n")
        {'a': 'x\n## `b`\ny\n', 'b': 'y\n', 'c': ''}
    """
    headings = list(re.finditer(r"^(#+) +(.+?) *\n", _without_code(markdown), re.MULTILINE))
    texts = {}
    for index, heading in enumerate(headings):
        after = headings[index + 1 :]
        end = next((h.start() for h in after if len(h[1]) <= len(heading[1])), len(markdown))
        texts[heading[2].replace("`", "")] = markdown[heading.end() : end]
    return texts


def _without_code(markdown: str) -> str:
    """Replace fenced blocks by blanks, so that comments in them are not taken for headings."""
    return re.sub(
        r"^```.*?^```",
        lambda m: re.sub(r"[^\n]", " ", m[0]),
        markdown,
        flags=re.MULTILINE | re.DOTALL,
    )


def report(faults: Sequence[str]) -> int:
    """Print the faults, one per line, and return the exit status."""
    for fault in faults:
        print(fault)
    return 1 if faults else 0
