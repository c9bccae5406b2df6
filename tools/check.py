"""Runs all checks, two at a time, and prints one line per check.

After a failure it continues with the next check.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from tools.source import ROOT

PYTHON = (sys.executable, "-m")
PYTEST = (*PYTHON, "pytest", "-q", "-n", "0")

#: The commands by name, the slowest first. The project's own checks have the names of their
#: modules.
CHECKS: dict[str, tuple[str, ...]] = {
    "markdown": (*PYTEST, "tests/docs"),
    "ruff": (*PYTHON, "ruff", "check"),
    "format": (*PYTHON, "ruff", "format", "--check"),
    "mypy": (*PYTHON, "mypy", "src/labelgrid", "tools"),
    "imports": (
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as lint; lint()",
    ),
    **{
        name: (*PYTHON, f"tools.{name}")
        for name in (
            *("density", "mirror", "names", "classes", "addresses", "unsafe"),
            *("notorch", "documented", "reference", "papers", "modulemap", "tables", "links"),
        )
    },
    "doctests": (*PYTEST, "--doctest-modules", "src", "tools", "--ignore-glob=*/migrations/*"),
}


def run(names: Sequence[str], checks: Mapping[str, Sequence[str]]) -> int:
    """Run the named checks, or all, and return the number of failures.

    Prints one line per check with its time, followed by the output of the check if it failed.
    """
    failed = 0
    workers = ThreadPoolExecutor(2)
    try:
        for job in as_completed(
            [workers.submit(_outcome, name, checks[name]) for name in names or checks]
        ):
            passed, text = job.result()
            failed += not passed
            print(text, flush=True)
    finally:  # after Ctrl-C, too, which ends the checks that run
        workers.shutdown(wait=False, cancel_futures=True)
    print(f"{failed} of {len(names or checks)} checks failed." if failed else "All checks passed.")
    return failed


def _outcome(name: str, command: Sequence[str]) -> tuple[bool, str]:
    """Run one check; return whether it passed, and what to print."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True
    )
    line = (
        f"{'FAIL' if done.returncode else 'ok':4}  {name:10}  {time.perf_counter() - start:6.1f} s"
    )
    if not done.returncode:
        return True, line
    return False, "\n".join([line, *(f"      {part}" for part in done.stdout.splitlines()), ""])


def main(names: Sequence[str]) -> int:
    """Run the checks and return the exit status: 2 if a name is unknown."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(
            f"There is no check {', '.join(unknown)}; the checks are: {', '.join(CHECKS)}.",
            file=sys.stderr,
        )
        return 2
    return 1 if run(names, CHECKS) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
