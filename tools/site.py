"""Builds the documentation site strictly, into a folder that is removed, and finds what mkdocs warns of.

`python -m mkdocs build` builds it into site/, to look at.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.source import ROOT, report

#: mkdocs-material prints a notice about MkDocs 2.0, which is no fault of a page.
QUIET = {"NO_MKDOCS_2_WARNING": "1"}


def faults(root: Path) -> list[str]:
    """The warnings and errors of a build; none if every page is in the site and every link leads somewhere."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
            cwd=root,
            env=os.environ | QUIET,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
    said = [line for line in done.stdout.splitlines() if line and not line.startswith("INFO")]
    return said or (["mkdocs ended with an error and said nothing"] if done.returncode else [])


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
