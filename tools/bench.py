"""Runs the benchmarks: each file in benchmarks/ checks one claim, and exits with 1 if it fails."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.source import ROOT


def benchmarks(root: Path) -> dict[str, Path]:
    """The files of the benchmarks, by name."""
    return {file.stem: file for file in sorted((root / "benchmarks").glob("[!_]*.py"))}


def main(root: Path, names: Sequence[str]) -> int:
    """Run the named benchmarks, or all, and return the exit status."""
    by_name = benchmarks(root)
    unknown = [name for name in names if name not in by_name]
    if unknown:
        print(
            f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(by_name) or 'none'}.",
            file=sys.stderr,
        )
        return 2
    failed = []
    for name in names or by_name:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(by_name[name])], cwd=root, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}.", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(ROOT, sys.argv[1:]))
