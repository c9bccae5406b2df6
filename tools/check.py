"""Runs all checks, two at a time, and prints one line per check.

After a failure it continues with the next check.
"""

import gc
import importlib
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from tools.source import ROOT

#: Runs a module as `-m` does, and looks rarely for garbage, which saves a tenth of the time.
RUN = """
import os, runpy, sys
from labelgrid.basics.processes import look_rarely_for_garbage
look_rarely_for_garbage()
sys.path[0] = os.getcwd()
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
PYTHON = (sys.executable, "-c", RUN)
PYTEST = (*PYTHON, "pytest", "-q", "-n", "0")

#: The project's own checks that take a second: all run in this process, which parses a file once.
LIGHT = (
    *("mirror", "density", "papers", "unsafe", "names", "documented"),
    *("modulemap", "classes", "addresses", "links", "clicks", "words", "schemas"),
)
#: The commands by name, the slowest first. The project's own checks have the names of their
#: modules.
CHECKS: dict[str, tuple[str, ...]] = {
    "markdown": (*PYTEST, "tests/docs"),
    "mypy": (*PYTHON, "mypy", "src/labelgrid", "tools"),
    "without_lab": (*PYTHON, "tools.without_lab"),
    "doctests": (*PYTEST, "--doctest-modules", "src", "tools", "--ignore-glob=*/migrations/*"),
    **{
        name: (*PYTHON, f"tools.{name}")
        for name in ("notorch", "site", "reference", *LIGHT, "tables")
    },
    "ruff": (*PYTHON, "ruff", "check"),
    "format": (*PYTHON, "ruff", "format", "--check"),
    "imports": (
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as lint; lint()",
    ),
}


def run(names: Sequence[str], checks: Mapping[str, Sequence[str]]) -> int:
    """Run the named checks, or all, and return the number of failures.

    Prints one line per check with its time, followed by the output of the check if it failed.
    """
    failed = 0
    workers = ThreadPoolExecutor(2)
    jobs: dict[str, list[str]] = {}
    for name in names or checks:
        jobs.setdefault("light" if name in LIGHT else name, []).append(name)
    try:
        for job in as_completed([workers.submit(_outcomes, job, checks) for job in jobs.values()]):
            for passed, text in job.result():
                failed += not passed
                print(text, flush=True)
    finally:  # after Ctrl-C, too, which ends the checks that run
        workers.shutdown(wait=False, cancel_futures=True)
    print(f"{failed} of {len(names or checks)} checks failed." if failed else "All checks passed.")
    return failed


def _outcomes(job: Sequence[str], checks: Mapping[str, Sequence[str]]) -> list[tuple[bool, str]]:
    """Run the checks of a job one after another; return of each if it passed, and what to print."""
    outcomes = []
    for name in job:
        start = time.perf_counter()
        passed, text = _faults(name) if name in LIGHT else _command(checks[name])
        line = f"{'ok' if passed else 'FAIL':4}  {name:10}  {time.perf_counter() - start:6.1f} s"
        shown = [] if passed else [*(f"      {part}" for part in text.splitlines()), ""]
        outcomes.append((passed, "\n".join([line, *shown])))
    return outcomes


def _faults(name: str) -> tuple[bool, str]:
    """Run a check in this process; return whether it passed, and the faults."""
    try:
        faults = importlib.import_module(f"tools.{name}").faults(ROOT)
    except Exception:  # noqa: BLE001 the other checks go on, as after one with a process of its own
        return False, traceback.format_exc()
    return not faults, "\n".join(faults)


def _command(words: Sequence[str]) -> tuple[bool, str]:
    """Run a check in a process of its own; return whether it passed, and its output."""
    done = subprocess.run(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True
    )
    return not done.returncode, done.stdout


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
    gc.disable()  # to search the trees of the whole source for garbage takes as long as the light checks
    raise SystemExit(main(sys.argv[1:]))
