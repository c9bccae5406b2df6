"""Runs tests with a copy of the package in which the laboratory is left out; tests of it are skipped.

Without arguments, those of commands, Python interface, page and a round. What is said without the
laboratory, `tests/unit/test_without_laboratory.py` tries on a copy of its own.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.source import ROOT

#: The faces of the package, and a round.
TESTS = (
    "tests/unit/api",
    "tests/unit/cli",
    *(
        f"tests/unit/web/test_{name}.py"
        for name in ("app", "grid_page", "image_page", "round_page", "server")
    ),
    "tests/e2e/test_few_commands.py",
)


def main(words: Sequence[str]) -> int:
    """Run the tests, with pytest's arguments, and return its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # some tests run as another user
        ignored = shutil.ignore_patterns("lab", "__pycache__")
        shutil.copytree(ROOT / "src/labelgrid", Path(folder, "labelgrid"), ignore=ignored)
        command = [sys.executable, "-m", "pytest", "-q", *(words or ("-n", "0", *TESTS))]
        environment = {**os.environ, "PYTHONPATH": folder}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
