"""Runs a demonstration: renders rooms, compares strategies on them in simulation, and writes a report.

Each step is a labelgrid command, which is printed before it runs; a second call resumes the first.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.source import ROOT

OUT = Path("out/demo")
STUDY = f"{OUT}/three-strategies"
COMMANDS: Sequence[Sequence[str]] = (
    ("scenes", f"{OUT}/rooms", "--count", "160", "--size", "64x96"),
    ("simulate", "demo", "--data", f"{OUT}/rooms", "--out", STUDY),
    ("report", STUDY, "--out", f"{OUT}/report.html"),
)
NEXT = f"""
The report: {OUT}/report.html. Open it in a browser.

What to try next (labelgrid is .venv/bin/labelgrid):
  look at the rooms and their labels:                labelgrid sheet {OUT}/rooms --out {OUT}/rooms.png
  two more seeds, beside those there are:            labelgrid simulate demo --data {OUT}/rooms --out {STUDY} --seeds 4
  one of the campaigns, as a live one is reported:   labelgrid report {STUDY}/runs/partal-seed0
  a project of your own images (more in README.md):  labelgrid init NAME --images FOLDER --task depth
"""


def main() -> int:
    """Run the commands in the repository's folder; stop at the first failure."""
    start = time.monotonic()
    for arguments in COMMANDS:
        print(f"\n$ labelgrid {' '.join(arguments)}", flush=True)
        code = subprocess.run(
            [sys.executable, "-m", "labelgrid", *arguments], cwd=ROOT, check=False
        ).returncode
        if code:
            return code
    print(NEXT + f"\nAll this took {time.monotonic() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
