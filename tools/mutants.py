"""Tests the tests: plants small faults (mutants) with mutmut, one at a time, and counts those that no test notices.

`./dev mutants` resumes, and tests the functions that have changed since. `./dev mutants MODULE`
tests all mutants of a module or package anew. `--survivors` tests only those that no test has
caught so far, which is for added tests. `[tool.mutmut]` in pyproject.toml lists the modules and the
tests.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.source import ROOT

PAGE = Path("docs/evidence.md")
START = "<!-- table: ./dev mutants --write -->\n"
END = "<!-- end -->"
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
CAUGHT = ("killed", "timeout", "segfault")
WAITING = "not checked"
KINDS = ("caught", "survivors", "waiting")


def read(results: str) -> dict[str, str]:
    """How each mutant ended, from what `mutmut results` prints.

    Example:
        >>> read("    labelgrid.select.parts.x_buy__mutmut_3: killed")
        {'labelgrid.select.parts.x_buy__mutmut_3': 'killed'}
    """
    pairs = (line.strip().rpartition(": ") for line in results.splitlines())
    return {name: status for name, _, status in pairs if "__mutmut_" in name}


def module(mutant: str) -> str:
    """The module that a mutant is in."""
    return mutant.rpartition(".")[0]


def survivors(ends: Mapping[str, str], modules: Sequence[str] = ()) -> list[str]:
    """The mutants that no test has caught, in these modules and packages or in all."""
    prefixes = tuple(f"{name}." for name in modules)
    names = []
    for mutant, end in ends.items():
        is_named = not modules or f"{mutant}.".startswith(prefixes)
        if is_named and end not in (*CAUGHT, WAITING):
            names.append(mutant)
    return names


def table(ends: Mapping[str, str]) -> str:
    """The figures of each module, as Markdown.

    Mutants that were not tested yet count as neither.
    """
    counts: dict[str, Counter[str]] = {}
    for mutant, end in sorted(ends.items()):
        kind = "caught" if end in CAUGHT else "waiting" if end == WAITING else "survivors"
        for row in (module(mutant), "**all**"):
            counts.setdefault(row, Counter())[kind] += 1
    counts["**all**"] = counts.pop("**all**", Counter())
    lines = [
        "| module | mutants | caught | share | survivors | not yet tested |",
        "| --- |" + " ---: |" * 5,
    ]
    for row, count in counts.items():
        tested = count["caught"] + count["survivors"]
        rate = f"{100 * count['caught'] / tested:.1f} %" if tested else ""
        name = row if row.startswith("*") else f"`{row}`"
        total, caught, left, waiting = (
            f"{n:,}" for n in (count.total(), *map(count.get, KINDS, (0, 0, 0)))
        )
        lines.append(f"| {name} | {total} | {caught} | {rate} | {left} | {waiting} |")
    return "\n".join(lines)


def write(root: Path, text: str) -> None:
    """Put the table into its page."""
    page = (root / PAGE).read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    (root / PAGE).write_text(
        f"{before}{START}\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8"
    )


def ends_of(root: Path) -> dict[str, str]:
    """How each mutant ended in earlier runs; nothing before the first."""
    command = [MUTMUT, "results", "--all", "true"]
    return read(
        subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    )


def forget_removed(root: Path) -> None:
    """Remove the copies of modules and tests that are no more: mutmut copies new ones, but keeps those of before."""
    copies = root / "mutants"
    for path in [*copies.glob("src/**/*.py"), *copies.glob("tests/**/*.py")]:
        if not (root / path.relative_to(copies)).exists():
            path.unlink()


def main(root: Path, words: Sequence[str]) -> int:
    """Run mutmut, print the survivors and the table; the exit status is mutmut's."""
    parser = argparse.ArgumentParser(
        prog="./dev mutants", description="Count the small faults that no test notices."
    )
    parser.add_argument(
        "modules",
        nargs="*",
        metavar="MODULE",
        help="such as labelgrid.select: test its mutants again",
    )
    parser.add_argument(
        "--survivors",
        action="store_true",
        help="test only the mutants that no test has caught so far",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        help="mutants at once (default: all cores)",
    )
    parser.add_argument("--show", action="store_true", help="only print what is known")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    options = parser.parse_args(words)
    wanted = [f"{name}.*" for name in options.modules]
    if options.survivors:
        wanted = survivors(ends_of(root), options.modules)
    code = 0
    if not options.show and (wanted or not options.survivors):
        forget_removed(root)
        command = [MUTMUT, "run", "--max-children", str(options.processes), *wanted]
        code = subprocess.run(command, cwd=root, check=False).returncode
    ends = ends_of(root)
    print(
        *(f"{mutant}: {ends[mutant]}" for mutant in survivors(ends, options.modules)), "", sep="\n"
    )
    print(table(ends))
    print("\nWhat a mutant changes: .venv/bin/mutmut show MUTANT")
    if options.write:
        write(root, table(ends))
    return code


if __name__ == "__main__":
    raise SystemExit(main(ROOT, sys.argv[1:]))
