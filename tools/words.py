"""Checks that words are plain and few: of docstrings, and of pages that people write.

`python -m tools.words --count` prints the figures of each package and page; `--list src/labelgrid/FOLDER` prints the docstrings of a
folder that are riddles of pronouns, repeat a name or are unclear.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.source import ROOT, Module, modules, modules_by_package, report

#: Words that point at something named elsewhere.
PRONOUNS = frozenset(
    [
        "it",
        "its",
        "they",
        "them",
        "their",
        "that",
        "those",
        "these",
        "one",
        "ones",
        "others",
        "other",
        "such",
        "this",
        "which",
        "what",
    ]
)
#: Words that add nothing to a name.
EMPTY = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "as",
        "for",
        "from",
        "with",
        "and",
        "or",
        "is",
        "are",
        "was",
        "be",
        "all",
        "each",
        "every",
        "whether",
        "if",
        "who",
        "has",
        "have",
    ]
)
#: A first sentence with so many pronouns is a riddle.
RIDDLE = 2
#: A sentence with so many pronouns is tangled.
TANGLED = 4
#: A description of a parameter that has no noun, such as "seed: of the draw."
NOUNLESS = re.compile(r"^ *\w+(?:, \w+)*: (?:of|that) .*$", re.MULTILINE)
#: What begins an entry of a docstring's list, such as `seed: `.
ENTRY = re.compile(r"\n\s*\n|\n\s*(?=\w+: |- )")
#: The most tangled sentences and nounless descriptions of all docstrings.
MOST_UNCLEAR = 22
#: A docstring of one line with at most so many words beside those of the name repeats the name.
ADDED = 2
#: The most riddles, in percent of all docstrings.
MOST_RIDDLES = 0.5
#: The most functions with a docstring, in percent.
MOST_DESCRIBED = 72.0
#: The most private functions whose docstring repeats the name, in percent of the private ones.
MOST_REPEATS = 1.0
#: The most words of pages that people write, with their tables and examples.
MOST_WORDS = 54_850
#: The most pronouns in 100 words of their sentences.
MOST_PRONOUNS = 3.0
#: What begins a page, and a part of a page, that a command writes.
WRITTEN = "<!-- written by `python -m"
BLOCK = re.compile(r"<!-- (?:from the code|table): .*?<!-- end -->", re.DOTALL)
#: Pages that the code writes whole.
GENERATED = ("docs/plugins/", "docs/results/records/")
#: Code, tables and addresses of links are no sentences.
NO_SENTENCE = re.compile(r"^```.*?^```|^\|.*?$|\]\(.*?\)|`[^`\n]*`", re.DOTALL | re.MULTILINE)
MEASURES = ("docstrings", "riddles, %", "functions", "with a docstring, %", "private", "repeats, %")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def faults(root: Path) -> list[str]:
    """The measures of the package that are above their limits."""
    values = dict(zip(MEASURES, _shares(_counts(modules(root, "src"))), strict=True))
    limits = {
        "riddles, %": MOST_RIDDLES,
        "with a docstring, %": MOST_DESCRIBED,
        "repeats, %": MOST_REPEATS,
    }
    lines = [
        f"{name}: {values[name]:.1f}, at most {limit} (python -m tools.words --list FOLDER)"
        for name, limit in limits.items()
        if values[name] > limit
    ]
    tangled = sum(len(list(unclear(text))) for _, text in _all_documented(root))
    if tangled > MOST_UNCLEAR:
        lines.append(
            f"sentences that are unclear: {tangled}, at most {MOST_UNCLEAR} (--list FOLDER)"
        )
    pages = hand_written(root)
    words = sum(len(text.split()) for text in pages.values())
    if words > MOST_WORDS:
        lines.append(f"pages have {words:,} words, at most {MOST_WORDS:,} (--count)")
    pronouns = _pronouns(" ".join(pages.values()))
    if pronouns > MOST_PRONOUNS:
        lines.append(f"pages have {pronouns:.1f} pronouns in 100 words, at most {MOST_PRONOUNS}")
    return lines


def hand_written(root: Path) -> dict[str, str]:
    """The text of each page that people write, without the parts that a command writes."""
    pages = {}
    for page in (*root.glob("*.md"), *root.glob("docs/**/*.md")):
        name = str(page.relative_to(root))
        text = page.read_text(encoding="utf-8")
        if not name.startswith(GENERATED) and WRITTEN not in text[:500]:
            pages[name] = BLOCK.sub("", text)
    return pages


def _pronouns(text: str) -> float:
    """The pronouns in 100 words of the sentences of a page."""
    words = _words(NO_SENTENCE.sub("", text))
    return 100 * sum(word in PRONOUNS for word in words) / max(1, len(words))


def is_riddle(text: str) -> bool:
    """Whether the first sentence of a docstring has two pronouns or more.

    Example:
        >>> is_riddle("Of the thumbnails: their bytes, those that it has.")
        True
        >>> is_riddle("The bytes of a thumbnail.")
        False
    """
    return sum(word in PRONOUNS for word in _words(first_sentence(text))) >= RIDDLE


def first_sentence(text: str) -> str:
    """The text up to the end of its first sentence, or of its first paragraph."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.;:!?]) (?=[A-Z`])", paragraph)[0]


def unclear(text: str) -> Iterator[str]:
    r"""Yield the sentences of a docstring that are tangled, and descriptions without a noun.

    Example:
        >>> list(unclear("The draw.\n\nArgs:\n    seed: of the draw."))
        ['seed: of the draw.']
    """
    for paragraph in ENTRY.split(text.split("Example:")[0]):
        if NOUNLESS.match(paragraph):
            yield " ".join(paragraph.split())
            continue
        for sentence in re.split(r"(?<=[.;!?]) (?=[A-Z`])", " ".join(paragraph.split())):
            if sum(word in PRONOUNS for word in _words(sentence)) >= TANGLED:
                yield sentence


def repeats(name: str, text: str) -> bool:
    """Whether a docstring of one line adds at most two words to a name.

    Example:
        >>> repeats("_names_of_tasks", "The names of the tasks.")
        True
    """
    if len(text.strip().splitlines()) > 1:
        return False
    stems = {_stem(part) for part in name.lower().split("_")} | EMPTY | PRONOUNS
    return sum(_stem(word) not in stems for word in _words(text)) <= ADDED


def _stem(word: str) -> str:
    return re.sub(r"(ies|es|s|ed|ing)$", "", word) if len(word) > 3 else word


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z][a-z0-9]*", text.lower())


def _documented(module: Module) -> Iterator[tuple[Documented, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, Documented):
            text = ast.get_docstring(node)
            if text:
                yield node, text


def _all_documented(root: Path) -> Iterator[tuple[Documented, str]]:
    for module in modules(root, "src"):
        yield from _documented(module)


def _counts(files: Iterable[Module]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for module in files:
        for node in ast.walk(module.tree):
            if isinstance(node, Documented):
                counts += _counts_of(node)
    return counts


def _counts_of(node: Documented) -> Counter[str]:
    text = ast.get_docstring(node) or ""
    counts = Counter({"docstrings": int(bool(text)), "riddles": int(is_riddle(text))})
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        is_private = node.name.startswith("_") and not node.name.startswith("__")
        counts["functions"] = 1
        counts["private"] = int(is_private)
        counts["described"] = int(bool(text))
        counts["repeats"] = int(bool(text) and is_private and repeats(node.name, text))
    return counts


def _shares(counts: Counter[str]) -> tuple[float, ...]:
    return (
        counts["docstrings"],
        100 * counts["riddles"] / max(1, counts["docstrings"]),
        counts["functions"],
        100 * counts["described"] / max(1, counts["functions"]),
        counts["private"],
        100 * counts["repeats"] / max(1, counts["private"]),
    )


def count(root: Path) -> str:
    """Markdown tables of the figures of each package and page."""
    packages = modules_by_package(root)
    rows = [(name, _counts(files)) for name, files in sorted(packages.items())]
    rows.append(("all", sum((counts for _, counts in rows), Counter())))
    lines = [
        "| package | " + " | ".join(MEASURES) + " |",
        "| --- |" + " ---: |" * len(MEASURES),
    ]
    for name, counts in rows:
        lines.append(f"| {name} | " + " | ".join(f"{one:,.0f}" for one in _shares(counts)) + " |")
    lines += ["", "| page | words | pronouns in 100 |", "| --- | ---: | ---: |"]
    pages = hand_written(root)
    pages["all"] = "\n".join(pages.values())
    for name, text in sorted(pages.items(), key=lambda page: len(page[1])):
        lines.append(f"| {name} | {len(text.split()):,} | {_pronouns(text):.1f} |")
    return "\n".join(lines)


def listed(root: Path, folder: str) -> Iterator[str]:
    """Yield a line for each docstring of a folder that is a riddle or repeats a name."""
    for module in modules(root, folder):
        for node, text in _documented(module):
            name = getattr(node, "name", "(module)")
            line = getattr(node, "lineno", 1)
            if is_riddle(text):
                yield f"{module.path}:{line}: {name}: riddle: {first_sentence(text)}"
            elif isinstance(node, ast.FunctionDef) and repeats(name, text):
                yield f"{module.path}:{line}: {name}: repeats its name: {text}"
            for sentence in unclear(text):
                yield f"{module.path}:{line}: {name}: unclear: {sentence}"


if __name__ == "__main__":
    if "--count" in sys.argv:
        print(count(ROOT))
    elif "--list" in sys.argv:
        print("\n".join(listed(ROOT, sys.argv[-1])))
    else:
        raise SystemExit(report(faults(ROOT)))
